"""A study's folder: which runs it has, and how far each of them is.

study.json             the runs' specs
runs/RUN               a run's folder
logs/RUN.log           output of its training
ladder/GAME            the ladder of all runs of a game
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

from selfplay.command_line import command, near, without
from selfplay.imitation.imitate import FOLDER as IMITATION
from selfplay.ladder import database
from selfplay.runs import metrics
from selfplay.runs.files import read_json, reject_links, write_json
from selfplay.runs.renamed import today_arguments, today_field
from selfplay.runs.run import read_config
from selfplay.study.grid import RunSpec, is_name

FORMAT_VERSION = 1
STUDY = "study.json"


@dataclass(frozen=True)
class Study:
    """A study's folder, its runs, and the commands that made it.

    Attributes:
        folder: of the study.
        runs: specs of all runs; file format 1 calls them `cells`.
        commands: in the order in which they were typed.
    """

    folder: Path
    runs: tuple[RunSpec, ...]
    commands: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Reads a study.

        Raises:
            ValueError: the folder contains no study, or one of another format.
        """
        path = folder / STUDY
        if not path.exists():
            raise ValueError(
                f"{folder} is not a study: it has no {STUDY}. How to make one: "
                f"{command('ablate', '--help')}"
            )
        reject_links(folder)
        document = read_json(path)
        if document.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"{path} has format {document.get('format_version')}, this program reads "
                f"{FORMAT_VERSION}"
            )
        runs = tuple(_run_spec(row) for row in document["cells"])
        return cls(folder, runs, tuple(document["commands"]))

    @classmethod
    def extended(cls, folder: Path, runs: Sequence[RunSpec], command: str) -> Study:
        """Adds the runs of a command to those of the folder's study, and writes nothing.

        Raises:
            ValueError: a run has the name of a different one, or the folder is not empty and no
                study.
        """
        by_name: dict[str, RunSpec] = {}
        commands = (command,)
        if (folder / STUDY).exists():
            study = cls.read(folder)
            by_name = {run.name: run for run in study.runs}
            runs = study.with_stored_names(runs)
            commands = tuple(dict.fromkeys((*study.commands, command)))
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is no study and not empty; choose another --out")
        for run in runs:
            earlier = by_name.setdefault(run.name, run)
            if earlier != run:
                raise ValueError(
                    f"{folder} has a run {run.name} of {earlier.preset} {' '.join(earlier.flags)}, "
                    f"not of {run.preset} {' '.join(run.flags)}; choose another --out"
                )
        return cls(folder, tuple(by_name.values()), commands)

    def with_stored_names(self, runs: Iterable[RunSpec]) -> list[RunSpec]:
        """Returns runs under the names of their folders in this study; new runs stay as they are.

        A name is made from the fields of the grid, and a folder keeps its name when a field is
        renamed. So a run is recognized by everything but its name.
        """
        stored = {replace(run, name=""): run for run in self.runs}
        return [stored.get(replace(run, name=""), run) for run in runs]

    def write(self) -> None:
        """Writes study.json, and makes the folder if needed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"commands": list(self.commands), "cells": [asdict(run) for run in self.runs]}
        write_json(self.folder / STUDY, {"format_version": FORMAT_VERSION, **content})

    def resume_command(self) -> str:
        """Returns the command that resumes the study, as typed in the working directory."""
        words = shlex.split(self.commands[-1])  # "python launch/ablate.py …" or "oomzero ablate …"
        arguments = today_arguments("ablate", without(words[2:], "--out"))
        return command("ablate", *arguments, "--out", near(self.folder))

    def labels(self) -> dict[str, str]:
        """Maps the name of each run to its recipe's; a study of one arm leaves out the arm's."""
        one_arm = len({run.arm for run in self.runs}) == 1
        return {
            run.name: run.label.removeprefix(f"{run.arm}: ") if one_arm else run.label
            for run in self.runs
        }

    def run_folder(self, run: RunSpec) -> Path:
        """Returns the path of a run's folder."""
        return self.folder / "runs" / run.name

    def log_file(self, run: RunSpec) -> Path:
        """Returns the path of the file with a run's output."""
        return self.folder / "logs" / f"{run.name}.log"

    def ladder_folder(self, game: str) -> Path:
        """Returns the path of the folder with a game's ladder."""
        return self.folder / "ladder" / folder_name(game)

    def games_played(self, game: str) -> int:
        """Counts the games that the ladder of a game contains.

        Raises:
            ValueError: its file is not a ladder, or is damaged.
        """
        return database.count(self.ladder_folder(game) / database.FILE)

    def last_iteration(self, run: RunSpec) -> int:
        """Returns the last committed iteration of a run; −1 if none is committed."""
        folder = self.run_folder(run)
        rows = metrics.read_rows(folder) if folder.is_dir() else []
        return rows[-1].iteration if rows else -1

    def iteration_seconds(self, label: str) -> float | None:
        """Computes the mean seconds of an iteration over a recipe's runs; None before the first."""
        seconds = []
        for run in self.runs:
            if run.label == label and (last := self.last_iteration(run)) > 0:
                rows = metrics.read_rows(self.run_folder(run))
                spent = rows[-1].seconds.total - rows[0].seconds.total
                seconds.append(spent / last)
        return statistics.fmean(seconds) if seconds else None

    def runs_to_rate(self) -> dict[str, list[RunSpec]]:
        """Groups the runs that have a version to rate by their game."""
        by_game: dict[str, list[RunSpec]] = {}
        for run in self.runs:
            folder = self.run_folder(run)
            first = 0 if (folder / IMITATION).is_dir() else 1
            if self.last_iteration(run) >= first:
                by_game.setdefault(read_config(folder)["game"], []).append(run)
        return by_game


def folder_name(game: str) -> str:
    """Returns the name of a folder for the ladder of a game: "hex-size-3" for "hex?size=3"."""
    return "".join(c if c.isalnum() else "-" for c in game)


class _RunDocument(TypedDict):
    """A run in study.json."""

    name: str
    arm: str
    preset: str
    flags: list[str]
    settings: list[tuple[str, str]]
    seed: int


def _run_spec(row: _RunDocument) -> RunSpec:
    """Makes a run's spec from its JSON, with today's names of fields and flags.

    Raises ValueError for a name that no study gives: commands get it as an argument.
    """
    if not is_name(row["name"]):
        raise ValueError(f"a run is called {row['name']!r}, which is no name of a study's run")
    return RunSpec(
        name=row["name"],
        arm=row["arm"],
        preset=row["preset"],
        flags=tuple(today_arguments("train", row["flags"])),
        settings=tuple((today_field(field), value) for field, value in row["settings"]),
        seed=row["seed"],
    )
