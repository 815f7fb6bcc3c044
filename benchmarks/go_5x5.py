"""Go 5×5, a solved board: does a run open in the center, and win as Black against itself?

    python launch/train.py go_5x5 --out runs/go_5x5
    python -m benchmarks.go_5x5 runs/go_5x5              # all its snapshots

With perfect play Black opens in the center and takes all 25 points, whatever White answers (van der
Werf, van den Herik and Uiterwijk 2003); komi is 24.5, so anything less loses. Every version plays
itself without noise, with equal simulations on both sides: one game from the empty board, and one
from each of White's 24 answers to the center. The table shows minutes of training, the opening, the
probability of the center in the policy after search, the winner and length of the game, and how
many of the 24 games Black wins. The moves of the last version's game follow.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from selfplay import determinism

determinism.pin(1)

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.speed_table import machine
from games.go import Go
from games.notation import action_to_text
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.runs.snapshots import snapshot_versions

CENTER = 12


class Games(NamedTuple):
    """The games of one version: game 0 from the empty board, then one for each answer to C3."""

    policy: np.ndarray  # float32 [A], after search, of the first move
    moves: list[int]  # of game 0
    black_wins: np.ndarray  # bool [1 + 24]


def play(version: Version, sims: int) -> Games:
    """Plays all games at once, until the last one ends."""
    game: Any = version.game
    search = _jitted(version.search_fn(sims))
    answers = [point for point in range(25) if point != CENTER]
    first = game.init()
    after = [game.step(game.step(first, CENTER), answer) for answer in answers]
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, *after)
    step, over = _stepped(game)
    moves, policy = [], None
    while not bool(over(states).all()):
        result = search(version.params, states, jax.random.key(0))
        policy = np.asarray(result.policy[0]) if policy is None else policy
        if not bool(over(states)[0]):
            moves.append(int(result.action[0]))
        states = step(states, result.action)
    assert policy is not None
    return Games(policy, moves, np.asarray(jax.vmap(game.outcome)(states) > 0))


@cache
def _jitted(fn: Any) -> Any:
    return jax.jit(fn)


@cache
def _stepped(game: Any) -> tuple[Any, Any]:
    return jax.jit(jax.vmap(game.step)), jax.jit(jax.vmap(game.is_terminal))


def main() -> None:
    """Plays the games and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run of preset go_5x5")
    parser.add_argument("--sims", type=int, default=200, help="simulations per move [200]")
    parser.add_argument("--versions", type=int, nargs="*", help="which [all snapshots]")
    options = parser.parse_args()
    if options.sims < 1:
        parser.error(f"--sims must be at least 1, got {options.sims}")
    run = options.run
    if not (run / metrics.FILE).exists():
        parser.error(f"{options.run} is not a run folder with metrics")
    versions = options.versions or [v for v in snapshot_versions(run) if v]
    console = Console(soft_wrap=True, highlight=False)
    console.print(machine())
    minutes = {row.iteration: row.seconds.total / 60 for row in metrics.read_rows(run)}
    table = Table(title=f"Against itself, {options.sims} simulations per move")
    for name in ("version", "minutes", "opens", "center", "winner", "plies", "Black wins"):
        table.add_column(name, justify="right")
    moves: list[str] = []
    for number in versions:
        try:
            version = Version.load(f"{run}@{number}")
        except ValueError as error:
            parser.error(str(error))
        game: Any = version.game
        if not (isinstance(game, Go) and game.size == 5):
            parser.error(f"{options.run} plays {version.config['game']}, not Go on 5×5")
        played = play(version, options.sims)
        moves = [action_to_text(game, move) for move in played.moves]
        row = (
            f"{number}",
            f"{minutes.get(number, float('nan')):.1f}",
            moves[0],
            f"{played.policy[CENTER]:.0%}",
            "Black" if played.black_wins[0] else "White",
            f"{len(moves)}",
            f"{played.black_wins[1:].sum()}/{len(played.black_wins) - 1}",
        )
        table.add_row(*row)
        console.print("  ".join(row))
    console.print(table)
    console.print(" ".join(moves))


if __name__ == "__main__":
    main()
