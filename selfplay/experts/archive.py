"""An archive: a folder of expert rows, written once and read at random without loading it.

    manifest.json    what the archive holds and what was left out; written last
    FIELD.npy        one array for each field, memory-mapped (`replaying.FIELDS`)
    games.npz        the table of games, a line for each (`GAME`)

Rows have the fields of `selfplay.acting.row_schema.BASE`. What follows from other fields is not
stored: the policy is uniform over `targets`, and the version is −1, an expert.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict, cast

import numpy as np

import games
from games import plugins
from games.game import Game
from selfplay.acting.row_schema import Rows
from selfplay.command_line import command
from selfplay.experts.canonical import OPENING
from selfplay.experts.replaying import FIELDS
from selfplay.experts.selection import SourceCounts
from selfplay.runs.files import CorruptedFile, load_arrays, read_hashed_json, reject_links
from selfplay.runs.renamed import ROWS_ON_DISK

FORMAT = 1
MANIFEST = "manifest.json"
GAMES = "games.npz"
EXPERT = -1  # the version of an expert's rows

GAME = {
    "start": "int64[G], the game's first row",
    "rows": "int32[G]",
    "plies": "int32[G], moves, including those of players from whom nothing is learned",
    "split": "uint64[G], held out if below the held-out fraction of 2^64",
    "order": "uint64[G], in a sample if below the sample's fraction of 2^64",
    "opening": f"int16[G, {OPENING}], first moves in the canonical orientation; −1 for none",
    "outcome": "int8[G], for player 0; also 0 if there is no result",
    "known": "bool[G], True = there is a result",
    "taught": "bool[G], True = the rows have a value target",
    "komi": "float32[G], as the planes show it",
    "rating": "float32[G, 2], of players 0 and 1; NaN if unknown",
    "rank": "float32[G, 2], see `game_record.Strength`",
}
"""The columns of the table of games."""


class FieldFacts(TypedDict):
    """The manifest's entry for a field's array; `sha256` is over the elements' bytes."""

    dtype: str
    shape: list[int]
    sha256: str


class TableFacts(TypedDict):
    """The manifest's entry for the table of games."""

    count: int
    digest: str


class Contents(TypedDict):
    """The part of a manifest that says which games the archive holds.

    Attributes:
        game: the game's spec.
        held_out: fraction of the games that are held out.
        recipe: everything that decides what the archive holds.
        positions: number of rows.
        kept: number of games.
        left_out: number of other games by reason.
        notes: number of games by correction that the import made.
        files: the same counts for each source.
    """

    game: str
    held_out: float
    recipe: Mapping[str, object]
    positions: int
    kept: int
    left_out: dict[str, int]
    notes: dict[str, int]
    files: list[SourceCounts]


class Manifest(Contents):
    """An archive's manifest; `digest` is over the hashes of all arrays."""

    format: int
    fields: dict[str, FieldFacts]
    games: TableFacts
    digest: str


def hash_below(hashes: np.ndarray, fraction: float) -> np.ndarray:
    """Marks the 64-bit hashes below this fraction of 2^64: uint64 [G] → bool [G]."""
    return hashes.astype(np.float64) < fraction * 2.0**64


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of some games of an archive: a source of batches for the learner.

    Attributes:
        archive: the archive.
        games: int64 [G], lines of the table of games.
    """

    archive: ExpertArchive
    games: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows' indices in the archive, int64 [size], game after game."""
        start, count = (self.archive.games[name][self.games] for name in ("start", "rows"))
        before = np.cumsum(count) - count
        return np.repeat(start - before, count) + np.arange(count.sum())

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Rows:
        """Copies rows by their index in this split, int64 [n]; see `ExpertArchive.gather`."""
        return self.archive.gather(self.rows[np.asarray(indices, np.int64)])

    def sample(self, fraction: float) -> Split:
        """Returns about this fraction of the games; a larger sample includes a smaller one.

        Whether a game is included depends only on that game.
        """
        hashes = self.archive.games["order"][self.games]
        return Split(self.archive, self.games[hash_below(hashes, fraction)])

    def positions_in(self, other: Split) -> np.ndarray:
        """Marks the rows whose position, or its image, occurs in another split: bool [size]."""
        mine, theirs = (split.archive.fields["position"][split.rows] for split in (self, other))
        return np.isin(mine, theirs)


class ExpertArchive:
    """An archive, opened for reading.

    Attributes:
        folder: where it is.
        manifest: its manifest.
        game: the game.
        fields: memory-mapped arrays by name, `replaying.FIELDS`.
        games: the table of games, `GAME`.
    """

    def __init__(self, folder: str | Path) -> None:
        """Opens the folder; of its arrays, reads only the table of games.

        Raises:
            ValueError: the folder is not an archive, or has another format.
            CorruptedFile: files are missing or altered (of the fields, only dtypes and shapes are
                checked; `check` reads them).
        """
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        reject_links(self.folder)
        with plugins.stored_in(self.folder):
            self.game: Game = games.make(self.manifest["game"])
        self.games = load_arrays(self.folder / GAMES, self.manifest["games"]["digest"])
        self.fields = {name: self._mapped(name) for name in FIELDS}

    def _mapped(self, name: str) -> np.ndarray:
        """Maps a field's array into memory."""
        path = self._path(name)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptedFile(path, str(error)) from error
        expected = self.manifest["fields"][ROWS_ON_DISK.get(name, name)]
        if [array.dtype.name, list(array.shape)] != [expected["dtype"], expected["shape"]]:
            raise CorruptedFile(path, f"it holds {array.dtype.name}{list(array.shape)}")
        return array

    def _path(self, name: str) -> Path:
        """Returns the file of a field."""
        return self.folder / f"{ROWS_ON_DISK.get(name, name)}.npy"

    @property
    def digest(self) -> str:
        """64 hex digits over all arrays: equal for equal games and options."""
        return self.manifest["digest"]

    @property
    def size(self) -> int:
        """Number of rows, training and held out."""
        return len(self.fields["ply"])

    def gather(self, indices: np.ndarray) -> Rows:
        """Copies rows by their index, int64 [n], with the fields of `row_schema.BASE`.

        Raises:
            IndexError: an index outside ``[0, size)``.
        """
        indices = np.asarray(indices, np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < self.size:
            raise IndexError(
                f"rows {indices.min()}..{indices.max()} leave an archive of {self.size}"
            )
        order = np.argsort(indices, kind="stable")  # disks are fastest when read forwards
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
    def train(self) -> Split:
        """The games to learn from."""
        return self._split(held_out=False)

    @property
    def held_out(self) -> Split:
        """The games for evaluation; neither they nor their images are in `train`."""
        return self._split(held_out=True)

    def _split(self, held_out: bool) -> Split:
        """Returns one side of the split."""
        is_held_out = hash_below(self.games["split"], self.manifest["held_out"])
        return Split(self, np.flatnonzero(is_held_out == held_out))

    def check(self) -> None:
        """Reads every array and compares its hash with the manifest.

        Raises:
            CorruptedFile: an array was altered.
        """
        for name, array in self.fields.items():
            expected = self.manifest["fields"][ROWS_ON_DISK.get(name, name)]["sha256"]
            sha = hashlib.sha256()
            step = max(1, (1 << 24) // max(1, array[:1].nbytes))
            for at in range(0, len(array), step):
                sha.update(np.ascontiguousarray(array[at : at + step]).view(np.uint8).data)
            if sha.hexdigest() != expected:
                raise CorruptedFile(self._path(name), "its bytes were altered")


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of an archive.

    Raises:
        ValueError: the folder is not an archive, or has another format.
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
    return cast("Manifest", manifest)
