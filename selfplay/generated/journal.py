"""A journal of games that take long to play, kept until their archive is complete.

A file beside the archive: first the recipe, then a line for each chunk of games. An incomplete line
is ignored, and so is a file of another recipe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NotRequired, TypeAlias, TypedDict

import numpy as np

from selfplay.experts.game_record import ExpertGame, Targets
from selfplay.runs.files import to_jsonable, write_bytes

Chunk: TypeAlias = Sequence[ExpertGame]


class Journal:
    """The games played so far for one archive."""

    def __init__(self, archive: Path, recipe: Mapping[str, object]) -> None:
        """Names the file of the journal; `recipe` is what decides the games."""
        self.path = archive.parent / f".{archive.name}.games.jsonl"
        self._head = json.dumps(to_jsonable(recipe), sort_keys=True)

    def read(self) -> list[Chunk]:
        """Reads the complete chunks."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().split("\n")[:-1]
        if lines[:1] != [self._head]:
            return []
        return [[_from_json(record) for record in json.loads(line)] for line in lines[1:]]

    def games(
        self, sizes: Sequence[int], play: Callable[[int], Iterator[Chunk]]
    ) -> Iterator[ExpertGame]:
        """Yields all games: those in the journal, then newly played ones, which it appends.

        Args:
            sizes: the number of games in each chunk. From the first chunk with fewer games on, the
                games are played again; of a chunk with more games, the first ones are yielded.
            play: plays the chunks from this number on.

        Raises:
            OSError: the file cannot be written.
        """
        chunks = self.read()
        pairs = zip(chunks, sizes, strict=False)
        usable = sum(1 for _ in takewhile(lambda pair: len(pair[0]) >= pair[1], pairs))
        for chunk, size in zip(chunks[:usable], sizes, strict=False):
            yield from chunk[:size]
        if usable == len(sizes):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        complete = self._head + "\n" + "".join(map(_line, chunks[:usable]))
        write_bytes(self.path, complete.encode())  # without the line that was cut off
        with self.path.open("a") as file:
            for chunk in play(usable):
                file.write(_line(chunk))
                file.flush()
                os.fsync(file.fileno())
                yield from chunk

    def remove(self) -> None:
        """Deletes the file; call it once the archive is complete."""
        self.path.unlink(missing_ok=True)


class _Record(TypedDict):
    """A game in the journal."""

    outcome: int | None
    moves: list[int]
    taught: NotRequired[list[int]]  # `ExpertGame.is_target`
    best: NotRequired[list[list[int]]]  # `Targets.moves`
    results: NotRequired[list[int]]  # `Targets.outcomes`


def _line(chunk: Chunk) -> str:
    """Writes a chunk as a line of JSON."""
    return json.dumps([_to_json(game) for game in chunk]) + "\n"


def _to_json(game: ExpertGame) -> _Record:
    """Converts a generated game."""
    record: _Record = {"outcome": game.outcome, "moves": game.moves.astype(int).tolist()}
    if game.is_target is not None:
        record["taught"] = game.is_target.astype(int).tolist()
    if game.targets:
        record["best"] = game.targets.moves.astype(int).tolist()
        record["results"] = game.targets.outcomes.astype(int).tolist()
    return record


def _from_json(record: _Record) -> ExpertGame:
    """Converts a record back into the game."""
    targets = None
    if "best" in record and "results" in record:
        targets = Targets(np.array(record["best"], bool), np.array(record["results"], np.int8))
    is_target = np.array(record["taught"], bool) if "taught" in record else None
    moves = np.array(record["moves"], np.int16)
    return ExpertGame(moves, record["outcome"], is_target=is_target, targets=targets)
