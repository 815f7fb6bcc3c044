"""Records of Go for the tests: random games by the slow rules, and their SGF."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from games.go import Go
from tests.games.reference_go import SlowGo

SIZE = 5
NAME = f"go?size={SIZE}"
GAME = Go(SIZE)
PASS = SIZE * SIZE


def point(action: int) -> str:
    """Writes an action in SGF."""
    if action == PASS:
        return ""
    row, column = divmod(action, SIZE)
    return chr(97 + column) + chr(97 + row)


def sgf(
    moves: Iterable[int], first: int = 0, komi: str = "7.5", result: str = "B+R", more: str = ""
) -> bytes:
    """Writes a record in which players alternate."""
    head = f"(;GM[1]FF[4]SZ[{SIZE}]KM[{komi}]RE[{result}]{more}"
    colors = "BW" if first == 0 else "WB"
    body = "".join(f";{colors[i % 2]}[{point(m)}]" for i, m in enumerate(moves))
    return (head + body + ")").encode()


def slow_game(board: Sequence[int] = (0,) * PASS, player: int = 0) -> SlowGo:
    """Starts a game by the slow rules from a board."""
    return SlowGo(SIZE, 7.5, 100, tuple(board), player)


def random_moves(seed: int, most: int = 24, passes: float = 0.03) -> list[int]:
    """Plays a random legal game with few passes, and never two in a row before its end."""
    draw, game, moves = random.Random(seed), slow_game(), []
    while len(moves) < most and not game.over:
        choices = sorted(game.moves())
        move = PASS if not choices or draw.random() < passes else draw.choice(choices)
        moves.append(move)
        game.play(move)
    return moves


def write(path: Path, *records: bytes) -> Path:
    """Writes records to a file."""
    path.write_bytes(b"\n".join(records))
    return path
