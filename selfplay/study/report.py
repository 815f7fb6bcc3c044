"""From a study's folder, or from runs with a ladder, to the page that says what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.flops import Ledger
from selfplay.scaling import findings, reading
from selfplay.scaling.page import Page, Section
from selfplay.scaling.points import Points, joined
from selfplay.store import metrics
from selfplay.store.codec import flat
from selfplay.store.run import read_config
from selfplay.study.folder import STUDY, Study

LADDER = "ladder.db"
NOT_OF_THE_RECIPE = ("seed", "cluster.", "store.", "exam.", "elo.")


@dataclass(frozen=True)
class Material:
    """What a report is made from.

    Attributes:
        title: of the report.
        runs: name → (folder, what it is but for the seed).
        ladders: game → the file of its ladder.
        missing: what is not there, a sentence each.
        commands: those that made it.
    """

    title: str
    runs: Mapping[str, tuple[Path, str]]
    ladders: Mapping[str, Path]
    missing: Sequence[str]
    commands: Sequence[str]


def material(paths: Sequence[Path]) -> Material:
    """Of one study, or of runs that have been rated.

    Raises:
        ValueError: nothing to report on, and why.
    """
    if len(paths) == 1 and (paths[0] / STUDY).exists():
        return of_study(Study.read(paths[0]))
    runs, ladders = {}, {}
    for path in paths:
        game = read_config(path)["game"]
        found = [
            path / name / LADDER for name in ("ladder", "elo") if (path / name / LADDER).exists()
        ]
        if not found:
            raise ValueError(f"{path} has no ladder; make one with launch/ladder.py {path}")
        if game in ladders:
            raise ValueError(
                f"{path} and another run have ladders of their own, whose ratings cannot be "
                "compared; rate them together as a study, launch/ablate.py"
            )
        runs[path.name], ladders[game] = (path, path.name), found[0]
    commands = [f"python launch/ladder.py {path}" for path in paths]
    return Material(", ".join(runs), runs, ladders, [], commands)


def of_study(study: Study) -> Material:
    """Of its runs that have a version; the others are missing."""
    runs, missing, ladders = {}, [], {}
    for cell in study.cells:
        done = study.done(cell)
        if done < 0:
            missing.append(f"`{cell.name}` has not begun.")
            continue
        runs[cell.name] = study.run(cell), cell.label
        wanted = read_config(study.run(cell))["iterations"]
        if done < wanted:
            missing.append(f"`{cell.name}` stands at iteration {done} of {wanted}.")
    for game in study.games():
        path = study.ladder(game) / LADDER
        if path.exists():
            ladders[game] = path
        else:
            missing.append(f"The versions of {game} are not rated.")
    if not ladders:
        raise ValueError(
            f"{study.folder} has no ladder yet ({len(runs)} of {len(study.cells)} runs have "
            "begun); go on with launch/ablate.py"
        )
    return Material(study.folder.name, runs, ladders, missing, study.commands)


def page(given: Material, root: Path = Path()) -> Page:
    """The report.

    Raises:
        ValueError: a ladder that cannot be read, or that rates no version of these runs.
    """
    sections = [what_was_run(given), ledger(given)]
    everything = []
    for game, path in given.ladders.items():
        points = _labelled(reading.points(reading.standing(path), root), given)
        everything.append(points)
        name = path.parent.name if len(given.ladders) > 1 else ""
        text = [
            f"{len(points)} rated versions of {len(points.runs)} runs; {_anchor(path)} is at 0 Elo."
        ]
        sections.append(Section(name, game, text, None, findings.of_ladder(points)))
    whole = joined(everything)
    if len(np.unique(whole.covariates["board"])) > 1:
        budget = findings.headline_budget(whole)
        same = whole.select(whole.covariates["simulations"] == budget)
        text = ["Ratings of each board are relative to the anchor of its own ladder."]
        sections.append(Section("boards", "All boards", text, None, [findings.of_boards(same)]))
    said = findings.caveats(whole)
    sections.append(Section("", "What to keep in mind", [*said, *given.missing]))
    headline = sections[2].findings[0].sentences[0]
    return Page(given.title, headline, sections, given.commands)


def what_was_run(given: Material) -> Section:
    """The fields in which the configs differ, one line for each combination."""
    configs = {name: _recipe(folder) for name, (folder, _) in given.runs.items()}
    fields = sorted({f for config in configs.values() for f in config})
    differ = [f for f in fields if len({str(c.get(f)) for c in configs.values()}) > 1]
    lines: dict[str, tuple[dict[str, Any], int]] = {}
    for name, (_, label) in given.runs.items():
        lines[label] = configs[name], lines.get(label, ({}, 0))[1] + 1
    header = ("run", *differ, "seeds")
    rows = [(label, *(c.get(f, "") for f in differ), n) for label, (c, n) in lines.items()]
    text = [f"{len(given.runs)} runs. " + " ".join(given.missing)]
    return Section("", "What was run", text, (header, rows))


def ledger(given: Material) -> Section:
    """What each combination cost, mean over its seeds."""
    costs: dict[str, list[tuple[Ledger, float]]] = {}
    for folder, label in given.runs.values():
        row = metrics.read(folder)[-1]
        names = ("imitation", "selfplay", "learning")
        spent = Ledger(*(int(row["ledger"][name]) for name in names))
        costs.setdefault(label, []).append((spent, metrics.total_seconds(row)))
    rows = []
    for label, all_of_it in costs.items():
        parts = [np.mean([getattr(one, name) for one, _ in all_of_it]) for name in _PARTS]
        seconds = float(np.mean([s for _, s in all_of_it]))
        rows.append((label, *(f"{part:.2e}" for part in parts), f"{seconds:,.0f}"))
    header = ("run", *(f"{name}, FLOPs" for name in ("imitation", "self-play", "learning", "all")),
              "seconds")  # fmt: skip
    text = [
        "FLOPs count 2 for each multiply-add of a weight. Means over seeds, of the last version."
    ]
    return Section("", "Ledger", text, (header, rows))


_PARTS = ("imitation", "selfplay", "learning", "total")


def _recipe(folder: Path) -> dict[str, Any]:
    fields = flat(read_config(folder))
    return {k: v for k, v in fields.items() if not k.startswith(NOT_OF_THE_RECIPE)}


def _labelled(points: Points, given: Material) -> Points:
    """With the recipes called as the report calls them."""
    labels = {str(folder): label for folder, label in given.runs.values()}
    names = [labels.get(run, recipe) for run, recipe in zip(points.run, points.recipe, strict=True)]
    return replace(points, recipe=np.array(names, np.str_))


def _anchor(path: Path) -> str:
    standing = reading.standing(path)
    return f"`{standing.entries[standing.ratings.anchor].spec}`"
