"""Builds the report of a study, of a ladder, or of rated runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from selfplay.command_line import command, documented
from selfplay.ladder import database, model_fit
from selfplay.ratings.goodness_of_fit import P_REJECT, GoodnessOfFit
from selfplay.report import rated_runs
from selfplay.report.evidence import Evidence, caveats
from selfplay.report.page import Page, Section
from selfplay.report.questions import Question, answer_all
from selfplay.report.rated_runs import PERFECT, RatedRuns
from selfplay.report.study_questions import OF_BOARDS, OF_RUNS, OF_STUDY
from selfplay.report.table import Table, Value
from selfplay.runs.codec import flat
from selfplay.runs.run import check_distinct, read_config
from selfplay.scaling import from_ladder, run_record
from selfplay.scaling.factors import RECIPE, Factor, factors_of_configs, factors_of_versions
from selfplay.scaling.rated_versions import RatedVersions, join_ladders
from selfplay.scaling.run_record import Cost, ReadRun, RunRecord, from_folders
from selfplay.study import provenance
from selfplay.study.folder import STUDY, Study, folder_name
from selfplay.study.provenance import Session
from selfplay.training.config import NOT_IN_RECIPE

LEDGER_PARTS = ("imitation", "selfplay", "learning", "total")


@dataclass(frozen=True)
class ReportedRun:
    """A run of a report.

    Attributes:
        folder: its folder; if published data are read, it does not exist, and only names the run.
        label: the name of its recipe.
        record: its config, and what its versions cost.
        sessions: its starts, as its manifest records them.
    """

    folder: Path
    label: str
    record: RunRecord
    sessions: Sequence[Session] = ()

    @classmethod
    def read(cls, folder: Path, label: str) -> ReportedRun:
        """Reads a run's folder.

        Raises:
            ValueError: the folder is not a run, or its metrics are damaged.
        """
        return cls(folder, label, run_record.read(folder), provenance.read_sessions(folder))


@dataclass(frozen=True)
class ReportInputs:
    """Inputs of a report.

    Attributes:
        title: of the report.
        runs: by name.
        ladders: game → the file of its ladder, or the folder of its table of games.
        missing: sentences on runs and ratings that do not exist.
        commands: that trained and rated the runs.
        root: the folder that the ladders' names of runs start from.
        baselines: game → the recipe that others are compared with; the first one if left out.
        varied: the fields that were varied on purpose, in order; if left out, those in which the
            configs differ.
        arms: recipe → the part of the study that it belongs to.
        rated: the runs to compare at equal training; None if there is nothing to compare.
        read_run: reads a run by its name on a ladder; when left out, from its folder.
    """

    title: str
    runs: Mapping[str, ReportedRun]
    ladders: Mapping[str, Path]
    missing: Sequence[str]
    commands: Sequence[str]
    root: Path = Path()
    baselines: Mapping[str, str] = field(default_factory=dict)
    varied: Sequence[str] = ()
    arms: Mapping[str, str] = field(default_factory=dict)
    rated: RatedRuns | None = None
    read_run: ReadRun | None = None

    def record(self, run: str) -> RunRecord:
        """Reads a run by its name on a ladder, which starts from `root`."""
        return (self.read_run or from_folders(self.root))(run)


def read_inputs(paths: Sequence[Path]) -> ReportInputs:
    """Reads a study, a ladder, or runs that have been rated.

    Several runs of one game are compared on the ladder that they share.

    Raises:
        ValueError: there is nothing to report on; the message says why.
    """
    inputs = _read_inputs(paths)
    return replace(inputs, read_run=from_folders(inputs.root))


def _read_inputs(paths: Sequence[Path]) -> ReportInputs:
    if len(paths) == 1 and (paths[0] / STUDY).exists():
        return inputs_of_study(Study.read(paths[0]))
    if len(paths) == 1 and (paths[0] / database.FILE).exists():
        return inputs_of_ladder(rated_runs.of_folder(paths[0]))
    by_game: dict[str, list[Path]] = {}
    for path in paths:
        by_game.setdefault(read_config(path)["game"], []).append(path)
    check_distinct(paths)
    if len(by_game) == 1 and len(paths) > 1:
        return inputs_of_ladder(rated_runs.shared_by(paths), paths[0])
    if len(by_game) < len(paths):
        raise ValueError(
            f"these runs play different games ({_list_games(by_game)}), and only runs of one game "
            "can be compared: name those of one game"
        )
    return _inputs_of_single_runs(by_game)


def _list_games(by_game: Mapping[str, Sequence[Path]]) -> str:
    return "; ".join(f"{game} in {', '.join(map(str, paths))}" for game, paths in by_game.items())


def _inputs_of_single_runs(by_game: Mapping[str, Sequence[Path]]) -> ReportInputs:
    """Reads one run of each game, with its own ladder.

    Raises:
        ValueError: a run has no ladder.
    """
    apart = f"Ratings of different games are not compared ({_list_games(by_game)})"
    several = len(by_game) > 1
    runs, ladders = {}, {}
    for game, (path,) in by_game.items():
        candidates = (path / name / database.FILE for name in ("ladder", "elo"))
        files = [file for file in candidates if file.exists()]
        if not files:
            raise ValueError(
                f"{f'{apart}, and ' if several else ''}{path} has no ladder; make one: "
                f"{command('ladder', path)}"
            )
        runs[str(path)], ladders[game] = ReportedRun.read(path, str(path)), files[0]
    commands = [documented("ladder", run.folder) for run in runs.values()]
    missing = [f"{apart}."] if several else []
    return ReportInputs(", ".join(runs), runs, ladders, missing, commands)


def inputs_of_ladder(rated: RatedRuns, first: Path | None = None) -> ReportInputs:
    """Reads runs that share a ladder; the recipe of the run `first` is the baseline."""
    runs = {
        name: ReportedRun.read(rated.root / name, label) for name, label in rated.labels.items()
    }
    missing = [f"`{name}` is on the ladder, but its folder was not found." for name in rated.absent]
    sources = [rated.ladder.parent]
    title = rated.ladder.absolute().parent.name
    if (rated.root / STUDY).exists():
        title = f"{rated.root.absolute().name}, {title}"
    baselines = {}
    if first is not None:
        title, folders = ", ".join(runs), [run.folder for run in runs.values()]
        sources = sorted(folders, key=lambda folder: folder.resolve() != first.resolve())
        labels = {run.folder.resolve(): run.label for run in runs.values()}
        baselines[rated.game] = labels[first.resolve()]
    return ReportInputs(
        title=title,
        runs=runs,
        ladders={rated.game: rated.ladder},
        missing=missing,
        commands=[documented("report", *sources)],
        root=rated.root,
        baselines=baselines,
        rated=rated,
    )


def inputs_of_study(study: Study) -> ReportInputs:
    """Reads the runs of a study that have a version; all others are listed as missing.

    Raises:
        ValueError: the study has no ladder yet.
    """
    runs: dict[str, ReportedRun] = {}
    missing, ladders = [], {}
    labels = study.labels()
    for run in study.runs:
        last = study.last_iteration(run)
        if last < 0:
            started = study.log_file(run).exists()
            state = "has no version yet: see its log" if started else "has not started"
            missing.append(f"`{run.name}` {state}.")
            continue
        runs[run.name] = ReportedRun.read(study.run_folder(run), labels[run.name])
        iterations = runs[run.name].record.config["iterations"]
        if last < iterations:
            missing.append(f"`{run.name}` is at iteration {last} of {iterations}.")
    by_game = study.runs_to_rate()
    for game in by_game:
        path = study.ladder_folder(game) / database.FILE
        if path.exists():
            ladders[game] = path
        else:
            missing.append(f"The versions of {game} are not rated.")
    if not ladders:
        raise ValueError(
            f"{study.folder} has no ladder yet ({len(runs)} of {len(study.runs)} runs have "
            f"begun); resume the study: {study.resume_command()}"
        )
    return ReportInputs(
        title=study.folder.absolute().name,
        runs=runs,
        ladders=ladders,
        missing=missing,
        commands=study.commands,
        root=study.folder,
        baselines={game: labels[specs[0].name] for game, specs in by_game.items()},
        varied=list(dict.fromkeys(name for run in study.runs for name, _ in run.settings)),
        arms={labels[run.name]: run.arm for run in study.runs},
    )


def factors(points: RatedVersions, inputs: ReportInputs) -> list[Factor]:
    """Finds the fields that distinguish the rated recipes: the grid's axes, or the configs'."""
    configs: dict[str, dict[str, object]] = {}
    for run in inputs.runs.values():
        if run.label in points.recipe and run.label not in configs:
            configs[run.label] = _recipe(run.record)
    if set(points.recipe.tolist()) - configs.keys():  # the ladder rates other runs as well
        return factors_of_versions(points)
    arms = {label: inputs.arms.get(label) for label in configs}
    if len(set(arms.values())) > 1:
        configs = {label: {**config, RECIPE: arms[label]} for label, config in configs.items()}
    return factors_of_configs(configs, (*inputs.varied, RECIPE))


@dataclass(frozen=True)
class _RatedGame:
    """The ratings of one game's runs, with their section of the report.

    Attributes:
        game: its spec.
        points: the rated versions.
        anchor: spec of the player at 0 Elo.
        section: of the report.
        fit: how well the ratings explain the games.
    """

    game: str
    points: RatedVersions
    anchor: str
    section: Section
    fit: GoodnessOfFit


def _rate_game(
    game: str, ladder: Path, inputs: ReportInputs, extra_questions: Sequence[Question]
) -> _RatedGame:
    """Reads a game's ladder, and answers all questions about it."""
    standing = from_ladder.read_state(ladder)
    anchor = standing.entries[standing.ratings.anchor].spec
    if inputs.rated:
        points = inputs.rated.points(standing, inputs.read_run)
    else:
        versions = from_ladder.read_versions(standing, inputs.root, read_run=inputs.read_run)
        points = labeled(versions, inputs)
    baseline = inputs.baselines.get(game, "")
    evidence = Evidence(points, baseline, anchor == PERFECT, factors(points, inputs), standing)
    answers = answer_all(evidence, OF_RUNS if inputs.rated else OF_STUDY, extra_questions)
    name = folder_name(game) if len(inputs.ladders) > 1 else ""
    text = f"{len(points)} rated versions of {len(points.runs)} runs; `{anchor}` is at 0 Elo."
    section = Section(name, game, [text], None, answers)
    return _RatedGame(game, points, anchor, section, evidence.fit or model_fit.test(standing))


def build_page(inputs: ReportInputs, extra_questions: Sequence[Question] = ()) -> Page:
    """Builds the report.

    Args:
        inputs: what is reported on.
        extra_questions: questions to each game after those of every report; one that fails says
            so in its section.

    Raises:
        ValueError: a ladder cannot be read, or rates no version of these runs.
    """
    games = [
        _rate_game(game, ladder, inputs, extra_questions) for game, ladder in inputs.ladders.items()
    ]
    limits = [
        *caveats(join_ladders([rated.points for rated in games])),
        *(_misfit(rated) for rated in games if rated.fit.p_value < P_REJECT),
        *inputs.missing,
        *(sentence for rated in games for sentence in _unrated(rated, inputs)),
    ]
    lead = " ".join(f"{rated.game}: {rated.section.findings[0].sentences[0]}" for rated in games)
    sections = [
        *(rated.section for rated in games),
        *_boards(games),
        Section("", "What to keep in mind", limits),
        what_was_run(inputs),
        ledger(inputs),
    ]
    sessions = [session for run in inputs.runs.values() for session in run.sessions]
    sources = provenance.sentences(sessions)
    return Page(inputs.title, lead, sections, inputs.commands, sources)


def _misfit(rated: _RatedGame) -> str:
    """Warns that ratings and deviations of pairings do not explain the results."""
    return (
        f"{rated.game}: {'; '.join(model_fit.reasons(rated.fit))}. The intervals in this report "
        "assume that pairings deviate from one scale at random."
    )


def _unrated(rated: _RatedGame, inputs: ReportInputs) -> list[str]:
    """Lists the runs of a game without ratings, and those trained beyond their ratings."""
    points = rated.points
    on_ladder = {(inputs.root / run).absolute() for run in points.runs}
    sentences = [
        f"`{run.folder.name}` is not on the ladder."
        for run in inputs.runs.values()
        if run.record.config["game"] == rated.game and run.folder.absolute() not in on_ladder
    ]
    for run in points.runs:
        record = inputs.record(run)
        last = math.log10(record.costs[record.last].ledger.total)
        if points.training[points.run == run].max() < last - 1e-9:
            sentences.append(f"`{Path(run).name}` was trained beyond its last rated version.")
    return sentences


def _boards(games: Sequence[_RatedGame]) -> list[Section]:
    """Answers how results change with the board, on the boards with perfect play at 0 Elo.

    There is no such section unless several games differ in their options only.
    """
    if len(games) < 2 or len({rated.game.partition("?")[0] for rated in games}) > 1:
        return []
    solved = [rated.points for rated in games if rated.anchor == PERFECT]
    text = [
        f"{rated.game} is left out: its 0 Elo is not perfect play."
        for rated in games
        if rated.anchor != PERFECT
    ]
    answers = []
    if len(solved) > 1:
        text.append("Fitted to the frontiers.")
        answers = answer_all(Evidence(join_ladders(solved)), OF_BOARDS)
    return [Section("boards", "All boards", text, None, answers)]


def what_was_run(inputs: ReportInputs) -> Section:
    """Lists the fields in which the configs differ, with a row for each recipe.

    A field that the name of every recipe contains has no column.
    """
    configs = {name: _recipe(run.record) for name, run in inputs.runs.items()}
    labels = {run.label for run in inputs.runs.values()}
    columns = [
        field
        for field in sorted({field for config in configs.values() for field in config})
        if len({str(config.get(field)) for config in configs.values()}) > 1
        and not all(f" {field.replace('_', '-')} " in f" {label}" for label in labels)
    ]
    of_recipe = {run.label: configs[name] for name, run in inputs.runs.items()}
    seeds = [run.label for run in inputs.runs.values()]
    rows = [
        (label, *(_value(config.get(field, "")) for field in columns), seeds.count(label))
        for label, config in of_recipe.items()
    ]
    text = [f"{len(inputs.runs)} runs. " + " ".join(inputs.missing)]
    return Section("", "What was run", text, Table(("run", *columns, "seeds"), rows))


def _value(value: object) -> Value:
    """Returns a field's value for a table: numbers as they are, everything else as text."""
    return value if isinstance(value, (int, float)) else str(value)


def ledger(inputs: ReportInputs) -> Section:
    """Lists the mean cost of each recipe over its seeds."""
    costs: dict[str, list[Cost]] = {}
    for run in inputs.runs.values():
        costs.setdefault(run.label, []).append(run.record.costs[run.record.last])
    rows = []
    for label, runs in costs.items():
        flops = [np.mean([getattr(cost.ledger, part) for cost in runs]) for part in LEDGER_PARTS]
        seconds = float(np.mean([cost.seconds for cost in runs]))
        rows.append((label, *(f"{mean:.2e}" for mean in flops), f"{seconds:,.0f}"))
    names = ("imitation", "self-play", "learning", "all")
    header = ("run", *(f"{name}, FLOPs" for name in names), "seconds")
    text = [
        "FLOPs count 2 for each multiply-add of a weight. Means over seeds, of the last version."
    ]
    return Section("", "Ledger", text, Table(header, rows))


def _recipe(record: RunRecord) -> dict[str, object]:
    """Returns the config of a run without what does not belong to its recipe."""
    config = record.config
    excluded = {name for name in NOT_IN_RECIPE if name != "iterations"}
    return flat({name: value for name, value in config.items() if name not in excluded})


def labeled(points: RatedVersions, inputs: ReportInputs) -> RatedVersions:
    """Replaces the recipes' names by those of the report."""
    labels = {run.folder.absolute(): run.label for run in inputs.runs.values()}
    both = zip(points.run, points.recipe, strict=True)
    names = [labels.get((inputs.root / run).absolute(), recipe) for run, recipe in both]
    return replace(points, recipe=np.array(names, np.str_))
