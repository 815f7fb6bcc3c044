"""A study's folder: which runs it has, and how far each of them is.

study.json             the cells
runs/CELL              a run's folder
logs/CELL.log          what its training said
ladder/GAME            the ladder of all runs of a game
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfplay.command_line import command, near, without
from selfplay.imitation.imitate import FOLDER as IMITATION
from selfplay.ladder import database
from selfplay.runs import metrics
from selfplay.runs.files import read_json, reject_links, write_json
from selfplay.runs.renamed import today_field, today_option
from selfplay.runs.run import read_config
from selfplay.study.grid import RunSpec

FORMAT_VERSION = 1
STUDY = "study.json"


@dataclass(frozen=True)
class Study:
    """The cells of a study and where they lie."""

    folder: Path
    cells: tuple[RunSpec, ...]
    commands: tuple[str, ...] = ()  # that made it, in order

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Raises ValueError: no study there, or one of another format."""
        path = folder / STUDY
        if not path.exists():
            raise ValueError(
                f"{folder} is not a study: it has no {STUDY}. How to make one: "
                f"{command('ablate', '--help')}"
            )
        reject_links(folder)
        data = read_json(path)
        if data.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"{path} has format {data.get('format_version')}, this program reads "
                f"{FORMAT_VERSION}"
            )
        cells = tuple(_cell(one) for one in data["cells"])
        return cls(folder, cells, tuple(data["commands"]))

    @classmethod
    def extended(cls, folder: Path, cells: Sequence[RunSpec], command: str) -> Study:
        """The folder's study with the cells of this command besides its own; nothing is written.

        Raises:
            ValueError: a cell has the name of another one, or the folder holds something else.
        """
        known: dict[str, RunSpec] = {}
        commands = (command,)
        if (folder / STUDY).exists():
            study = cls.read(folder)
            known = {cell.name: cell for cell in study.cells}
            commands = tuple(dict.fromkeys((*study.commands, command)))
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is no study and not empty; choose another --out")
        for cell in cells:
            before = known.setdefault(cell.name, cell)
            if before != cell:
                raise ValueError(
                    f"{folder} has a run {cell.name} of {before.preset} {' '.join(before.flags)}, "
                    f"not of {cell.preset} {' '.join(cell.flags)}; choose another --out"
                )
        return cls(folder, tuple(known.values()), commands)

    def write(self) -> None:
        """Keep it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"commands": list(self.commands), "cells": [asdict(cell) for cell in self.cells]}
        write_json(self.folder / STUDY, {"format_version": FORMAT_VERSION, **content})

    def resume(self) -> str:
        """Returns the command that goes on with the study, as it can be typed here."""
        typed = shlex.split(self.commands[-1])[2:]  # behind python launch/ablate.py
        return command("ablate", *without(typed, "--out"), "--out", near(self.folder))

    def labels(self) -> dict[str, str]:
        """Returns the name of each cell's recipe, by the cell's name; a lone arm is left out."""
        lone = len({cell.arm for cell in self.cells}) == 1
        return {
            cell.name: cell.label.removeprefix(f"{cell.arm}: ") if lone else cell.label
            for cell in self.cells
        }

    def run(self, cell: RunSpec) -> Path:
        """The run's folder."""
        return self.folder / "runs" / cell.name

    def log(self, cell: RunSpec) -> Path:
        """What its training said."""
        return self.folder / "logs" / f"{cell.name}.log"

    def ladder(self, game: str) -> Path:
        """The folder of a game's ladder."""
        return self.folder / "ladder" / "".join(c if c.isalnum() else "-" for c in game)

    def games_played(self, game: str) -> int:
        """Counts the games that the ladder of a game holds.

        Raises:
            ValueError: its file is not a ladder, or is damaged.
        """
        return database.count(self.ladder(game) / database.FILE)

    def done(self, cell: RunSpec) -> int:
        """The last iteration that is committed; −1 before there is any."""
        rows = metrics.read_rows(self.run(cell)) if self.run(cell).is_dir() else []
        return rows[-1].iteration if rows else -1

    def iteration_seconds(self, label: str) -> float | None:
        """Mean over the runs called `label` of what an iteration took; None before there is one."""
        took = []
        for cell in self.cells:
            if cell.label == label and (done := self.done(cell)) > 0:
                rows = metrics.read_rows(self.run(cell))
                spent = rows[-1].seconds.total - rows[0].seconds.total
                took.append(spent / done)
        return statistics.fmean(took) if took else None

    def games(self) -> dict[str, list[RunSpec]]:
        """The cells that have a version to rate, by game."""
        found: dict[str, list[RunSpec]] = {}
        for cell in self.cells:
            first = 0 if (self.run(cell) / IMITATION).is_dir() else 1
            if self.done(cell) >= first:
                found.setdefault(read_config(self.run(cell))["game"], []).append(cell)
        return found


def _cell(data: dict[str, Any]) -> RunSpec:
    settings = tuple((today_field(field), value) for field, value in data["settings"])
    flags = tuple(today_option(flag) for flag in data["flags"])
    return RunSpec(**{**data, "flags": flags, "settings": settings})
