"""Ratings against the truth: how often the 95 % intervals cover it, and what pairing saves.

    python -m benchmarks.calibration                       # some minutes on one core
    python -m benchmarks.calibration --ladders 200         # a quick look: chance is ± 1 % then

Simulates 2 000 ladders with fixed seeds (tests/simulation/ladders.py says how they are drawn), a
quarter for each of four ways to pair. *Coverage* is the fraction of players, ladder by ladder,
whose interval relative to the anchor holds their true rating; *differences* is the same for any two
players, and *ends* for the strongest and the weakest one. ± is one standard error over ladders,
because the intervals of one ladder share their errors.

Then 30 players play until each is known to ±40 Elo: the games of adaptive pairing over those of a
round-robin that stops as soon as it gets there. Last, ratings are compared with evalica's where the
two models are the same: no advantage of the first move, openings that do not matter, with and
without draws.
"""

import argparse
import time
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.simulation.calibration import (
    LADDERS,
    SAVED,
    TARGET,
    SimulatedLadder,
    against_evalica,
    share,
    simulate,
    until,
)
from tests.simulation.ladders import ANCHORS, OPENINGS, SCENARIOS
from tests.simulation.planted import BAND


def groups(ladders: list[SimulatedLadder]) -> dict[str, list[SimulatedLadder]]:
    """Groups the ladders by pairing, openings, anchor and draws."""
    by_name = {name: [x for x in ladders if x.scenario == name] for name in SCENARIOS}
    by_name |= {f"openings {n}": [x for x in ladders if x.field.openings == n] for n in OPENINGS}
    by_name |= {f"anchor {n}": [x for x in ladders if x.anchored_at == n] for n in ANCHORS}
    by_name |= {
        "no draws": [x for x in ladders if not x.field.draw],
        "draws": [x for x in ladders if x.field.draw],
        "all": ladders,
    }
    return by_name


def coverage_table(ladders: list[SimulatedLadder]) -> Table:
    """Makes a table of coverage, a row for each group of ladders."""
    table = Table(title=f"95 % intervals over {len(ladders):,} ladders")
    for name in ("", "ladders", "games", "stderr", "coverage", "differences", "ends", ""):
        table.add_column(name, justify="right" if name else "left")
    last = (list(SCENARIOS)[-1], f"openings {OPENINGS[-1]}", f"anchor {ANCHORS[-1]}", "draws")
    for name, group in groups(ladders).items():
        if not group:
            continue
        shares = [share(part) for part in zip(*(x.covered for x in group), strict=True)]
        verdict = "[green]pass" if BAND[0] <= shares[0][0] <= BAND[1] else "[red]fail"
        table.add_row(
            name,
            f"{len(group):,}",
            f"{median(x.games for x in group):,.0f}",
            f"{median(x.stderr for x in group):.0f}",
            *(f"{mean:.1%} ± {error:.1%}" for mean, error in shares),
            verdict if name in SCENARIOS or name == "all" else "",
            end_section=name in last,
        )
    return table


def race_table(races: list[tuple[int, int]]) -> Table:
    """Makes a table of the games of adaptive pairing and of the round-robin, field by field."""
    table = Table(title=f"Games until 30 players are known to ±{TARGET:.0f} Elo")
    for name in ("", "adaptive", "round-robin", "saved", ""):
        table.add_column(name, justify="right" if name else "left")
    for i, (adaptive, robin) in enumerate(races):
        table.add_row(f"field {i}", f"{adaptive:,}", f"{robin:,}", f"{1 - adaptive / robin:.0%}")
    saved = median(1 - adaptive / robin for adaptive, robin in races)
    verdict = "[green]pass" if saved >= SAVED else "[red]fail"
    table.add_row("median", "", "", f"{saved:.0%}", f"≥ {SAVED:.0%} {verdict}")
    return table


def main() -> None:
    """Simulates the ladders and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ladders", type=int, default=LADDERS, help=f"in all [{LADDERS}]")
    parser.add_argument("--races", type=int, default=10, help="against round-robin [10]")
    options = parser.parse_args()
    if options.ladders < len(SCENARIOS) or options.races < 1:
        parser.error(f"--ladders must be at least {len(SCENARIOS)}, and --races at least 1")

    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:  # a log file has no width: choose one
        console = Console(width=110, highlight=False)
    start = time.perf_counter()
    todo = [(name, i) for name in SCENARIOS for i in range(options.ladders // len(SCENARIOS))]
    ladders = [simulate(*key) for key in track(todo, "ladders", console=console, transient=True)]
    console.print(coverage_table(ladders))
    console.print(f"{time.perf_counter() - start:.0f} s")
    numbers = track(range(options.races), "races", console=console, transient=True)
    console.print(race_table([until(i) for i in numbers]))
    for draws in (0.0, 0.7):
        distance = max(against_evalica(seed, draws) for seed in range(5))
        console.print(
            f"evalica, {'with' if draws else 'no'} draws: at most {distance:.4f} Elo apart"
        )


if __name__ == "__main__":
    main()
