"""Makes the Connect Four exam: ``python -m selfplay.generated.solved_positions`` (minutes).

It needs the `solver` extra.

Every question comes from a game of its own, so that questions are independent and a grade's
binomial error is honest. The two players of a game draw their strength: at each move a player
picks at random with its blunder rate, else plays the best move that a search to its lookahead
finds (behind an exact book of the first 12 plies). The game runs to a chosen ply; if the position
there asks something and is new (up to mirroring), it is a question, solved exactly. Each ply
collects won, drawn and lost positions; the first plies hold what exists.

Same seed, same questions, whatever the number of processes: every ply has its own generator.
"""

import argparse
import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from selfplay.players.solvers import ConnectFourSolver as Solver
from selfplay.solved import suite as q

SEED: Final = 20240601
PLIES: Final = range(31)
BLUNDER_RATES: Final = (0.0, 0.1, 0.25, 0.5, 1.0)
LOOKAHEADS: Final = (2, 6, 10)  # plies; 12 and more cost seconds a game around ply 13
PER_PLY: Final = 136  # result questions
KIND_LEAST: Final = 44  # won and drawn ones each, where the games yield them
RESISTANCE_PER_PLY: Final = 48
GAMES: Final = 1500  # a ply at most; then it takes what it has
GAMES_SHORT: Final = 4000  # up to ply 4, where there are few positions and all are wanted
GAMES_SLOW: Final = 400  # plies 12 to 15, beyond the solver's book: a position takes 0.1 s

Sample = tuple[NDArray[np.int8], NDArray[np.int8]]  # board [6, 7], scores [7]


def drop(board: NDArray[np.int8], column: int) -> tuple[NDArray[np.int8], bool]:
    """The board after the player to move drops a stone, and whether that stone wins."""
    row = int((board[:, column] == 0).sum()) - 1
    stone = 1 if board.sum() == 0 else -1
    board = board.copy()
    board[row, column] = stone
    won = False
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        length = 1
        for way in (1, -1):
            y, x = row + way * dy, column + way * dx
            while 0 <= y < q.ROWS and 0 <= x < q.COLUMNS and board[y, x] == stone:
                length, y, x = length + 1, y + way * dy, x + way * dx
        won = won or length >= 4
    return board, won


def play(seers: list[Solver], plies: int, rng: np.random.Generator) -> NDArray[np.int8] | None:
    """The board [6, 7] after `plies` moves of two players of drawn strength; None if it ended."""
    minds = rng.choice(len(seers), size=2)
    rates = rng.choice(BLUNDER_RATES, size=2)
    board = np.zeros((q.ROWS, q.COLUMNS), np.int8)
    for ply in range(plies):
        if rng.random() < rates[ply % 2]:
            choices = np.flatnonzero(board[0] == 0)
        else:
            scores = seers[minds[ply % 2]].scores(board)
            choices = np.flatnonzero(scores == scores.max())
        board, won = drop(board, int(rng.choice(choices)))
        if won:
            return None
    return board


def kind_of(scores: NDArray[np.int8]) -> str | None:
    """The kind of question ("won", "drawn", "lost") that scores [7] make, or None."""
    legal = scores[scores != q.ILLEGAL]
    value = np.sign(legal.max())
    if value < 0:
        return "lost" if legal.min() < legal.max() else None
    if np.sign(legal.min()) == value:
        return None
    return "won" if value > 0 else "drawn"


def collect(ply: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """The result and the resistance questions of one ply."""
    solver = Solver()
    seers = [Solver(lookahead) for lookahead in LOOKAHEADS]
    rng = np.random.default_rng([seed, ply])
    found: dict[str, list[Sample]] = {"won": [], "drawn": [], "lost": []}
    seen: set[bytes] = set()
    for _ in range(GAMES_SHORT if ply <= 4 else GAMES_SLOW if 12 <= ply <= 15 else GAMES):
        board = play(seers, ply, rng)
        if board is None or q.mirrored_key(board) in seen:
            continue
        seen.add(q.mirrored_key(board))
        scores = solver.scores(board)
        kind = kind_of(scores)
        if kind:
            found[kind].append((board, scores))
        won, drawn, lost = (len(found[kind]) for kind in ("won", "drawn", "lost"))
        full = won + drawn >= PER_PLY and lost >= RESISTANCE_PER_PLY
        if full and min(won, drawn) >= KIND_LEAST:
            break
    drawn = min(len(found["drawn"]), max(PER_PLY // 2, PER_PLY - len(found["won"])))
    result = found["won"][: PER_PLY - drawn] + found["drawn"][:drawn]
    return result, found["lost"][:RESISTANCE_PER_PLY]


def collect_all(seed: int, processes: int) -> Iterator[tuple[list[Sample], list[Sample]]]:
    """:func:`collect` for every ply, in order."""
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        yield from pool.imap(partial(collect, seed=seed), PLIES)


def assemble(samples: list[Sample]) -> q.Questions:
    """Questions of samples, in their order."""
    return q.from_boards(np.stack([s[0] for s in samples]), np.stack([s[1] for s in samples]))


def main() -> None:
    """Parses the command line, makes the exam, writes it and prints what it holds."""
    parser = argparse.ArgumentParser(description="make the Connect Four exam")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=q.FILES["connect_four"])
    options = parser.parse_args()
    result: list[Sample] = []
    resistance: list[Sample] = []
    print("ply    won  drawn   lost")
    for ply, (kept, lost) in enumerate(collect_all(options.seed, options.processes)):
        won = sum(int(scores.max() > 0) for _, scores in kept)
        print(f"{ply:3d} {won:6d} {len(kept) - won:6d} {len(lost):6d}", flush=True)
        result += kept
        resistance += lost
    digest = q.save(options.out, assemble(result), assemble(resistance))
    size = options.out.stat().st_size
    print(f"{len(result)} result and {len(resistance)} resistance questions in {options.out}")
    print(f"{size} bytes, digest {digest}")


if __name__ == "__main__":
    main()
