"""Finds the ladder that several runs share, the runs that it rates, and how they compare."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from selfplay.command_line import command
from selfplay.ladder import database
from selfplay.ladder.database import Entry, LadderDatabase
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import pairing
from selfplay.report import comparison_section
from selfplay.report.findings import Finding
from selfplay.runs.files import CorruptedFile, in_words, reject_links
from selfplay.runs.run import CONFIG, read_config
from selfplay.scaling import from_ladder
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.run_record import ReadRun
from selfplay.study.folder import STUDY, Study

PERFECT = "solver"  # the spec of perfect play


@dataclass(frozen=True)
class RatedRuns:
    """Runs of one game whose versions are on one ladder.

    Attributes:
        ladder: its file.
        game: its spec.
        root: the folder that the runs' names start from.
        labels: run, as the ladder names it → recipe, or the run's name if it is the only one of
            its recipe; in a study, the study's name for the recipe.
        absent: runs on the ladder whose folders were not found.
    """

    ladder: Path
    game: str
    root: Path
    labels: Mapping[str, str]
    absent: tuple[str, ...] = ()

    @classmethod
    def of(cls, ladder: Path, game: str, entries: Iterable[Entry]) -> RatedRuns:
        """Finds the folders of the runs whose versions are a ladder's players.

        Raises:
            ValueError: runs of different recipes have names that differ in their seeds only.
        """
        names = sorted({from_ladder.run_of(entry) for entry in entries} - {""})
        roots = _roots(ladder)
        root = max(roots, key=lambda r: sum(_is_run(r / name) for name in names))
        present = [name for name in names if _is_run(root / name)]
        absent = tuple(name for name in names if name not in present)
        return cls(ladder, game, root, _labels(root, present), absent)

    def only(self, folders: Iterable[Path]) -> RatedRuns:
        """Selects the runs in these folders."""
        resolved = {folder.resolve() for folder in folders}
        names = [name for name in self.labels if (self.root / name).resolve() in resolved]
        return replace(self, labels=_labels(self.root, names), absent=())

    def has_all(self, folders: Iterable[Path]) -> bool:
        """Tells whether every one of these runs has versions on the ladder."""
        return {folder.resolve() for folder in folders} <= {
            (self.root / name).resolve() for name in self.labels
        }

    def points(self, standing: LadderState, read_run: ReadRun | None = None) -> RatedVersions:
        """Reads the rated versions of these runs, with their labels as recipes.

        Args:
            standing: state of the ladder.
            read_run: reads a run; when left out, from its folder.
        """
        points = from_ladder.read_versions(standing, self.root, runs=self.labels, read_run=read_run)
        recipe = [self.labels[run] for run in points.run.tolist()]
        return replace(points, recipe=np.array(recipe, np.str_))


def of_folder(folder: Path) -> RatedRuns:
    """Finds the runs of a ladder's folder.

    Raises:
        ValueError: the folder has no ladder, or the folders of all its runs are missing.
    """
    reject_links(folder)
    rated = _read(folder / database.FILE)
    if not rated.labels:
        names = ", ".join(rated.absent) or "no versions of runs"
        raise ValueError(
            f"{folder} rates {names}, and none of them is here: run the command in the folder in "
            "which launch/ladder.py was run"
        )
    return rated


def shared_by(folders: Sequence[Path]) -> RatedRuns:
    """Finds the ladder that rates all of these runs; of several, the one with the most games.

    Searches where launch/ladder.py and launch/ablate.py put ladders: in ladders/, in the runs
    themselves, and in the study that they belong to.

    Raises:
        ValueError: no ladder rates all of them; the message has the command that makes one.
    """
    most, largest = -1, None
    reasons = []
    for path in _candidates(folders):
        try:
            reject_links(path.parent)
            rated = _read(path)
        except (ValueError, OSError, CorruptedFile) as reason:  # such as a ladder in play
            reasons.append(in_words(reason))
            continue
        if rated.has_all(folders) and (games := database.count(path)) > most:
            most, largest = games, rated
    if largest is None:
        names = ", ".join(map(str, folders))
        also = f" ({'; '.join(reasons)})" if reasons else ""
        raise ValueError(
            f"no ladder rates all of {names}{also}; make one: {command('ladder', *folders)}"
        )
    return largest.only(folders)


def compare(standing: LadderState, points: RatedVersions, baseline: str = "") -> Finding | None:
    """Compares the recipes, or the runs, of one ladder; returns None if there is only one.

    Args:
        standing: state of the ladder.
        points: its versions; see `RatedRuns.points`.
        baseline: the recipe that others are compared with; the first one if left out.
    """
    information = partial(pairing.information, standing.ratings)
    anchor = standing.entries[standing.ratings.anchor].spec
    return comparison_section.finding(points, information, baseline, perfect=anchor == PERFECT)


def _read(path: Path) -> RatedRuns:
    settings = database.settings(path)
    if not isinstance(game := settings.get("game"), str):
        raise ValueError(f"{path} does not say which game it rates; make another ladder")
    with closing(LadderDatabase(path, settings)) as base:
        return RatedRuns.of(path, game, base.players())


def _candidates(folders: Sequence[Path]) -> list[Path]:
    """Lists the ladders' files in the working directory's ladders/ and near these runs."""
    places = [Path("ladders")]
    for folder in folders:
        above = folder.parent, folder.parent.parent
        places += [folder, *(place / name for place in above for name in ("ladders", "ladder"))]
    files = [path for place in places for path in sorted(place.glob(f"*/{database.FILE}"))]
    return list({path.resolve(): path for path in files}.values())


def _roots(ladder: Path) -> list[Path]:
    """Lists the folders that the names of a ladder's players may start from, best guess first."""
    above = [Path(os.path.normpath(ladder.parent.joinpath(*[".."] * n))) for n in (2, 3, 1)]
    study = [folder for folder in above if (folder / STUDY).exists()]
    return [*study, Path(), *above]


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).exists()


def _labels(root: Path, names: Sequence[str]) -> dict[str, str]:
    """Names the recipe of each run."""
    if (root / STUDY).exists():
        study = Study.read(root)
        labels = study.labels()
        by_folder = {study.run_folder(run).resolve(): labels[run.name] for run in study.runs}
        by_name = {name: by_folder.get((root / name).resolve(), "") for name in names}
        if all(by_name.values()):
            return by_name
    recipes = from_ladder.recipe_names({name: read_config(root / name) for name in names})
    counts = Counter(recipes.values())
    return {name: recipe if counts[recipe] > 1 else name for name, recipe in recipes.items()}
