"""Makes the Connect Four exam: ``python -m selfplay.generated.solved_positions`` (minutes).

It needs the `solver` extra.

Every position comes from a different game, so that positions are independent and a grade's
binomial error is correct. The two players of a game have random strengths: at each move a player
moves at random with its blunder rate; otherwise it plays the best move of a search to its lookahead
(after an exact book of the first 12 plies). The game runs to a given ply. If the position there
belongs to a suite and is new (up to mirroring), it is solved exactly and collected. Every ply has
won, drawn and lost positions, except for the first plies, where few exist.

Equal seeds give equal positions with any number of processes, since every ply has its own
generator.
"""

import argparse
import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfplay.players.solvers import ConnectFourSolver as Solver
from selfplay.solved import suite
from selfplay.solved.suite import PositionSuite

SEED: Final = 20240601
PLIES: Final = range(31)
BLUNDER_RATES: Final = (0.0, 0.1, 0.25, 0.5, 1.0)
LOOKAHEADS: Final = (2, 6, 10)  # plies; with 12, a game takes seconds around ply 13
PER_PLY: Final = 136  # result positions
MIN_PER_KIND: Final = 44  # won and drawn positions each, if the games yield them
RESISTANCE_PER_PLY: Final = 48
GAMES: Final = 1500  # most games for one ply, whether or not its suites are full
GAMES_SHORT: Final = 4000  # up to ply 4: there are few positions, so all are collected
GAMES_SLOW: Final = 400  # plies 12 to 15: outside the solver's book, a position takes 0.1 s

Kind = Literal["won", "drawn", "lost"]


class Sample(NamedTuple):
    """A solved position: board int8 [6, 7], scores int8 [7]."""

    board: NDArray[np.int8]
    scores: NDArray[np.int8]


class Samples(NamedTuple):
    """The samples of one ply, for the two suites of an exam."""

    result: list[Sample]
    resistance: list[Sample]


def drop(board: NDArray[np.int8], column: int) -> tuple[NDArray[np.int8], bool]:
    """Drops a stone of the player to move; returns the board after, and whether it wins."""
    row = int((board[:, column] == 0).sum()) - 1
    stone = 1 if board.sum() == 0 else -1
    board = board.copy()
    board[row, column] = stone
    won = False
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        length = 1
        for way in (1, -1):
            y, x = row + way * dy, column + way * dx
            while 0 <= y < suite.ROWS and 0 <= x < suite.COLUMNS and board[y, x] == stone:
                length, y, x = length + 1, y + way * dy, x + way * dx
        won = won or length >= 4
    return board, won


def play(solvers: list[Solver], plies: int, rng: np.random.Generator) -> NDArray[np.int8] | None:
    """Plays `plies` moves of two players of random strengths.

    Returns:
        The board int8 [6, 7]; None if the game ended.
    """
    choice = rng.choice(len(solvers), size=2)  # the solver of each player
    rates = rng.choice(BLUNDER_RATES, size=2)
    board = np.zeros((suite.ROWS, suite.COLUMNS), np.int8)
    for ply in range(plies):
        if rng.random() < rates[ply % 2]:
            choices = np.flatnonzero(board[0] == 0)
        else:
            scores = solvers[choice[ply % 2]].scores(board)
            choices = np.flatnonzero(scores == scores.max())
        board, won = drop(board, int(rng.choice(choices)))
        if won:
            return None
    return board


def kind_of(scores: NDArray[np.int8]) -> Kind | None:
    """Classifies a position by the scores int8 [7] of its moves; None if it is in no suite."""
    legal = scores[scores != suite.ILLEGAL_SCORE]
    value = np.sign(legal.max())
    if value < 0:
        return "lost" if legal.min() < legal.max() else None
    if np.sign(legal.min()) == value:
        return None
    return "won" if value > 0 else "drawn"


def collect(ply: int, seed: int) -> Samples:
    """Collects the positions of one ply."""
    solver = Solver()
    weaker_solvers = [Solver(lookahead) for lookahead in LOOKAHEADS]
    rng = np.random.default_rng([seed, ply])
    samples: dict[Kind, list[Sample]] = {"won": [], "drawn": [], "lost": []}
    seen: set[bytes] = set()
    for _ in range(GAMES_SHORT if ply <= 4 else GAMES_SLOW if 12 <= ply <= 15 else GAMES):
        board = play(weaker_solvers, ply, rng)
        if board is None or suite.mirrored_key(board) in seen:
            continue
        seen.add(suite.mirrored_key(board))
        scores = solver.scores(board)
        kind = kind_of(scores)
        if kind:
            samples[kind].append(Sample(board, scores))
        won, drawn, lost = map(len, samples.values())
        full = won + drawn >= PER_PLY and lost >= RESISTANCE_PER_PLY
        if full and min(won, drawn) >= MIN_PER_KIND:
            break
    drawn = min(len(samples["drawn"]), max(PER_PLY // 2, PER_PLY - len(samples["won"])))
    result = samples["won"][: PER_PLY - drawn] + samples["drawn"][:drawn]
    return Samples(result, samples["lost"][:RESISTANCE_PER_PLY])


def collect_all(seed: int, processes: int) -> Iterator[Samples]:
    """Collects the positions of every ply, in order."""
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        yield from pool.imap(partial(collect, seed=seed), PLIES)


def assemble(samples: list[Sample]) -> PositionSuite:
    """Makes a suite of samples, in their order."""
    boards, scores = np.stack([s.board for s in samples]), np.stack([s.scores for s in samples])
    return suite.from_boards(boards, scores)


def main() -> None:
    """Parses the command line, makes the exam, writes it and prints its size."""
    parser = argparse.ArgumentParser(description="make the Connect Four exam")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=suite.FILES["connect_four"])
    options = parser.parse_args()
    result: list[Sample] = []
    resistance: list[Sample] = []
    print("ply    won  drawn   lost")
    for ply, samples in enumerate(collect_all(options.seed, options.processes)):
        won = sum(int(sample.scores.max() > 0) for sample in samples.result)
        drawn, lost = len(samples.result) - won, len(samples.resistance)
        print(f"{ply:3d} {won:6d} {drawn:6d} {lost:6d}", flush=True)
        result += samples.result
        resistance += samples.resistance
    digest = suite.save(options.out, assemble(result), assemble(resistance))
    size = options.out.stat().st_size
    print(f"{len(result)} result and {len(resistance)} resistance positions in {options.out}")
    print(f"{size} bytes, digest {digest}")


if __name__ == "__main__":
    main()
