"""Ratings against the truth: how often the 95 % intervals cover it, and what pairing saves.

    python tests/simulation/calibration.py                       # some minutes on one core
    python tests/simulation/calibration.py --ladders 200         # a quick look: ± 1 % is luck then

2 000 simulated ladders with fixed seeds (`ladders.py` says how they are drawn), a quarter each of
four ways to pair. *Coverage* is the share of players, ladder by ladder, whose interval relative to
the anchor holds their true rating; *differences* the same for any two players; *ends* for the
strongest and the weakest one. ± is one standard error over ladders: the intervals of one ladder
share their luck.

Then 30 players until each is known to ±40 Elo: the games of adaptive pairing over those of a
round-robin that stops as soon as it is there. And ratings against evalica's, where the models are
the same one: no first move, openings that do not matter, with and without draws.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/: its selfplay.py would hide the package

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from selfplay.ratings.elo import Ratings, fit
from tests.simulation.ladders import (
    ANCHORS,
    OPENINGS,
    SCENARIOS,
    Field,
    Ladder,
    climb,
    colour_blind,
    cycle,
    draw_field,
    ladder,
)

LADDERS = 2000
BAND = (0.935, 0.965)
TARGET = 40.0  # Elo
SAVED = 0.25


class Covered(NamedTuple):
    """Shares of intervals that hold the truth, of one ladder."""

    anchor: float
    differences: float
    ends: float


@dataclass(frozen=True)
class Outcome:
    """One simulated ladder."""

    scenario: str
    field: Field
    games: int
    stderr: float  # median over players, Elo
    covered: Covered

    @property
    def anchored_at(self) -> str:
        elo = self.field.elo
        ends = {int(elo.argmin()): ANCHORS[0], int(elo.argmax()): ANCHORS[1]}
        return ends.get(self.field.anchor, ANCHORS[2])


def covered(field: Field, ratings: Ratings) -> Covered:
    """Who is covered."""
    truth = field.elo - field.elo[field.anchor]
    others = np.arange(field.players) != field.anchor
    low, high = ratings.interval.T
    off, c = ratings.elo - truth, ratings.covariance
    spread = np.add.outer(np.diag(c), np.diag(c)) - 2 * c
    apart = np.subtract.outer(off, off) ** 2 <= 1.959964**2 * spread
    above = np.triu_indices(field.players, 1)
    return Covered(
        anchor=float(((low <= truth) & (truth <= high))[others].mean()),
        differences=float(apart[above].mean()),
        ends=float(apart[field.elo.argmax(), field.elo.argmin()]),
    )


def simulate(scenario: str, replicate: int) -> Outcome:
    """One ladder of so many, a function of its name and number."""
    played, ratings = ladder(scenario, replicate)
    middle = float(np.median(np.delete(ratings.stderr, played.field.anchor)))
    return Outcome(scenario, played.field, 2 * played.pairs, middle, covered(played.field, ratings))


def share(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard error."""
    column = np.array(list(values))
    return float(column.mean()), float(column.std() / np.sqrt(len(column)))


def coverage(outcomes: list[Outcome]) -> Table:
    """A row for each way to look at the ladders."""
    table = Table(title=f"95 % intervals over {len(outcomes):,} ladders")
    for name in ("", "ladders", "games", "stderr", "coverage", "differences", "ends", ""):
        table.add_column(name, justify="right" if name else "left")
    groups = {name: [o for o in outcomes if o.scenario == name] for name in SCENARIOS}
    groups |= {f"openings {n}": [o for o in outcomes if o.field.openings == n] for n in OPENINGS}
    groups |= {f"anchor {n}": [o for o in outcomes if o.anchored_at == n] for n in ANCHORS}
    groups |= {
        "no draws": [o for o in outcomes if not o.field.draw],
        "draws": [o for o in outcomes if o.field.draw],
        "all": outcomes,
    }
    last = (list(SCENARIOS)[-1], f"openings {OPENINGS[-1]}", f"anchor {ANCHORS[-1]}", "draws")
    for name, some in groups.items():
        if not some:
            continue
        parts = [share(part) for part in zip(*(o.covered for o in some), strict=True)]
        verdict = "[green]pass" if BAND[0] <= parts[0][0] <= BAND[1] else "[red]fail"
        table.add_row(
            name,
            f"{len(some):,}",
            f"{median(o.games for o in some):,.0f}",
            f"{median(o.stderr for o in some):.0f}",
            *(f"{mean:.1%} ± {error:.1%}" for mean, error in parts),
            verdict if name in SCENARIOS or name == "all" else "",
            end_section=name in last,
        )
    return table


def until(
    replicate: int, target: float = TARGET, players: int = 30, pairs: int = 4
) -> tuple[int, int]:
    """Games until everybody is known to ±target: adaptive pairing's, and round-robin's.

    Both play rounds of players / 2 pairings and look after each one.
    """
    rng = np.random.default_rng([len(SCENARIOS), replicate])
    elo = rng.permutation(np.sort(rng.uniform(0, 1200, players)))
    field = replace(draw_field(rng), elo=elo, anchor=int(elo.argsort()[replicate % players]))
    adaptive = Ladder(field, np.random.default_rng([replicate, 0]))
    climb(adaptive, target, players // 2, pairs, rounds=1000)
    robin = Ladder(field, np.random.default_rng([replicate, 1]))
    rounds = cycle(players)
    ratings = robin.rate()
    while ratings.stderr.max() > target:
        robin.play(rounds[robin.pairs // (pairs * len(rounds[0])) % len(rounds)], pairs)
        ratings = robin.rate()
    return 2 * adaptive.pairs, 2 * robin.pairs


def against_evalica(seed: int, draws: float) -> float:
    """The largest difference in Elo between our ratings and evalica's, where models coincide.

    No first move can be seen. Without draws the peer is Bradley and Terry's model, with draws
    Newman's, which is Davidson's.
    """
    import evalica

    rng = np.random.default_rng([len(SCENARIOS) + 1, seed])
    field = Field(rng.uniform(0, 500, 12), 0, 0.0, draws, "even", 0.0)
    played = Ladder(field, rng)
    for _ in range(4):
        for pairings in cycle(field.players):
            played.play(pairings, 5)
    both = colour_blind(played.games)
    ours = fit(both, field.players, 0, prior=1e5).elo
    names = {1: evalica.Winner.X, 0: evalica.Winner.Draw, -1: evalica.Winner.Y}
    rate = evalica.newman if draws else evalica.bradley_terry
    result = rate(
        both.first.tolist(),
        both.second.tolist(),
        [names[int(o)] for o in both.outcome],
        tolerance=1e-12,
        limit=100_000,
    )
    scores: NDArray[np.float64] = result.scores.sort_index().to_numpy()
    theirs = 400 * np.log10(scores / scores[0])
    return float(np.abs(ours - theirs).max())


def main() -> None:
    """Simulate, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ladders", type=int, default=LADDERS, help=f"in all [{LADDERS}]")
    parser.add_argument("--races", type=int, default=10, help="against round-robin [10]")
    options = parser.parse_args()
    if options.ladders < len(SCENARIOS) or options.races < 1:
        parser.error(f"--ladders must be at least {len(SCENARIOS)}, and --races at least 1")

    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:  # a log has no width to keep
        console = Console(width=110, highlight=False)
    start = time.perf_counter()
    todo = [(name, i) for name in SCENARIOS for i in range(options.ladders // len(SCENARIOS))]
    outcomes = [
        simulate(*which) for which in track(todo, "ladders", console=console, transient=True)
    ]
    console.print(coverage(outcomes))
    console.print(f"{time.perf_counter() - start:.0f} s")

    races = [
        until(i) for i in track(range(options.races), "races", console=console, transient=True)
    ]
    table = Table(title=f"Games until 30 players are known to ±{TARGET:.0f} Elo")
    for name in ("", "adaptive", "round-robin", "saved", ""):
        table.add_column(name, justify="right" if name else "left")
    for i, (mine, robin) in enumerate(races):
        table.add_row(f"field {i}", f"{mine:,}", f"{robin:,}", f"{1 - mine / robin:.0%}", "")
    saved = median(1 - mine / robin for mine, robin in races)
    verdict = "[green]pass" if saved >= SAVED else "[red]fail"
    table.add_row("median", "", "", f"{saved:.0%}", f"≥ {SAVED:.0%} {verdict}")
    console.print(table)

    for draws in (0.0, 0.7):
        off = max(against_evalica(seed, draws) for seed in range(5))
        console.print(f"evalica, {'with' if draws else 'no'} draws: at most {off:.4f} Elo apart")


if __name__ == "__main__":
    main()
