"""A folder of expert rows: written once, then read at random without loading it.

    manifest.json    what is in it and what was left out; written last
    FIELD.npy        one array a field, memory-mapped (`replay.FIELDS`)
    games.npz        a table with a line for each game (`GAME`)

The rows are those of `selfplay.acting.episode.FIELDS`; what can be told from other fields is not
stored: the policy is spread evenly over `targets`, and the version is −1, an expert.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import games
from games.game import Game
from selfplay.acting.episode import Rows
from selfplay.command_line import command
from selfplay.experts.canonical import OPENING
from selfplay.experts.replaying import FIELDS
from selfplay.runs.files import CorruptedFile, load_arrays, read_hashed_json, reject_links
from selfplay.runs.renamed import ON_DISK

FORMAT = 1
MANIFEST = "manifest.json"
GAMES = "games.npz"
EXPERT = -1  # the version of an expert's rows

GAME = {
    "start": "int64[G], the game's first row",
    "rows": "int32[G]",
    "plies": "int32[G], moves, those of players that are not taught included",
    "split": "uint64[G], held out if it is below the share of 2^64",
    "order": "uint64[G], in a sample if it is below the share of 2^64",
    "opening": f"int16[G, {OPENING}], first moves in the canonical orientation; −1 for none",
    "outcome": "int8[G], for player 0; 0 also where there is no result",
    "known": "bool[G], True = there is a result",
    "taught": "bool[G], True = the value is taught",
    "komi": "float32[G], as the planes show it",
    "rating": "float32[G, 2], of player 0 and 1; NaN where not known",
    "rank": "float32[G, 2], see `record.Strength`",
}


def below(words: np.ndarray, share: float) -> np.ndarray:
    """bool[G], True = the 64-bit word lies below this share of all of them."""
    return words.astype(np.float64) < share * 2.0**64


@dataclass(frozen=True, eq=False)
class View:
    """Some games of an archive: a `Source` for the learner.

    Attributes:
        archive: where the rows are.
        games: int64[G], lines of the table of games.
    """

    archive: ExpertArchive
    games: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """int64[size], the rows in the archive, game after game."""
        start, count = (self.archive.games[name][self.games] for name in ("start", "rows"))
        before = np.cumsum(count) - count
        return np.repeat(start - before, count) + np.arange(count.sum())

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Rows:
        """Copies of rows by int64[n] place in this view: `selfplay.acting.episode.FIELDS`."""
        return self.archive.gather(self.rows[np.asarray(indices, np.int64)])

    def share(self, share: float) -> View:
        """About this share of the games: a smaller one's are among a larger one's.

        Which they are depends on each game alone, not on what else is in the archive.
        """
        return View(self.archive, self.games[below(self.archive.games["order"][self.games], share)])

    def seen_in(self, other: View) -> np.ndarray:
        """bool[size], True = the position (or an image of it) is in the other view, too."""
        own, others = (view.archive.fields["position"][view.rows] for view in (self, other))
        return np.isin(own, others)


class ExpertArchive:
    """An archive, opened for reading.

    Attributes:
        folder: where it is.
        manifest: what its manifest says.
        game: the rules.
        fields: memory-mapped arrays by name, `replay.FIELDS`.
        games: the table of games, `GAME`.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open the folder; its arrays are not read, but for the table of games.

        Raises:
            ValueError: it is no archive, or of another format.
            CorruptedFile: files are missing or altered (of the fields, only the sizes are looked
                at; `check` reads them).
        """
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        reject_links(self.folder)
        self.game: Game = games.make(self.manifest["game"])
        self.games = load_arrays(self.folder / GAMES, self.manifest["games"]["digest"])
        self.fields = {name: self._mapped(name) for name in FIELDS}

    def _mapped(self, name: str) -> np.ndarray:
        path = self._path(name)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptedFile(path, str(error)) from error
        said = self.manifest["fields"][ON_DISK.get(name, name)]
        if [array.dtype.name, list(array.shape)] != [said["dtype"], said["shape"]]:
            raise CorruptedFile(path, f"it holds {array.dtype.name}{list(array.shape)}")
        return array

    def _path(self, name: str) -> Path:
        """Returns the file of a field."""
        return self.folder / f"{ON_DISK.get(name, name)}.npy"

    @property
    def digest(self) -> str:
        """64 hex digits over all arrays: the same for the same games and options."""
        return self.manifest["digest"]

    @property
    def size(self) -> int:
        """How many rows, those held out included."""
        return len(self.fields["ply"])

    def gather(self, indices: np.ndarray) -> Rows:
        """Copies of rows by int64[n] place in the archive: `selfplay.acting.episode.FIELDS`.

        Raises:
            IndexError: a place outside ``[0, size)``.
        """
        indices = np.asarray(indices, np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < self.size:
            raise IndexError(
                f"rows {indices.min()}..{indices.max()} leave an archive of {self.size}"
            )
        order = np.argsort(indices, kind="stable")  # the disk likes to be read forwards
        back = np.argsort(order, kind="stable")
        rows = {
            name: np.asarray(array[indices[order]])[back] for name, array in self.fields.items()
        }
        del rows["position"]
        targets = np.unpackbits(rows.pop("targets"), axis=1, count=self.game.num_actions)
        total = np.maximum(targets.sum(axis=1, keepdims=True), 1)
        rows["policy"] = (targets / total).astype(np.float16)
        rows["version"] = np.full(len(indices), EXPERT, np.int32)
        return rows

    @property
    def train(self) -> View:
        """The games to learn from."""
        return self._side(held_out=False)

    @property
    def held_out(self) -> View:
        """The games to be examined on; none of them, nor an image of one, is in `train`."""
        return self._side(held_out=True)

    def _side(self, held_out: bool) -> View:
        out = below(self.games["split"], self.manifest["held_out"])
        return View(self, np.flatnonzero(out == held_out))

    def check(self) -> None:
        """Read every byte.

        Raises:
            CorruptedFile: an array is not the one that was written.
        """
        for name, array in self.fields.items():
            sha = hashlib.sha256()
            said = self.manifest["fields"][ON_DISK.get(name, name)]
            step = max(1, (1 << 24) // max(1, array[:1].nbytes))
            for at in range(0, len(array), step):
                sha.update(np.ascontiguousarray(array[at : at + step]).view(np.uint8).data)
            if sha.hexdigest() != said["sha256"]:
                raise CorruptedFile(self._path(name), "its bytes were altered")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an archive.

    Raises:
        ValueError: the folder is no archive, or one of another format.
        CorruptedFile: the manifest was altered.
    """
    if not (folder / MANIFEST).exists():
        raise ValueError(
            f"{folder} is not an archive of expert games: it has no {MANIFEST}. How to make one: "
            f"{command('experts', '--help')}"
        )
    manifest = read_hashed_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{folder} has format {manifest.get('format')}, this program reads {FORMAT}: "
            "import the games again"
        )
    return manifest
