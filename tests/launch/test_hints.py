"""Commands that messages name: they can be typed as they stand, whatever a folder is called."""

from __future__ import annotations

import importlib
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from launch import cli
from launch.ablate import arms_of
from selfplay.command_line import documented
from selfplay.experts.archive import read_manifest
from selfplay.learning.config import LearnerConfig
from selfplay.players.version import Version
from selfplay.report import rated_runs, study_report
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, run_specs
from tests.selfplay.report.test_study_report import play
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.small_runs import PLAIN, ROOT

RUN = "it's a run"


class Accepted(BaseException):
    """A command's parser has taken its arguments."""


@pytest.fixture
def accepts(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], object]:
    """A function that gives a command's words to its parser, and returns what that makes of them.

    Nothing is started. The command is found from where the test stands, as a shell would find it.
    """
    parse = tyro.cli

    def parsed(*arguments: Any, **options: Any) -> None:
        raise Accepted(parse(*arguments, **options))

    def accept(words: list[str]) -> object:
        python, script, *arguments = words
        assert Path(shutil.which(python) or "").samefile(sys.executable), python
        assert Path(script).parent.samefile(ROOT / "launch"), script
        module = importlib.import_module(f"launch.{Path(script).stem}")
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises((Accepted, SystemExit)) as end:
            module.main()
        if isinstance(end.value, SystemExit):
            assert end.value.code == 0, words  # --help
            return None
        return end.value.args[0]

    monkeypatch.setattr(cli, "configure_process", lambda: None)
    monkeypatch.setattr(tyro, "cli", parsed)
    return accept


def hint(error: BaseException) -> list[str]:
    """The words of the command at the end of a message."""
    return shlex.split(str(error).rpartition(": ")[2])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose name needs quotes, in the working directory."""
    monkeypatch.chdir(tmp_path)
    make_run(Path(RUN), PLAIN)
    make_run(Path("another"), replace(PLAIN, learner=LearnerConfig(batch_size=32, shards=2)))
    return Path(RUN)


def test_hint_for_a_missing_ladder_makes_it(run: Path, accepts: Any) -> None:
    other = Path("another")
    for missing, named in (
        (lambda: study_report.read_inputs([run]), [run]),
        (lambda: rated_runs.shared_by([run, other]), [run, other]),
        (lambda: Version.load(f"{run}@best"), [run]),
    ):
        with pytest.raises(ValueError) as error:
            missing()
        assert accepts(hint(error.value)).runs == tuple(map(str, named))


def test_hint_for_an_unfinished_study_works_in_any_folder(
    run: Path, accepts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ("hex_3", "--grid", "network.width=4,8")
    made = run_specs([Arm("hex_3", axes=(Axis.parse(grid[2]),))], 1)
    study = Study.extended(Path(RUN, "study"), made, documented("ablate", *grid, "--out=old"))
    study.write()
    for folder in (tmp_path, tmp_path / RUN, ROOT):
        monkeypatch.chdir(folder)
        with pytest.raises(ValueError, match=r"0 of 2 runs have begun") as error:
            study_report.read_inputs([tmp_path / RUN / "study"])
        options = accepts(hint(error.value))
        assert options.out.samefile(tmp_path / RUN / "study")
        assert (options.name, options.grid) == ("hex_3", ("network.width=4,8",))


@pytest.mark.parametrize(
    "words",
    [
        "--grid learner.reuse=2,4 --seeds 1 --set selfplay.lanes=8 search.rescale_values=false",
        "--grid=learner.reuse=2,4 --seeds=1 --fix selfplay.lanes=8 search.rescale-values=false",
    ],
)
def test_hint_for_a_study_of_format_1_has_the_names_of_today(
    words: str, run: Path, accepts: Any
) -> None:
    study = Study(run / "study", (), (documented("ablate", "hex_3", *words.split()),))
    options = accepts(shlex.split(study.resume_command()))
    assert (options.name, options.seeds) == ("hex_3", 1)
    (arm,) = arms_of(options)
    assert arm.axes == (Axis("learner.replay-ratio", ("2", "4")),)
    assert arm.flags == ("--selfplay.batch-size", "8", "--search.gumbel.no-rescale-values")


@pytest.mark.parametrize("read", [Study.read, read_manifest])
def test_error_for_a_missing_folder_names_the_command_with_help(
    read: Callable[[Path], object], run: Path, accepts: Any, capsys: Any
) -> None:
    with pytest.raises(ValueError, match=RUN) as error:
        read(run)
    accepts(hint(error.value))
    assert "usage:" in capsys.readouterr().out


def test_commands_of_a_report_name_no_path_of_this_machine(run: Path, accepts: Any) -> None:
    """They are for readers elsewhere: in the repository's folder, without paths of this machine."""
    specs = [(f"{name}@2?sims=0", 1.0) for name in (RUN, "another")]
    play(Path("ladders") / RUN / "ladder.db", specs)
    for paths in ([Path("ladders", RUN)], [run, Path("another")], [Path("another"), run]):
        (line,) = study_report.read_inputs(paths).commands
        python, script, *arguments = shlex.split(line)
        assert (python, script) == ("python", "launch/report.py")
        assert arguments == list(map(str, paths))
