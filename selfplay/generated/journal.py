"""Games that took long to play, kept until the archive that they are for is complete.

A file beside the archive: first the recipe, then a line for each chunk of games. A line that was
cut off does not count, nor does a file of another recipe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.experts.game_record import ExpertGame
from selfplay.runs.files import to_jsonable, write_bytes

Chunk = Sequence[ExpertGame]


class Journal:
    """What was played so far."""

    def __init__(self, archive: Path, recipe: Mapping[str, Any]) -> None:
        """The journal of an archive that this recipe makes."""
        self.path = archive.parent / f".{archive.name}.games.jsonl"
        self._head = json.dumps(to_jsonable(recipe), sort_keys=True)

    def read(self) -> list[Chunk]:
        """The chunks that are complete."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().split("\n")[:-1]
        if lines[:1] != [self._head]:
            return []
        return [[_game(one) for one in json.loads(line)] for line in lines[1:]]

    def games(
        self, sizes: Sequence[int], play: Callable[[int], Iterator[Chunk]]
    ) -> Iterator[ExpertGame]:
        """All games: those played before, then those of ``play(chunks before)``, kept as they come.

        `sizes` are how many games each chunk should have. From the first chunk that has fewer on,
        the games are played again; where one has more, the first ones are taken.

        Raises:
            OSError: the file cannot be written.
        """
        known = self.read()
        pairs = zip(known, sizes, strict=False)
        usable = sum(1 for _ in takewhile(lambda pair: len(pair[0]) >= pair[1], pairs))
        for chunk, size in zip(known[:usable], sizes, strict=False):
            yield from chunk[:size]
        if usable == len(sizes):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._head + "\n" + "".join(map(_line, known[:usable]))  # without what was cut off
        write_bytes(self.path, whole.encode())
        with self.path.open("a") as file:
            for chunk in play(usable):
                file.write(_line(chunk))
                file.flush()
                os.fsync(file.fileno())
                yield from chunk

    def remove(self) -> None:
        """The archive is complete."""
        self.path.unlink(missing_ok=True)


def _line(chunk: Chunk) -> str:
    return json.dumps([_plain(game) for game in chunk]) + "\n"


def _plain(game: ExpertGame) -> dict[str, Any]:
    arrays = {"moves": game.moves, "taught": game.taught}
    if game.lessons:
        arrays["best"], arrays["results"] = game.lessons
    given = {name: array for name, array in arrays.items() if array is not None}
    return {"outcome": game.outcome} | {n: a.astype(int).tolist() for n, a in given.items()}


def _game(line: Mapping[str, Any]) -> ExpertGame:
    lessons = None
    if "best" in line:
        lessons = np.array(line["best"], bool), np.array(line["results"], np.int8)
    taught = np.array(line["taught"], bool) if "taught" in line else None
    moves = np.array(line["moves"], np.int16)
    return ExpertGame(moves, line["outcome"], taught=taught, lessons=lessons)
