"""Solved positions: what an exam asks, and the file it ships in. NumPy only, no solver, no JAX.

A position comes with the exact score of every move, in Pons's convention, *for the player to
move*: ``+k`` wins with the k-th stone counted from that player's last one, ``-k`` loses so, 0 is
a draw. Larger is always better: among wins the sooner, among losses the later. The sign of a
score is the game-theoretic result, which two kinds of question are made of:

* ``result``: won or drawn, and some legal move throws that away;
* ``resistance``: lost whatever is played, and the moves differ in how long they last.
"""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ILLEGAL: Final = -128  # the score of a move that cannot be played
FORMAT: Final = 1
SETS: Final = ("result", "resistance")
FILES: Final = {"connect_four": Path(__file__).with_name("connect_four_exam.npz")}
ROWS: Final = 6
COLUMNS: Final = 7


@dataclass(frozen=True, eq=False)
class Questions:
    """N solved positions of one kind."""

    boards: NDArray[np.int8]  # [N, 6, 7]: +1 player 0's stones, -1 player 1's; row 0 = top
    players: NDArray[np.int8]  # [N]: who is to move, 0 or 1
    plies: NDArray[np.int8]  # [N]: moves played so far
    scores: NDArray[np.int8]  # [N, A]: of every move, for the player to move; ILLEGAL = -128

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def legal(self) -> NDArray[np.bool_]:
        """bool[N, A], True = legal."""
        return self.scores != ILLEGAL

    @property
    def best(self) -> NDArray[np.bool_]:
        """bool[N, A], True = no move scores higher: wins soonest, loses latest."""
        return self.scores == self.scores.max(axis=1, keepdims=True)

    @property
    def keeps(self) -> NDArray[np.bool_]:
        """bool[N, A], True = legal and the result stays what it is with perfect play."""
        value = np.sign(self.scores.max(axis=1, keepdims=True))
        return self.legal & (np.sign(self.scores) == value)


@dataclass(frozen=True, eq=False)
class Exam:
    """Both sets of one game, and a digest that names them: equal digests, comparable grades."""

    game_name: str
    result: Questions
    resistance: Questions
    digest: str  # SHA-256 of the packed arrays, in hex

    def sample(self, positions: int) -> "Exam":
        """A smaller exam: `positions` questions of each set, evenly spaced through the plies."""

        def part(questions: Questions) -> Questions:
            count = min(positions, len(questions))
            picked = np.linspace(0, len(questions) - 1, count).round().astype(int)
            fields = (questions.boards, questions.players, questions.plies, questions.scores)
            return Questions(*(array[picked] for array in fields))

        return Exam(
            self.game_name, part(self.result), part(self.resistance), f"{self.digest}/{positions}"
        )


def load(game_name: str = "connect_four", path: Path | None = None) -> Exam:
    """Reads and checks the exam of a game; `path` overrides the shipped file."""
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
        sets = {name: _unpack(arrays[f"{name}_stones"], arrays[f"{name}_scores"]) for name in SETS}
        for name, questions in sets.items():
            check(questions, name)
    except (KeyError, ValueError) as error:
        raise ValueError(f"the exam file {path} holds no valid exam: {error}") from error
    return Exam(game_name, sets["result"], sets["resistance"], stored)


def save(path: Path, result: Questions, resistance: Questions) -> str:
    """Writes an exam file (same content, same arrays); returns its digest in hex."""
    arrays = {}
    for name, questions in zip(SETS, (result, resistance), strict=True):
        check(questions, name)
        arrays[f"{name}_stones"] = _pack(questions.boards)
        arrays[f"{name}_scores"] = questions.scores
    name = digest(arrays)
    stamp = np.frombuffer(bytes.fromhex(name), np.uint8)
    np.savez_compressed(path, **arrays, digest=stamp, format=np.int32(FORMAT))
    return name


def digest(arrays: dict[str, NDArray[Any]]) -> str:
    """SHA-256 over the arrays' sorted names, dtypes, shapes and bytes; not over the file."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def from_boards(boards: NDArray[np.int8], scores: NDArray[np.int8]) -> Questions:
    """Questions from boards int8[N, 6, 7] and scores int8[N, 7]; ply and player are counted."""
    plies = np.abs(boards).sum(axis=(1, 2)).astype(np.int8)
    return Questions(boards, plies % 2, plies, scores)


def mirrored_key(board: NDArray[np.int8]) -> bytes:
    """One name for a board [6, 7] and its mirror image."""
    return min(board.tobytes(), board[:, ::-1].tobytes())


def check(questions: Questions, name: str) -> None:
    """Raises ValueError unless every question can arise in play and asks what its set asks."""
    boards, scores = questions.boards, questions.scores
    count = len(questions)
    if boards.shape != (count, ROWS, COLUMNS) or scores.shape != (count, COLUMNS) or not count:
        raise ValueError(f"the {name} set has boards {boards.shape} and scores {scores.shape}")
    stone = boards != 0
    value = scores.max(axis=1)
    last = 21 - questions.plies.astype(int) // 2  # the score of winning with this very stone
    low = np.where(questions.legal, scores, 0).min(axis=1)
    throws = (questions.legal & ~questions.keeps).any(axis=1)
    lost_unevenly = (value < 0) & (questions.legal & ~questions.best).any(axis=1)
    facts = {
        "a floating stone": (stone[:, :-1] & ~stone[:, 1:]).any(axis=(1, 2)),
        "stones out of turn": boards.sum(axis=(1, 2)) != questions.plies % 2,
        "a score that denies the board": (questions.legal != ~stone[:, 0]).any(axis=1),
        "a score out of reach": (value > last) | (low < -last),
        "nothing to get wrong": ~(lost_unevenly if name == "resistance" else (value >= 0) & throws),
    }
    for fault, where in facts.items():
        if where.any():
            raise ValueError(f"question {int(where.argmax())} of the {name} set has {fault}")
    if len({mirrored_key(board) for board in boards}) < count:
        raise ValueError(f"the {name} set asks a position (or its mirror image) twice")


def _pack(boards: NDArray[np.int8]) -> NDArray[np.uint8]:
    """int8[N, 6, 7] -> uint8[N, 11]: one bit plane a player."""
    planes = np.stack([boards > 0, boards < 0], axis=1)  # [N, 2, 6, 7]
    return np.packbits(planes.reshape(len(boards), -1), axis=1)


def _unpack(stones: NDArray[np.uint8], scores: NDArray[np.int8]) -> Questions:
    """The inverse of :func:`_pack`, with the scores int8[N, 7] beside it."""
    bits = np.unpackbits(stones, axis=1, count=2 * ROWS * COLUMNS).astype(np.int8)
    planes = bits.reshape(-1, 2, ROWS, COLUMNS)
    if (planes[:, 0] & planes[:, 1]).any():
        raise ValueError("a cell holds two stones")
    return from_boards(planes[:, 0] - planes[:, 1], scores)
