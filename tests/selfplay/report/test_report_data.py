"""A report is written again from its data alone, and damaged data are one clear sentence."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from selfplay.ladder import game_table
from selfplay.model.config import NetworkConfig
from selfplay.report import report_data, study_report
from selfplay.report.page import Page, to_markdown, write
from selfplay.runs.codec import JsonObject
from selfplay.runs.files import CorruptedFile, write_bytes
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, run_specs
from tests.selfplay.report.test_study_report import play
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.small_runs import PLAIN

SESSION = {"created": "2026-11-24T18:25:17+00:00", "python": "3.11.7", "host": {"os": "secret"}}


def make_study(folder: Path) -> Study:
    """Makes a study of two recipes and two seeds, rated on a ladder."""
    axis = Axis.parse("network.width=4,8")
    study = Study.extended(folder, run_specs([Arm("tic", axes=(axis,))], 2), "python launch/x.py")
    study.write()
    specs = []
    for run in study.runs:
        network = NetworkConfig(width=int(run.settings[0][1]), depth=1, head_width=4)
        config = replace(PLAIN, seed=run.seed, network=network, iterations=8)
        make_run(study.run_folder(run), config, versions=6)
        manifest = json.dumps({"sessions": [SESSION]})
        (study.run_folder(run) / "manifest.json").write_text(manifest)
        specs += [(f"runs/{run.name}@{v}?sims={s}", v / 4 + s / 16) for v in (1, 3) for s in (0, 8)]
    play(study.ladder_folder("tic_tac_toe") / "ladder.db", specs)
    return study


def contents(folder: Path) -> dict[str, bytes]:
    """Returns all files of a folder, without the date and the code of the report itself."""
    return {
        str(path.relative_to(folder)): re.sub(rb"This report: [^<\n]+", b"", path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_text(page: Page, out: Path) -> None:
    """Writes a report without its figures, which take most of the time."""
    write_bytes(out / "report.md", to_markdown(page).encode())


def report(
    inputs: study_report.ReportInputs, out: Path, write_page: Callable[[Page, Path], None] = write
) -> dict[str, bytes]:
    """Writes a report with its data, and returns the files."""
    write_page(study_report.build_page(inputs), out)
    report_data.write(inputs, out / report_data.FOLDER)
    return contents(out)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Writes the report of a study, deletes the study, and returns the report's folder."""
    folder = tmp_path_factory.mktemp("published")
    study = make_study(folder / "widths")
    files = report(study_report.read_inputs([study.folder]), folder / "report")
    shutil.rmtree(study.folder)
    return folder / "report", files


def test_report_is_written_again_from_its_data(
    published: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    folder, files = published
    assert {"data/study.json", "data/tic-tac-toe/games.csv.gz", "training.csv"} <= files.keys()
    data = report_data.find([folder])
    assert data is not None and data == folder / "data" == report_data.find([data])
    again = report(report_data.read(data), tmp_path / "again")
    assert again.keys() == files.keys()
    for name, content in files.items():
        assert again[name] == content, name
    assert b"secret" not in gzip.decompress(files["data/runs.json.gz"])


def test_comparison_of_runs_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    specs = []
    for seed, name in enumerate(("runs/a", "runs/b")):
        width = NetworkConfig(width=4 * (1 + seed), depth=1, head_width=4)
        make_run(Path(name), replace(PLAIN, network=width), versions=5)
        specs += [(f"{name}@{v}?sims=0", v / 4 + seed) for v in (1, 2, 4)]
    play(Path("ladders/x/ladder.db"), specs)
    inputs = study_report.read_inputs([Path("runs/a"), Path("runs/b")])
    first = report(inputs, Path("first"), write_text)
    shutil.rmtree("runs")
    shutil.rmtree("ladders")
    inputs = report_data.read(Path("first/data"))
    assert inputs.rated is not None and inputs.title == "runs/a, runs/b"
    assert report(inputs, Path("second"), write_text) == first


def edit(name: str, change: Callable[[JsonObject], object]) -> Callable[[Path], None]:
    """Returns a function that changes a JSON document of published data."""

    def edit_in(data: Path) -> None:
        path = data / name
        text = path.read_bytes()
        document = json.loads(gzip.decompress(text) if name.endswith(".gz") else text)
        change(document)
        changed = json.dumps(document).encode()
        path.write_bytes(gzip.compress(changed) if name.endswith(".gz") else changed)

    return edit_in


def first_run(document: JsonObject) -> JsonObject:
    return next(iter(document.values()))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (edit("report.json", lambda d: d.pop("arms")), "report.json is damaged.*'arms'"),
        (edit("report.json", lambda d: d.update(title="\x1b[2J")), "printable"),
        (edit("report.json", lambda d: d.update(format_version=2)), "has format 2"),
        (edit("report.json", lambda d: d.update(ladders=["../../x"])), "there is no ladder"),
        (edit("report.json", lambda d: d.update(runs={"a": 3})), "has no recipe"),
        (edit("runs.json.gz", lambda d: d.clear()), "does not describe the run"),
        (edit("runs.json.gz", lambda d: first_run(d).pop("config")), "runs/.* cannot be read"),
        (edit("runs.json.gz", lambda d: first_run(d)["versions"].clear()), "it has no version"),
        (edit("runs.json.gz", lambda d: first_run(d)["size"].update(rows=-1)), "-1 is not"),
        (lambda data: (data / "runs.json.gz").write_bytes(b"no"), "cannot be decompressed"),
        (lambda data: (data / "runs.json.gz").unlink(), "the file is missing"),
        (lambda data: (data / "link").symlink_to("/etc/passwd"), "is a link"),
    ],
)
def test_damaged_data_are_refused(
    published: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    damage: Callable[[Path], object],
    words: str,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(published[0] / "data", data)
    damage(data)
    with pytest.raises((ValueError, CorruptedFile), match=words):
        report_data.read(data)


def test_run_on_the_ladder_is_not_looked_for_on_the_disk(
    published: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(published[0] / "data", data)
    edit("runs.json.gz", lambda d: first_run(d).update(size=None))(data)
    with pytest.raises(CorruptedFile, match="does not describe the rated run"):
        study_report.build_page(report_data.read(data))


def test_import_path_in_published_data_is_not_followed(
    published: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(published[0] / "data", data)
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = "evil:Game"

    def rename(document: JsonObject) -> None:
        for run in document.values():
            run["config"].update(game=name)
            run["config"]["network"].update(kind=name)

    edit("runs.json.gz", rename)(data)
    edit("tic-tac-toe/ladder.json", lambda d: d["settings"].update(game=name))(data)
    edit("report.json", lambda d: d.update(ladders=[name], baselines={}))(data)
    (data / "tic-tac-toe").rename(data / "evil-Game")
    page = study_report.build_page(report_data.read(data))
    assert page.lead.startswith("evil:Game: ")
    assert game_table.read(data / "evil-Game").game == name
