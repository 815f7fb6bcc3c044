"""launch/ablate.py: bad input before any work, and a study that was killed goes on."""

import csv
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from configs.studies import STUDIES
from launch import ablation
from launch.ablate import parse_options, runs_of
from launch.plan import Plan, Planned
from launch.train import parse as parse_train
from selfplay.study import forecast, jobs
from selfplay.study.folder import Study
from selfplay.study.grid import RatingConfig
from selfplay.study.timing import StartCost, TimingRequest
from tests.selfplay.ladder.test_anchor import begin_ladder
from tests.small_runs import ROOT, TINY, assert_rejected, digests, run_cli, train

BAD = {
    "preset": ("hex_33 --grid network.width=4", "preset 'hex_33' (did you mean 'hex_3'?); choose"),
    "study name": ("hex_scalin --plan", "'hex_scalin' (did you mean 'hex_scaling'?); choose from"),
    "no preset": ("--grid network.width=4", "unknown study or preset"),
    "field": (
        "hex_3 --grid network.widht=4",
        "(did you mean 'network.width'?); choose from network.kind",
    ),
    "fix": (
        "hex_3 --fix learner.emma=1",
        "did you mean 'learner.ema-decay'?); choose from learner.batch",
    ),
    "nested": (
        "hex_3 --grid imitation.learner.ema=1,2",
        "is now called imitation.learner.ema-decay",
    ),
    "section": ("hex_3 --grid netwrk.width=4", "(did you mean 'network.width'?); choose from game"),
    "type": ("hex_3 --grid network.width=4,wide", "wide"),
    "value": ("hex_3 --grid network.width=4,0", "got 0"),
    "form": ("hex_3 --grid network.width", "is not FIELD=VALUE"),
    "seed": ("hex_3 --grid seed=1,2", "use --seeds N"),
    "seeds": ("hex_3 --grid network.width=4 --seeds 0", "--seeds must be at least 1, got 0"),
    "several": ("hex_3 --fix network.width=4,8", "several values are a --grid"),
    "both": (
        "hex_3 --fix network.width=4 --grid network.width=4",
        "names network.width, and the grid varies it",
    ),
    "no field": (
        "hex_3 --grid out=a,b",
        "out is not a field of the config; choose from game, iterations,",
    ),
    "study": ("hex_scaling --fix network.width=128", "names network.width, and the grid"),
    "place": ("--plan hex_scaling", "launch/ablate.py hex_scaling …"),
    "grid": ("recipes --grid network.width=4,8", "the study recipes has its grid"),
    "jobs": ("hex_3 --grid network.width=4 --jobs 0", "--jobs must be at least 1, got 0"),
    "retries": ("hex_3 --grid network.width=4 --retries -1", "must be at least 0, got -1"),
    "sure": ("hex_3 --until-stderr 0", "--until-stderr must be above 0, got 0"),
    "games": ("hex_3 --max-games 0", "--max-games must be above 0, got 0"),
    "versions": ("hex_3 --versions 0", "--versions must be above 0, got 0"),
    "no budget": ("hex_3 --sims", "--sims takes one or more budgets"),
    "budget": ("hex_3 --sims 0 -1", "--sims takes one or more budgets, none below 0; got 0 -1"),
    "tracker": ("hex_3 --track wandbb", "(did you mean 'wandb'?); choose from tensorboard"),
    "folder": ("hex_3 --grid network.width=4 --out {other}", "is no study and not empty"),
}


def test_ablate_rejects_bad_input_before_any_work(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    bad = {n: (t.format(other=other).split(), said) for n, (t, said) in BAD.items()}
    assert_rejected("launch.ablate", bad)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_plan_is_timed_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The lines of a plan are tested in test_plan.py, its timing in test_forecast.py."""
    small = "connect_four_smoke --grid network.width=4 --seeds 2 --plan --no-ladder --jobs 1"
    small += " --fix network.depth=1 search.num-simulations=2"
    small += " selfplay.batch-size=2 selfplay.segment-length=2"
    small += " game=tic_tac_toe init_from=first@1"
    ((status, said),) = run_cli("launch.ablate", [[*small.split(), "--out", str(tmp_path / "new")]])
    assert status == 0 and "2 runs, 10^" in said and "0 of 2" in said
    assert "training" in said and said.endswith(" left")
    assert not any(tmp_path.iterdir())


def command(study: Path, *grid: str) -> list[str]:
    """The command on a tiny study, rated in a few games."""
    fixed = dict(zip(TINY[::2], TINY[1::2], strict=False))
    fixed = [f"{name[2:]}={value}" for name, value in fixed.items() if name != "--exam.budgets"]
    made = [sys.executable, str(ROOT / "launch/ablate.py"), "connect_four_smoke", "--grid", *grid]
    made += ["--fix", *fixed, "--seeds", "1", "--out", str(study), "--sims", "0"]
    return [*made, "--versions", "2", "--anchor", "random", "--max-games", "100"]


def rated(study: Study) -> set[str]:
    with (study.ladder_folder("connect_four") / "ladder.csv").open() as file:
        return {row["player"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(("first", "anchor"), [("random", "random"), ("", "solver")])
def test_plan_times_the_anchor_that_the_ladder_has(
    first: str, anchor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(parse_options(["hex_3", "--fix", "game=tic_tac_toe", "--seeds", "1"]))
    study = Study(tmp_path, tuple(spec for spec, _ in runs))
    if first:
        begin_ladder(study.ladder_folder("tic_tac_toe") / "ladder.db", first)
    timed = list[TimingRequest]()

    def time_recipes(requests: Sequence[TimingRequest], *_: object) -> NoReturn:
        timed.extend(requests)
        raise forecast.TimingFailed("enough")

    monkeypatch.setattr(forecast, "time_recipes", time_recipes)
    ablation.make_plan(study, runs, RatingConfig(), 1, None, Console())
    assert [request.anchor for request in timed] == [anchor]


def test_study_whose_anchor_cannot_play_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(parse_options(["hex_5", "--seeds", "1"]))
    study = Study(tmp_path, tuple(spec for spec, _ in runs))
    monkeypatch.setattr(forecast, "time_recipes", lambda *_: pytest.fail("it worked"))
    with pytest.raises(ValueError, match=r"no perfect player of .*, as in --anchor random"):
        ablation.make_plan(study, runs, RatingConfig(anchor="solver"), 1, None, Console())


def test_studies_of_connect_four_name_perfect_play() -> None:
    for name in ("connect_four_budget_vs_size", "recipes"):
        assert STUDIES[name]().rating.anchor == "solver"


@pytest.mark.parametrize("track", [["tensorboard", "wandb?mode=offline"], []])
def test_every_run_of_a_study_gets_the_trackers(
    track: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(parse_options(["hex_3", "--fix", "game=tic_tac_toe", "--seeds", "2"]))
    study = Study(tmp_path, tuple(spec for spec, _ in runs))
    planned = tuple(Planned(*run, 1.0, None, StartCost(), False) for run in runs)
    queued = list[jobs.Job]()

    def run(queue: Sequence[jobs.Job], *_: object) -> list[jobs.JobResult]:
        queued.extend(queue)
        return []

    monkeypatch.setattr(jobs, "run", run)
    ablation.train(study, Plan(planned, 1, (), "", False), 0, track, None, Console())
    options = [parse_train(list(job.command[2:]))[1] for job in queued]
    assert [option.track for option in options] == [tuple(track)] * 2


@pytest.mark.slow
def test_killed_study_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    words = [*command(tmp_path / "study", "network.norm=none,rms"), "--jobs", "1"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while not (tmp_path / "study" / "study.json").exists():
        assert process.poll() is None
        time.sleep(0.1)
    first, second = (study := Study.read(tmp_path / "study")).runs
    while study.last_iteration(second) < 1:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    stamp = (study.run_folder(first) / "metrics.jsonl").stat().st_mtime_ns
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(words, cwd=elsewhere, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1  norm-rms_seed-0" in done.stdout
    for start in ("the output of the runs is in ", "table, CSV and plot are in ", "report: "):
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(start)]
        paths = [word for word in shlex.split(line.removeprefix(start)) if word != "python"]
        assert all((elsewhere / path).exists() for path in paths), line
    assert (study.run_folder(first) / "metrics.jsonl").stat().st_mtime_ns == stamp
    alone = train(tmp_path / "alone", *TINY, "--network.norm", "rms", "--cluster.actors", "0")
    assert digests(study.run_folder(second)) == alone
    assert {f"runs/{cell.name}@3?sims=0" for cell in study.runs} < rated(study)


@pytest.mark.slow
def test_failed_run_is_reported_and_does_not_stop_the_others(tmp_path: Path) -> None:
    words = command(tmp_path / "study", "learner.learning-rate=1e30,0.001")
    done = subprocess.run(words, capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "learning-rate-1e30_seed-0 failed with status 1 after" in said
    assert "2 tries: alarm: training diverged" in said
    assert "1 of 2 runs failed" in said
    study = Study.read(tmp_path / "study")
    bad, good = study.runs
    assert f"runs/{good.name}@3?sims=0" in rated(study)
    assert study.last_iteration(good) == 3 and study.last_iteration(bad) < 3
