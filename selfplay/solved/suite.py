"""Suites of solved positions, and the file that holds an exam. NumPy only: no solver, no JAX.

A position comes with the exact score of every move, in Pons's convention, *for the player to
move*: ``+k`` wins with the k-th stone counted from that player's last one, ``-k`` loses so, 0 is
a draw. Larger is always better: sooner wins, later losses. The sign of a score is the
game-theoretic result, which defines two suites:

* ``result``: won or drawn positions in which some legal move throws the result away;
* ``resistance``: lost positions in which the moves differ in how long they last.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

ILLEGAL_SCORE: Final = -128  # the score of a move that cannot be played
FORMAT: Final = 1
SuiteName = Literal["result", "resistance"]
SUITES: Final[tuple[SuiteName, SuiteName]] = ("result", "resistance")
FILES: Final = {"connect_four": Path(__file__).with_name("connect_four_exam.npz")}
ROWS: Final = 6
COLUMNS: Final = 7


@dataclass(frozen=True, eq=False)
class PositionSuite:
    """N solved positions of one kind, on boards of Connect Four; row 0 is the top row.

    Attributes:
        boards: int8 [N, 6, 7], +1 player 0's stones, −1 player 1's.
        players: int8 [N], the player to move, 0 or 1.
        plies: int8 [N], moves played so far.
        scores: int8 [N, A], the score of every move, for the player to move; `ILLEGAL_SCORE` for
            illegal moves.
    """

    boards: NDArray[np.int8]
    players: NDArray[np.int8]
    plies: NDArray[np.int8]
    scores: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def legal(self) -> NDArray[np.bool_]:
        """bool[N, A], True = legal."""
        return self.scores != ILLEGAL_SCORE

    @property
    def best(self) -> NDArray[np.bool_]:
        """bool[N, A], True = no move scores higher: wins soonest, loses latest."""
        return self.scores == self.scores.max(axis=1, keepdims=True)

    @property
    def keeps(self) -> NDArray[np.bool_]:
        """bool[N, A], True = legal and, with perfect play, the result stays the same."""
        value = np.sign(self.scores.max(axis=1, keepdims=True))
        return self.legal & (np.sign(self.scores) == value)


@dataclass(frozen=True, eq=False)
class Exam:
    """Both suites of one game.

    Attributes:
        game_name: the game.
        result: won and drawn positions.
        resistance: lost positions.
        digest: SHA-256 of the packed arrays, in hex, and the size of a sample. Grades are
            comparable if the digests are equal.
    """

    game_name: str
    result: PositionSuite
    resistance: PositionSuite
    digest: str

    def sample(self, positions: int) -> "Exam":
        """Returns a smaller exam: `positions` of each suite, evenly spaced through the plies."""

        def part(suite: PositionSuite) -> PositionSuite:
            count = min(positions, len(suite))
            rows = np.linspace(0, len(suite) - 1, count).round().astype(int)
            fields = (suite.boards, suite.players, suite.plies, suite.scores)
            return PositionSuite(*(array[rows] for array in fields))

        return Exam(
            self.game_name, part(self.result), part(self.resistance), f"{self.digest}/{positions}"
        )


def load(game_name: str = "connect_four", path: Path | None = None) -> Exam:
    """Reads and checks the exam of a game; `path` overrides the shipped file.

    Raises:
        ValueError: the game has no exam, or its file is missing, damaged or of another format.
    """
    if game_name not in FILES:
        raise ValueError(f"no exam for game {game_name!r}; exams exist for: {', '.join(FILES)}")
    path = path or FILES[game_name]
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        stored = bytes(arrays.pop("digest")).hex()
        version = int(arrays.pop("format"))
    except FileNotFoundError:
        raise ValueError(f"the exam file {path} is missing; reinstall the package") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(f"the exam file {path} is damaged and cannot be read: {error}") from error
    if version != FORMAT:
        raise ValueError(f"the exam file {path} has format {version}; this reads format {FORMAT}")
    if digest(arrays) != stored:
        raise ValueError(f"the exam file {path} is damaged: its content and digest disagree")
    try:
        suites = {n: _unpack(arrays[f"{n}_stones"], arrays[f"{n}_scores"]) for n in SUITES}
        for name in SUITES:
            check(suites[name], name)
    except (KeyError, ValueError) as error:
        raise ValueError(f"the exam file {path} holds no valid exam: {error}") from error
    return Exam(game_name, suites["result"], suites["resistance"], stored)


def save(path: Path, result: PositionSuite, resistance: PositionSuite) -> str:
    """Writes an exam file and returns its digest in hex; equal suites give equal arrays."""
    arrays = {}
    for name, suite in zip(SUITES, (result, resistance), strict=True):
        check(suite, name)
        arrays[f"{name}_stones"] = _pack(suite.boards)
        arrays[f"{name}_scores"] = suite.scores
    hex_digest = digest(arrays)
    stamp = np.frombuffer(bytes.fromhex(hex_digest), np.uint8)
    np.savez_compressed(path, **arrays, digest=stamp, format=np.int32(FORMAT))
    return hex_digest


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Computes SHA-256 over the arrays' sorted names, dtypes, shapes and bytes, not the file."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def from_boards(boards: NDArray[np.int8], scores: NDArray[np.int8]) -> PositionSuite:
    """Makes a suite of boards int8[N, 6, 7] and scores int8[N, 7]; counts plies and players."""
    plies = np.abs(boards).sum(axis=(1, 2)).astype(np.int8)
    return PositionSuite(boards, plies % 2, plies, scores)


def mirrored_key(board: NDArray[np.int8]) -> bytes:
    """Returns a key that is equal for a board [6, 7] and its mirror image."""
    return min(board.tobytes(), board[:, ::-1].tobytes())


def check(suite: PositionSuite, name: SuiteName) -> None:
    """Raises ValueError unless every position can arise and belongs in the suite of this name."""
    boards, scores = suite.boards, suite.scores
    count = len(suite)
    if boards.shape != (count, ROWS, COLUMNS) or scores.shape != (count, COLUMNS) or not count:
        raise ValueError(f"the {name} suite has boards {boards.shape} and scores {scores.shape}")
    stone = boards != 0
    value = scores.max(axis=1)
    last = 21 - suite.plies.astype(int) // 2  # the score of winning with this very stone
    low = np.where(suite.legal, scores, 0).min(axis=1)
    throws = (suite.legal & ~suite.keeps).any(axis=1)
    lost_unevenly = (value < 0) & (suite.legal & ~suite.best).any(axis=1)
    facts = {
        "a floating stone": (stone[:, :-1] & ~stone[:, 1:]).any(axis=(1, 2)),
        "stones out of turn": boards.sum(axis=(1, 2)) != suite.plies % 2,
        "a score that denies the board": (suite.legal != ~stone[:, 0]).any(axis=1),
        "a score out of reach": (value > last) | (low < -last),
        "nothing to get wrong": ~(lost_unevenly if name == "resistance" else (value >= 0) & throws),
    }
    for fault, where in facts.items():
        if where.any():
            raise ValueError(f"position {int(where.argmax())} of the {name} suite has {fault}")
    if len({mirrored_key(board) for board in boards}) < count:
        raise ValueError(f"the {name} suite has a position (or its mirror image) twice")


def _pack(boards: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Packs boards int8[N, 6, 7] into uint8[N, 11], one bit plane a player."""
    planes = np.stack([boards > 0, boards < 0], axis=1)  # [N, 2, 6, 7]
    return np.packbits(planes.reshape(len(boards), -1), axis=1)


def _unpack(stones: NDArray[np.uint8], scores: NDArray[np.int8]) -> PositionSuite:
    """Makes a suite of packed stones uint8[N, 11] and scores int8[N, 7]."""
    bits = np.unpackbits(stones, axis=1, count=2 * ROWS * COLUMNS).astype(np.int8)
    planes = bits.reshape(-1, 2, ROWS, COLUMNS)
    if (planes[:, 0] & planes[:, 1]).any():
        raise ValueError("a cell holds two stones")
    return from_boards(planes[:, 0] - planes[:, 1], scores)
