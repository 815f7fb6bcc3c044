"""From a study's folder, a ladder's, or rated runs, to the page that says what they show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.command_line import command, documented
from selfplay.ladder import database
from selfplay.model.flops import Ledger
from selfplay.ratings import goodness_of_fit
from selfplay.report import findings, rated_runs
from selfplay.report.page import Page, Section
from selfplay.report.rated_runs import PERFECT, RatedRuns
from selfplay.runs import metrics
from selfplay.runs.codec import flat
from selfplay.runs.run import check_distinct, read_config
from selfplay.scaling import from_ladder
from selfplay.scaling.factors import RECIPE, Factor, factors_of_configs, factors_of_versions
from selfplay.scaling.rated_versions import RatedVersions, join_ladders
from selfplay.study import provenance
from selfplay.study.folder import STUDY, Study
from selfplay.training.config import NOT_IN_RECIPE


@dataclass(frozen=True)
class Material:
    """What a report is made from.

    Attributes:
        title: of the report.
        runs: name → (folder, what it is but for the seed).
        ladders: game → the file of its ladder.
        missing: what is not there, a sentence each.
        commands: those that made it.
        root: that the ladders' names of runs start from.
        baselines: game → the recipe that others are compared with; else the first one rated.
        varied: the fields that were varied on purpose, in order; the configs tell if left out.
        arms: what a run is → the part of the study that it belongs to.
        rated: the runs that are compared at equal training; None: nothing is.
    """

    title: str
    runs: Mapping[str, tuple[Path, str]]
    ladders: Mapping[str, Path]
    missing: Sequence[str]
    commands: Sequence[str]
    root: Path = Path()
    baselines: Mapping[str, str] = field(default_factory=dict)
    varied: Sequence[str] = ()
    arms: Mapping[str, str] = field(default_factory=dict)
    rated: RatedRuns | None = None


def material(paths: Sequence[Path]) -> Material:
    """Of one study, of one ladder, or of runs that have been rated.

    Several runs of one game are compared on the ladder that they share.

    Raises:
        ValueError: nothing to report on, and why.
    """
    if len(paths) == 1 and (paths[0] / STUDY).exists():
        return of_study(Study.read(paths[0]))
    if len(paths) == 1 and (paths[0] / database.FILE).exists():
        return of_ladder(rated_runs.of_folder(paths[0]))
    of_game: dict[str, list[Path]] = {}
    for path in paths:
        of_game.setdefault(read_config(path)["game"], []).append(path)
    check_distinct(paths)
    apart = "; ".join(f"{game} in {', '.join(map(str, own))}" for game, own in of_game.items())
    if len(of_game) == 1 and len(paths) > 1:
        return of_ladder(rated_runs.shared_by(paths), paths[0])
    if len(of_game) < len(paths):
        raise ValueError(
            f"these runs play different games ({apart}), and only runs of one game can be "
            "compared: name those of one game"
        )
    runs, ladders = {}, {}
    for game, (path,) in of_game.items():
        files = (path / name / database.FILE for name in ("ladder", "elo"))
        found = [file for file in files if file.exists()]
        if not found:
            also = f"Ratings of different games are not compared ({apart}), and "
            raise ValueError(
                f"{also if len(paths) > 1 else ''}{path} has no ladder; make one: "
                f"{command('ladder', path)}"
            )
        runs[str(path)], ladders[game] = (path, str(path)), found[0]
    commands = [documented("ladder", path) for path in paths]
    apart = f"Ratings of different games are not compared: {apart}."
    return Material(", ".join(runs), runs, ladders, [apart] if len(paths) > 1 else [], commands)


def of_ladder(rated: RatedRuns, first: Path | None = None) -> Material:
    """Of runs that share a ladder; the recipe of the run `first` is the baseline."""
    runs = {name: (rated.root / name, label) for name, label in rated.labels.items()}
    missing = [f"`{name}` is on the ladder, and its folder is not here." for name in rated.absent]
    named = [rated.ladder.parent]
    title = rated.ladder.absolute().parent.name
    if (rated.root / STUDY).exists():
        title = f"{rated.root.absolute().name}, {title}"
    baselines = {}
    if first is not None:
        title, folders = ", ".join(runs), [folder for folder, _ in runs.values()]
        named = sorted(folders, key=lambda folder: folder.resolve() != first.resolve())
        labels = {folder.resolve(): label for folder, label in runs.values()}
        baselines[rated.game] = labels[first.resolve()]
    commands = [documented("report", *named)]
    ladders = {rated.game: rated.ladder}
    return Material(
        title, runs, ladders, missing, commands, rated.root, baselines, rated=rated
    )  # fmt: skip


def of_study(study: Study) -> Material:
    """Of its runs that have a version; the others are missing."""
    runs, missing, ladders = {}, [], {}
    labels = study.labels()
    for cell in study.runs:
        done = study.last_iteration(cell)
        if done < 0:
            tried = study.log_file(cell).exists()
            how = "has no version yet: see its log" if tried else "has not begun"
            missing.append(f"`{cell.name}` {how}.")
            continue
        runs[cell.name] = study.run_folder(cell), labels[cell.name]
        wanted = read_config(study.run_folder(cell))["iterations"]
        if done < wanted:
            missing.append(f"`{cell.name}` stands at iteration {done} of {wanted}.")
    for game in study.runs_to_rate():
        path = study.ladder_folder(game) / database.FILE
        if path.exists():
            ladders[game] = path
        else:
            missing.append(f"The versions of {game} are not rated.")
    if not ladders:
        raise ValueError(
            f"{study.folder} has no ladder yet ({len(runs)} of {len(study.runs)} runs have "
            f"begun); go on: {study.resume_command()}"
        )
    name = study.folder.absolute().name
    firsts = {game: labels[cells[0].name] for game, cells in study.runs_to_rate().items()}
    varied = list(dict.fromkeys(name for cell in study.runs for name, _ in cell.settings))
    return Material(
        name, runs, ladders, missing, study.commands, study.folder, firsts, varied,
        {labels[cell.name]: cell.arm for cell in study.runs},
    )  # fmt: skip


def factors(points: RatedVersions, given: Material) -> list[Factor]:
    """What tells the rated recipes apart: the axes of the study's grid, or else of the configs."""
    configs: dict[str, dict[str, Any]] = {}
    for folder, label in given.runs.values():
        if label in points.recipe and label not in configs:
            configs[label] = _recipe(folder)
    if set(points.recipe.tolist()) - configs.keys():  # the ladder rates other runs as well
        return factors_of_versions(points)
    arms = {label: given.arms.get(label) for label in configs}
    if len(set(arms.values())) > 1:
        configs = {label: {**config, RECIPE: arms[label]} for label, config in configs.items()}
    return factors_of_configs(configs, (*given.varied, RECIPE))


def page(given: Material) -> Page:
    """The report.

    Raises:
        ValueError: a ladder that cannot be read, or that rates no version of these runs.
    """
    parts: dict[str, tuple[RatedVersions, str]] = {}
    games: list[Section] = []
    missing, strange = list(given.missing), []
    for game, path in given.ladders.items():
        standing = from_ladder.read_state(path)
        anchor = standing.entries[standing.ratings.anchor].spec
        if given.rated:
            points = given.rated.points(standing)
        else:
            points = _labelled(from_ladder.read_versions(standing, given.root), given)
        parts[game] = points, anchor
        name = path.parent.name if len(given.ladders) > 1 else ""
        text = f"{len(points)} rated versions of {len(points.runs)} runs; `{anchor}` is at 0 Elo."
        found = findings.of_ladder(
            points, given.baselines.get(game, ""), anchor == PERFECT, factors(points, given)
        )
        if given.rated:
            compared = rated_runs.compare(standing, points, given.baselines.get(game, ""))
            found = [compared, *found] if compared else found
        games.append(Section(name, game, [text], None, found))
        fit = goodness_of_fit.p_value(standing.games, len(standing.entries))
        if fit < goodness_of_fit.P_REJECT:
            strange.append(
                f"{game}: a test of fit rejects one common scale (p = {fit:.1g}). Who beats whom "
                "is not a matter of one number alone, and no interval here holds that."
            )
        known = {(given.root / run).absolute() for run in points.runs}
        folders = (folder for folder, _ in given.runs.values())
        unrated = [
            f for f in folders if read_config(f)["game"] == game and f.absolute() not in known
        ]
        missing += [f"`{folder.name}` is not on the ladder." for folder in unrated]
        for run in points.runs:
            last = math.log10(Ledger.of(metrics.read(given.root / run)[-1]).total)
            if points.training[points.run == run].max() < last - 1e-9:
                missing.append(f"`{Path(run).name}` has gone on behind its last rated version.")
    whole = join_ladders([points for points, _ in parts.values()])
    said = [*findings.caveats(whole), *strange, *missing]
    lead = " ".join(f"{one.title}: {one.findings[0].sentences[0]}" for one in games)
    care = Section("", "What to keep in mind", said)
    sections = [*games, *_boards(parts), care, what_was_run(given), ledger(given)]
    made = provenance.sentences([folder for folder, _ in given.runs.values()])
    return Page(given.title, lead, sections, given.commands, made)


def _boards(parts: Mapping[str, tuple[RatedVersions, str]]) -> list[Section]:
    """What several boards of one game say together; those without perfect play are left out."""
    if len(parts) < 2 or len({game.partition("?")[0] for game in parts}) > 1:
        return []
    solved = {game: points for game, (points, anchor) in parts.items() if anchor == PERFECT}
    text = [f"{game} is left out: its 0 Elo is not perfect play." for game in parts.keys() - solved]
    found = []
    if len(solved) > 1:
        text.append("On the frontiers.")
        found = [findings.of_boards(join_ladders(list(solved.values())))]
    return [Section("boards", "All boards", text, None, found)]


def what_was_run(given: Material) -> Section:
    """The fields in which the configs differ, one line for each combination.

    What every line's name says has no column.
    """
    configs = {name: _recipe(folder) for name, (folder, _) in given.runs.items()}
    fields = sorted({f for config in configs.values() for f in config})
    differ = [f for f in fields if len({str(c.get(f)) for c in configs.values()}) > 1]
    labels = {label for _, label in given.runs.values()}
    differ = [
        f for f in differ if not all(f" {f.replace('_', '-')} " in f" {one}" for one in labels)
    ]
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
        costs.setdefault(label, []).append((Ledger.of(row), metrics.total_seconds(row)))
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
    config = read_config(folder)
    apart = {name for name in NOT_IN_RECIPE if name != "iterations"}
    return flat({name: value for name, value in config.items() if name not in apart})


def _labelled(points: RatedVersions, given: Material) -> RatedVersions:
    """With the recipes called as the report calls them."""
    labels = {folder.absolute(): label for folder, label in given.runs.values()}
    both = zip(points.run, points.recipe, strict=True)
    names = [labels.get((given.root / run).absolute(), recipe) for run, recipe in both]
    return replace(points, recipe=np.array(names, np.str_))
