"""Reports list what was run, what it shows and what is missing, in self-contained files."""

from __future__ import annotations

import base64
import csv
import importlib
import json
import re
import runpy
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from games import plugins
from launch import cli
from selfplay.ladder import model_fit, tables
from selfplay.ladder.database import LadderDatabase, Pairing
from selfplay.ladder.match import GameResult
from selfplay.model.config import NetworkConfig
from selfplay.players.specs import Player
from selfplay.ratings.goodness_of_fit import GoodnessOfFit
from selfplay.report import study_report
from selfplay.report.findings import Finding
from selfplay.report.page import Page, Section, write
from selfplay.report.table import Table
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, run_specs
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.small_runs import PLAIN, ROOT

WIDTHS, SEEDS, VERSIONS = (4, 8), 3, 4
GOLDEN = Path(__file__).with_name("golden_report.txt")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]\d+)?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a study of two widths and three seeds: one run has not started, one stopped early."""
    folder = tmp_path_factory.mktemp("studies") / "widths"
    axis = Axis.parse("network.width=" + ",".join(map(str, WIDTHS)))
    study = Study.extended(
        folder, run_specs([Arm("tic", axes=(axis,))], SEEDS), "python launch/x.py"
    )
    study.write()
    specs = []
    for run in study.runs:
        if run.name == "width-8_seed-2":
            continue
        width = int(run.settings[0][1])
        network = NetworkConfig(width=width, depth=1, head_width=4)
        stopped = run.name == "width-4_seed-2"
        config = replace(PLAIN, seed=run.seed, network=network, iterations=VERSIONS)
        make_run(study.run_folder(run), config, versions=3 if stopped else VERSIONS + 1)
        last = 2 if stopped else VERSIONS
        specs += [
            (f"runs/{run.name}@{version}?sims={sims}", 2.0 * np.log10(version * (sims + 2)))
            for version in {1, 2, last}
            for sims in (0, 8)
        ]
    play(study.ladder_folder("tic_tac_toe") / "ladder.db", specs)
    return folder


def play(path: Path, specs: list[tuple[str, float]], anchor: str = "random") -> None:
    """Makes a ladder on which each player has met the next three, with results by strength."""
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    strength = [-1.0, *(s for _, s in specs)]
    players = [Player(anchor, None), *(Player(s, None, s.partition("?")[0]) for s, _ in specs)]
    players = [replace(p, flops_per_move=10.0 ** (4 + (p.spec.endswith("=8")))) for p in players]
    with closing(LadderDatabase(path, {"game": "tic_tac_toe", "seed": 0})) as base:
        ids = [entry.id for entry in base.enter(players)]
        pairs = [(i, j) for i in range(len(ids)) for j in range(i + 1, min(i + 4, len(ids)))]
        plan = [Pairing(1, n, ids[i], ids[j], 0, 8) for n, (i, j) in enumerate(pairs)]
        base.begin_round(plan)
        for pairing, (i, j) in zip(plan, pairs, strict=True):
            wins = rng.random((8, 2)) < 1 / (1 + np.exp(strength[j] - strength[i]))
            played = [
                GameResult(n, swap, (n,), (), int(won) * 2 - 1, "")
                for n in range(8)
                for swap, won in zip((False, True), wins[n], strict=True)
            ]
            base.finish(pairing, played, 1)


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes the report of that study."""
    out = tmp_path_factory.mktemp("report")
    write(study_report.build_page(study_report.read_inputs([folder])), out)
    return out


def test_report_has_answers_missing_runs_and_no_external_files(written: Path) -> None:
    text = (written / "report.md").read_text()
    titles = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    assert titles[:3] == ["widths", "tic_tac_toe", "Which network.width?"]  # the answer comes first
    assert titles[-4:] == ["What was run", "Ledger", "How it was made", "Commands"]
    assert "| network.width 4 | 3 |" in text  # the name says what differs; three seeds
    assert "`width-8_seed-2` has not started." in text
    assert "`width-4_seed-2` is at iteration 2 of 4." in text
    assert "python launch/x.py" in text
    assert "| network.width 4 | 2.33e+03 | 1.00e+03 | 3.33e+03 |" in text  # (4 + 4 + 2) / 3
    assert "In every row: imitation, FLOPs 0.00e+00, seconds 0." in text
    for name in ("map", "training", "search", "exchange"):
        assert f"({name}.png)" in text and (written / f"{name}.png").stat().st_size > 10_000
    html = (written / "index.html").read_text()
    assert html.count("<svg") == html.count("<figure") >= 4
    loaded = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", html)
    assert all(target.startswith(("#", "data:")) for target in loaded), loaded
    with (written / "search.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["recipe"] for row in rows} == {"network.width 4", "network.width 8"}
    assert len(rows) == 28


def test_report_has_the_golden_text(written: Path) -> None:
    """Compares all text but the provenance; other machines may round numbers differently."""
    text = (written / "report.md").read_text().partition("## How it was made")[0]
    renewed = written.with_name("golden_report.txt")
    renewed.write_text(text)
    same = [NUMBER.sub("0", version) for version in (text, GOLDEN.read_text())]
    assert same[0] == same[1], f"if the change is intended: cp {renewed} {GOLDEN}"


def limits(page: Page) -> Sequence[str]:
    """Returns the sentences of a page on the limits of its data."""
    (section,) = (s for s in page.sections if s.title == "What to keep in mind")
    return section.text


def test_report_lists_failed_runs_and_training_beyond_ratings(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "widths"
    shutil.copytree(folder, copy)
    study = Study.read(copy)
    log = next(study.log_file(run) for run in study.runs if run.name == "width-8_seed-2")
    log.parent.mkdir(exist_ok=True)
    log.write_text("error: no room\n")
    rows = copy / "runs" / "width-8_seed-1" / "metrics.jsonl"
    last = json.loads(rows.read_text().splitlines()[-1])
    more = {name: 2 * value for name, value in last["ledger"].items() if name != "ooms"}
    further = last | {"iteration": last["iteration"] + 1, "ledger": last["ledger"] | more}
    rows.write_text(f"{rows.read_text()}{json.dumps(further)}\n")
    sentences = limits(study_report.build_page(study_report.read_inputs([copy])))
    assert "`width-8_seed-2` has no version yet: see its log." in sentences
    assert "`width-8_seed-1` was trained beyond its last rated version." in sentences
    assert not any("seed-0" in sentence for sentence in sentences)


def test_boards_without_perfect_play_are_left_out(tmp_path: Path) -> None:
    arms = [Arm(f"hex_{size}") for size in (2, 3, 4)]
    study = Study.extended(tmp_path / "boards", run_specs(arms, 3), "c")
    study.write()
    for size, anchor in ((2, "solver"), (3, "solver"), (4, "random")):
        runs = [run for run in study.runs if run.preset == f"hex_{size}"]
        game = f"hex?size={size}"
        specs = []
        for run in runs:
            make_run(
                study.run_folder(run), replace(PLAIN, game=game, seed=run.seed, iterations=8), 9
            )
            rise = enumerate((1, 2, 4, 8))
            specs += [(f"runs/{run.name}@{v}?sims=8", i - 4.0 + size) for i, v in rise]
        play(study.ladder_folder(game) / "ladder.db", specs, anchor)
    page = study_report.build_page(study_report.read_inputs([study.folder]))
    (boards,) = (section for section in page.sections if section.name == "boards")
    assert "hex?size=4 is left out: its 0 Elo is not perfect play." in boards.text
    assert len(boards.findings) == 1 and "Fitted to the frontiers." in boards.text
    assert all(f"hex?size={size}: At 8 simulations: " in page.lead for size in (2, 3, 4))
    recipes = [f for section in page.sections for f in section.findings if f.name == "recipes"]
    assert all(len(f.sentences) == len(f.results) for f in recipes)  # no baseline was replaced
    moved = study.folder.rename(tmp_path / "elsewhere")
    again = study_report.build_page(study_report.read_inputs([moved]))
    assert again.sections[0].findings[0].sentences == page.sections[0].findings[0].sentences


def test_report_warns_if_the_rating_model_does_not_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sentences() -> Sequence[str]:
        return limits(study_report.build_page(study_report.read_inputs([folder])))

    before = sentences()
    misfit = GoodnessOfFit([], one_scale=0.5, spread=0.0, cycles=1e-9, kinds=1.0, dispersion=1.0)
    monkeypatch.setattr(model_fit, "test", lambda state: misfit)
    (warning,) = set(sentences()) - set(before)
    assert warning.startswith("tic_tac_toe: ") and "(p = 1e-09)" in warning


def test_equal_studies_give_equal_files(folder: Path, written: Path, tmp_path: Path) -> None:
    write(study_report.build_page(study_report.read_inputs([folder])), tmp_path)
    assert {path.name for path in written.iterdir()} == {path.name for path in tmp_path.iterdir()}
    for path in written.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_write_removes_files_of_earlier_reports_only(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    shutil.copytree(written, out)
    (out / "notes.csv").write_text("by the user")
    finding = Finding(["This."], table=Table(("a",), [("b",)]), name="training", title="What?")
    write(Page("less", "10^9.5 FLOPs", [Section("", "One", findings=[finding])], ["c"]), out)
    assert "10<sup>9.5</sup> FLOPs" in (out / "index.html").read_text()
    names = {path.name for path in out.iterdir()}
    assert names == {"index.html", "report.md", "notes.csv", "training.csv"}


def test_html_contains_its_numbers(written: Path) -> None:
    links = r'download="([^"]+)" href="data:text/csv;base64,([^"]+)"'
    downloads = re.findall(links, (written / "index.html").read_text())
    assert {name for name, _ in downloads} == {path.name for path in written.glob("*.csv")}
    assert all(base64.b64decode(data) == (written / name).read_bytes() for name, data in downloads)


def test_read_inputs_rejects_what_cannot_be_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a run folder"):
        study_report.read_inputs([tmp_path])
    make_run(tmp_path / "run", PLAIN)
    with pytest.raises(ValueError, match=r"has no ladder; make one: "):
        study_report.read_inputs([tmp_path / "run"])
    axis = Axis.parse("network.width=4")
    study = Study.extended(tmp_path / "study", run_specs([Arm("tic", axes=(axis,))], 1), "c")
    study.write()
    with pytest.raises(ValueError, match="has no ladder yet \\(0 of 1 runs have begun\\)"):
        study_report.read_inputs([tmp_path / "study"])


def test_examples_add_a_question_and_read_the_study(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("pandas")
    study = tmp_path / "widths"
    shutil.copytree(folder, study)
    for file in study.glob("runs/*/metrics.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        timed = [{**row, "seconds": {"total": 2.0 * row["iteration"]}} for row in rows]
        file.write_text("".join(f"{json.dumps(row)}\n" for row in timed))
    database = study / "ladder" / "tic-tac-toe" / "ladder.db"
    state = study_report.from_ladder.read_state(database)
    database.with_name("ladder.csv").write_text(tables.to_csv(state))

    examples = ROOT / "docs" / "examples"
    monkeypatch.chdir(examples)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(plugins._Trust, "paths", set())
    command = ["report", str(study), "--questions", "my_question:TIME"]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(cli, "configure_process", lambda: None)
    importlib.import_module("launch.report").main()
    with (study / "report" / "time.csv").open() as file:
        assert {row["seconds_log10"] for row in csv.DictReader(file)} >= {str(np.log10(2.0))}
    text = (study / "report" / "report.md").read_text()
    asked, *_ = text.partition("### What does wall-clock time buy?")[2].split("##")
    assert "Elo per OOM of seconds" in asked and "](time.png)" in asked

    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["read_a_study.py", str(study)])
    printed = runpy.run_path(str(examples / "read_a_study.py"), run_name="__main__")
    slopes = printed["elo_per_oom"](printed["read_versions"](study / "report"))
    assert slopes.index.names == ["recipe", "simulations"] and len(slopes) == len(WIDTHS) * 2
    assert slopes.loc[("network.width 4", 0.0), "count"] == SEEDS
    output = capsys.readouterr().out
    assert "network.width 8" in output and "tic-tac-toe" in output


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a study of two widths, two search budgets and two seeds; one recipe has no runs yet."""
    folder = tmp_path_factory.mktemp("studies") / "crossed"
    axes = (Axis.parse("network.width=4,8"), Axis.parse("search.num-simulations=2,8"))
    study = Study.extended(folder, run_specs([Arm("tic", axes=axes)], 2), "python launch/x.py")
    study.write()
    specs = []
    for run in study.runs:
        width, simulations = (int(value) for _, value in run.settings)
        if (width, simulations) == (8, 8):
            continue
        config = replace(
            PLAIN, seed=run.seed, network=NetworkConfig(width=width, depth=1, head_width=4),
            search=replace(PLAIN.search, num_simulations=simulations), iterations=VERSIONS,
        )  # fmt: skip
        make_run(study.run_folder(run), config, VERSIONS + 1)
        specs += [
            (f"runs/{run.name}@{v}?sims=8", 2.0 * np.log10(v * simulations * width))
            for v in (1, 2, 4)
        ]
    play(study.ladder_folder("tic_tac_toe") / "ladder.db", specs)
    return folder


def test_report_of_two_axes_begins_with_its_map(crossed: Path) -> None:
    page = study_report.build_page(study_report.read_inputs([crossed]))
    first = page.sections[0].findings[0]
    assert first.name == "map" and first.figure
    assert first.title == "Which network.width and which search.num-simulations?"
    assert page.lead == f"tic_tac_toe: {first.sentences[0]}"
    assert "`network.width" in page.lead and "recipes" in page.lead
    levels = {row[0] for row in first.figure.table.rows}
    assert levels == {3.0, round(np.log10(1000 * VERSIONS), 2)}  # the least and most of them all


def test_factors_without_study_are_fields_in_which_configs_differ(
    crossed: Path,
) -> None:
    inputs = study_report.read_inputs([crossed])
    for variant in (inputs, replace(inputs, varied=(), arms={})):
        standing = study_report.from_ladder.read_state(
            crossed / "ladder" / "tic-tac-toe" / "ladder.db"
        )
        points = study_report.labeled(
            study_report.from_ladder.read_versions(standing, crossed), variant
        )
        axes = study_report.factors(points, variant)
        assert [factor.field for factor in axes] == ["network.width", "search.num-simulations"]
        assert all(factor.numeric for factor in axes)
    narrow = {name: run for name, run in inputs.runs.items() if "width-8" not in name}
    partial = replace(inputs, runs=narrow)
    (factor,) = study_report.factors(study_report.labeled(points, partial), partial)
    assert factor.field == "recipe"


def test_arms_without_axes_are_distinguished_by_name(tmp_path: Path) -> None:
    flags = {"base": (), "puct": ("--search.algorithm", "puct"), "wide": ("--network.width", "8")}
    arms = [Arm("tic", values, name=name) for name, values in flags.items()]
    study = Study.extended(tmp_path / "parts", run_specs(arms, 1), "c")
    study.write()
    for run in study.runs:
        network = NetworkConfig(width=8 if run.arm == "wide" else 4, depth=1, head_width=4)
        algorithm = "puct" if run.arm == "puct" else "gumbel"
        search = replace(PLAIN.search, algorithm=algorithm)
        make_run(study.run_folder(run), replace(PLAIN, network=network, search=search), 2)
    specs = [(f"runs/{run.name}@1?sims=8", 1.0) for run in study.runs]
    play(study.ladder_folder("tic_tac_toe") / "ladder.db", specs)
    inputs = study_report.read_inputs([study.folder])
    standing = study_report.from_ladder.read_state(study.ladder_folder("tic_tac_toe") / "ladder.db")
    points = study_report.labeled(
        study_report.from_ladder.read_versions(standing, study.folder), inputs
    )
    (factor,) = study_report.factors(points, inputs)
    assert factor.field == "recipe" and factor.levels == ["base", "puct", "wide"]
