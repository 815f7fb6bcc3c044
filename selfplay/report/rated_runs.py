"""Runs that share a ladder: where it is, which runs it rates, and how they compare."""

from __future__ import annotations

import os
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
from selfplay.runs.files import CorruptedFile, check_own, in_words
from selfplay.runs.run import CONFIG, read_config
from selfplay.scaling import from_ladder
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.study.folder import STUDY, Study

PERFECT = "solver"  # the spec of perfect play


@dataclass(frozen=True)
class RatedRuns:
    """Runs of one game whose versions are on one ladder.

    Attributes:
        ladder: its file.
        game: as the registry reads it.
        root: the folder that the runs' names start from.
        labels: the runs, as the ladder names them → recipe, or the run's name if it is the only
            one of its recipe. In a study: what the study calls it.
        absent: runs on the ladder that are not on this disk.
    """

    ladder: Path
    game: str
    root: Path
    labels: Mapping[str, str]
    absent: tuple[str, ...] = ()

    @classmethod
    def of(cls, ladder: Path, game: str, entries: Iterable[Entry]) -> RatedRuns:
        """Finds the runs of a ladder's players on the disk.

        Raises:
            ValueError: runs of different recipes whose names differ in their seeds only.
        """
        names = sorted({from_ladder.run_of(entry) for entry in entries} - {""})
        roots = _roots(ladder)
        root = max(roots, key=lambda r: sum(_is_run(r / name) for name in names))
        here = [name for name in names if _is_run(root / name)]
        absent = tuple(name for name in names if name not in here)
        return cls(ladder, game, root, _labels(root, here), absent)

    def only(self, folders: Iterable[Path]) -> RatedRuns:
        """Keeps the runs in these folders."""
        wanted = {folder.resolve() for folder in folders}
        names = [name for name in self.labels if (self.root / name).resolve() in wanted]
        return replace(self, labels=_labels(self.root, names), absent=())

    def holds(self, folders: Iterable[Path]) -> bool:
        """True = every one of these runs has versions on the ladder."""
        return {folder.resolve() for folder in folders} <= {
            (self.root / name).resolve() for name in self.labels
        }

    def points(self, standing: LadderState) -> RatedVersions:
        """Reads the rated versions of these runs, with recipes called by their labels."""
        points = from_ladder.read_versions(standing, self.root, runs=self.labels)
        recipe = [self.labels[run] for run in points.run.tolist()]
        return replace(points, recipe=np.array(recipe, np.str_))


def of_folder(folder: Path) -> RatedRuns:
    """Finds the runs of a ladder's folder.

    Raises:
        ValueError: no ladder there, or none of its runs is on this disk.
    """
    check_own(folder)
    found = _read(folder / database.FILE)
    if not found.labels:
        names = ", ".join(found.absent) or "no versions of runs"
        raise ValueError(
            f"{folder} rates {names}, and none of them is here: run the command in the folder in "
            "which launch/ladder.py was run"
        )
    return found


def shared_by(folders: Sequence[Path]) -> RatedRuns:
    """Finds the ladder that rates all of these runs, of several the one with the most games.

    Ladders are looked for where launch/ladder.py and launch/ablate.py put them: in ladders/, in the
    runs themselves, and in the study that they belong to.

    Raises:
        ValueError: there is none; the message names the command that makes one.
    """
    found: list[tuple[int, RatedRuns]] = []
    reasons = []
    for path in _candidates(folders):
        try:
            check_own(path.parent)
            rated = _read(path)
        except (ValueError, OSError, CorruptedFile) as reason:  # such as one that is being played
            reasons.append(in_words(reason))
            continue
        if rated.holds(folders):
            found.append((database.count(path), rated))
    if not found:
        names = ", ".join(map(str, folders))
        also = f" ({'; '.join(reasons)})" if reasons else ""
        raise ValueError(
            f"no ladder rates all of {names}{also}; make one: {command('ladder', *folders)}"
        )
    most = max(found, key=lambda pair: pair[0])[1]
    return most.only(folders)


def compare(standing: LadderState, points: RatedVersions, baseline: str = "") -> Finding | None:
    """Compares the recipes, or the runs, of one ladder; None if there is only one.

    Args:
        standing: the ladder's.
        points: its versions; see `RatedRuns.points`.
        baseline: the recipe that others are compared with; the first one when left out.
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
    """Lists the ladders' files that are near these runs and near here."""
    places = [Path("ladders")]
    for folder in folders:
        near = folder.parent, folder.parent.parent
        places += [folder, *(place / name for place in near for name in ("ladders", "ladder"))]
    files = [path for place in places for path in sorted(place.glob(f"*/{database.FILE}"))]
    return list({path.resolve(): path for path in files}.values())


def _roots(ladder: Path) -> list[Path]:
    """Lists the folders that the names of a ladder's players may start from, likely ones first."""
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
        cells = {study.run_folder(cell).resolve(): labels[cell.name] for cell in study.runs}
        known = {name: cells.get((root / name).resolve(), "") for name in names}
        if all(known.values()):
            return known
    recipes = from_ladder.recipe_names({name: read_config(root / name) for name in names})
    kinds = list(recipes.values())
    return {name: kind if kinds.count(kind) > 1 else name for name, kind in recipes.items()}
