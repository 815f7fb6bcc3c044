"""Imitation learns, resumes to the same bits, and gives self-play its version 0."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import games
from launch.progress import Progress, measured
from selfplay.cluster import plan
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.filters import Filters
from selfplay.generated import importing
from selfplay.generated.config import Teacher
from selfplay.imitation import imitate
from selfplay.imitation.config import ImitationConfig
from selfplay.imitation.dataset import ExpertData
from selfplay.imitation.imitate import FOLDER, best_iteration, held_out_loss
from selfplay.learning.config import LearnerConfig
from selfplay.learning.learner import Diverged, Learner
from selfplay.learning.row_sources import Source
from selfplay.model import flops, network
from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.runs.commits import Commits
from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile, read_hashed_json, write_hashed_json
from selfplay.runs.metrics_row import ImitationRow, MetricsRow
from selfplay.runs.run import load_version
from selfplay.runs.window import ReplayConfig
from selfplay.tracking.tracker import TrackedRun
from selfplay.training.config import StoreConfig, TrainConfig
from selfplay.training.loop import NOT_REPRODUCIBLE, train
from selfplay.training.trainer import Trainer, TrainState
from selfplay.training.verify import verify
from tests.selfplay.experts.records import GAME as GO
from tests.selfplay.experts.records import NAME, random_moves, sgf, write
from tests.small_runs import PLAIN, ROOT

GAME = "tic_tac_toe"


def generate(folder: Path, count: int = 300, seed: int = 0) -> Path:
    """Generates an archive of a tic-tac-toe teacher's games."""
    teacher = Teacher(games=count, blunder=0.3, seed=seed)
    importing.generate(folder, GAME, games.make(GAME), teacher, 0.2, 1, lambda *a: None)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("experts") / "teacher")


@pytest.fixture(scope="module")
def config(data: Path) -> TrainConfig:
    """Two epochs in four parts, then two iterations of self-play."""
    size = ExpertArchive(data).train.size
    imitation = ImitationConfig(
        dataset=str(data),
        epochs=2,
        positions_per_iteration=size // 2,
        eval_positions=200,
        learner=LearnerConfig(batch_size=16, shards=2, warmup_steps=5, learning_rate=0.01),
        expert_fraction=0.5,
        expert_half_life=1.0,
    )
    store = StoreConfig(keep_for_verify=True)
    network = NetworkConfig("mlp", width=32, depth=1, head_width=16)
    return replace(PLAIN, iterations=2, network=network, imitation=imitation, store=store)


@pytest.fixture(scope="module")
def whole(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(config, folder, track=["tensorboard", note])
    return folder


def note(row: MetricsRow, run: TrackedRun) -> None:
    """Notes, as a tracker, which row it got of which run."""
    with (run.folder / "noted").open("a") as file:
        print(run.name, type(row).__name__, row.iteration, file=file)


def digests(folder: Path) -> list[Any]:
    return [row["digest"] for part in (folder / FOLDER, folder) for row in metrics.read(part)]


def stop_at(iteration: int) -> Callable[[MetricsRow], bool]:
    """Returns a callback that ends imitation after that iteration."""
    return lambda row: isinstance(row, ImitationRow) and row.iteration == iteration


def test_best_version_of_imitation_becomes_version_0(whole: Path, config: TrainConfig) -> None:
    rows = metrics.read(whole / FOLDER)[1:]
    assert [row["epoch"] for row in rows] == [0.5, 1.0, 1.5, 2.0]
    first, last = rows[0]["held_out"], rows[-1]["held_out"]
    assert last["policy_loss"] < first["policy_loss"] < np.log(9)
    assert last["value_loss"] < first["value_loss"]
    assert last["value_log_loss"] < last["colour_log_loss"]
    assert last["top1"] > 0.3 and last["top1"] <= last["top3"] <= last["top5"] <= 1
    version = metrics.read(whole)[0]["imitation"]["version"]
    typed = [row for row in metrics.read_rows(whole / FOLDER) if isinstance(row, ImitationRow)]
    assert version == best_iteration(typed)
    assert held_out_loss(typed[version - 1]) == min(map(held_out_loss, typed))
    best, start = load_version(whole / FOLDER, version).params, load_version(whole, 0).params
    assert digest(best) == digest(start)
    assert (
        metrics.read(whole)[0]["imitation"]["data"]
        == ExpertArchive(config.imitation.dataset).digest
    )


def test_trackers_get_the_rows_of_imitation_and_of_self_play(whole: Path) -> None:
    rows = [f"run/imitation ImitationRow {i}" for i in (1, 2, 3, 4)]
    assert (whole / FOLDER / "noted").read_text().splitlines() == [
        "run/imitation StartRow 0",
        *rows,
    ]
    rows = [f"run SelfPlayRow {i}" for i in (1, 2)]
    assert (whole / "noted").read_text().splitlines() == ["run StartRow 0", *rows]
    assert any((whole / "tensorboard").iterdir()) and any((whole / FOLDER).glob("tensorboard/*"))


def test_ledger_and_clock_carry_over_to_self_play(whole: Path, config: TrainConfig) -> None:
    rows = metrics.read(whole / FOLDER)
    learner, game = config.imitation.learner, games.make(GAME)
    size = ExpertArchive(config.imitation.dataset).train.size
    steps = 2 * sum(len(part) // 16 for part in np.array_split(np.arange(size), 2))
    spent = steps * flops.training_step(game, config.network, learner.batch_size)
    assert rows[-1]["ledger"]["imitation"] == spent
    assert Commits(whole, ReplayConfig()).read(0).ledger == asdict(flops.Ledger(imitation=spent))
    assert all(row["ledger"]["imitation"] == spent for row in metrics.read(whole)[1:])
    assert metrics.read(whole)[1]["seconds"]["total"] > rows[-1]["seconds"]["total"] > 0


def test_first_versions_of_self_play_are_evaluated_on_expert_games(whole: Path) -> None:
    assert all(row["held_out"]["positions"] > 0 for row in metrics.read(whole)[1:])


def test_run_stopped_in_imitation_resumes_to_the_same_bits(
    tmp_path: Path, config: TrainConfig, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(config, tmp_path / "run", stop_at(3))
    assert run.next_iteration == 0 and len(metrics.read(tmp_path / "run" / FOLDER)) == 4
    with Progress(config, tmp_path / "run", plain=True) as progress:
        progress.interrupted(time.time())
    assert "everything up to iteration 3 of imitation is safe" in capsys.readouterr().out
    train(config, tmp_path / "run")
    assert digests(tmp_path / "run") == digests(whole)


def test_other_arithmetic_of_the_learner_is_refused_unless_allowed(
    tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = Learner.fingerprint
    cluster = replace(config.cluster, allow_mismatched_actors=True)
    for last in (stop_at(3), lambda row: row.iteration == 1):  # of imitation, then of self-play
        train(config, tmp_path / "run", last)
        monkeypatch.setattr(Learner, "fingerprint", lambda *_: "f" * 64)
        with pytest.raises(
            ValueError, match=r"^the learner's fingerprint is f{12} on this.*manifest"
        ):
            train(config, tmp_path / "run")
        monkeypatch.setattr(Learner, "fingerprint", fingerprint)
    monkeypatch.setattr(Learner, "fingerprint", lambda *_: "f" * 64)
    assert NOT_REPRODUCIBLE not in (tmp_path / "run" / "manifest.json").read_text()
    assert train(replace(config, cluster=cluster), tmp_path / "run").next_iteration == 3
    assert NOT_REPRODUCIBLE in (tmp_path / "run" / "manifest.json").read_text()


def test_imitation_does_not_depend_on_learner_devices(
    tmp_path: Path, config: TrainConfig, whole: Path
) -> None:
    cluster = replace(config.cluster, learner_devices=2)
    train(replace(config, cluster=cluster, iterations=0), tmp_path / "run")
    ours, theirs = (metrics.read(folder / FOLDER) for folder in (tmp_path / "run", whole))
    assert [row["digest"] for row in ours] == [row["digest"] for row in theirs]
    assert len(metrics.read(tmp_path / "run")) == 1  # iterations=0: imitation was all


def test_verify_recomputes_imitation_and_self_play(whole: Path) -> None:
    seen: list[int] = []
    for folder in (whole / FOLDER, whole):
        assert verify(folder, 1, 2, lambda i, digests: seen.append(i)) is None
    assert seen == [1, 2, 1, 2]


def test_ladder_includes_version_0_of_an_imitating_run(whole: Path) -> None:
    ask = (
        "import sys, games; from launch import ladder, rating; "
        "options = ladder.Options((sys.argv[1],), (0,)); "
        "print([p.spec for p in rating.gather(options, games.make('tic_tac_toe'))[0]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, str(whole)], cwd=ROOT, capture_output=True, text=True
    )
    assert re.findall(r"@(\d+)", done.stdout) == ["0", "1", "2"], done.stderr


def test_progress_shows_imitation_and_self_play(
    whole: Path, config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(config, whole, plain=True) as progress:
        for row in metrics.read_rows(whole / FOLDER)[1:]:
            progress.show(row)
        progress.show(metrics.read_rows(whole)[1])
    progress.finished(train(config, whole))  # complete: nothing is trained
    said = capsys.readouterr().out
    last, best = (metrics.read(whole / FOLDER)[4], metrics.read(whole)[0]["imitation"])
    assert f"imitation 4/4  epoch 2.00/2  policy {last['learner']['policy_loss']:.3f}" in said
    assert f"top 1 {last['held_out']['top1']:.1%}" in said and "iteration 1/2" in said
    assert f"version 0 is version {best['version']} of imitation: held out: policy" in said
    nothing = dict.fromkeys(best["held_out"], float("nan"))
    assert {text for _, text in measured(nothing)} == {"-"}


def alter(
    run: Path, to: Path, part: str, iteration: int, change: Callable[[dict[str, Any]], Any]
) -> None:
    """Copies a run and changes the metrics row of a commit."""
    shutil.copytree(run, to)
    path = to / part / "commits" / f"{iteration:08d}.json"
    commit = read_hashed_json(path)
    change(commit["metrics_row"])
    write_hashed_json(path, commit)


def test_verify_notices_a_changed_digest(tmp_path: Path, whole: Path) -> None:
    alter(whole, tmp_path / "run", FOLDER, 2, lambda row: row["digest"].update(state="0" * 64))
    difference = verify(tmp_path / "run" / FOLDER, 1, 3)
    assert difference and (difference.iteration, difference.part) == (2, "state")
    assert difference.recorded == "0" * 64 != difference.recomputed


def test_best_version_is_kept_until_it_is_needed(
    tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imitate, "held_out_loss", lambda row: abs(row.iteration - 5))
    patient = replace(config.imitation, epochs=5, patience=4)
    few = replace(config, imitation=patient, store=StoreConfig(keep=1), iterations=1)
    train(few, tmp_path / "run")
    versions = [row["iteration"] for row in metrics.read(tmp_path / "run" / FOLDER)]
    assert versions[-1] == 9  # four behind the best, and no more
    assert metrics.read(tmp_path / "run")[0]["imitation"]["version"] == 5
    best, start = (load_version(tmp_path / "run" / f, v) for f, v in ((FOLDER, 5), ("", 0)))
    assert digest(best.params) == digest(start.params)
    kept = sorted((tmp_path / "run" / FOLDER / "snapshots").glob("*.npz"))
    assert [int(path.stem) for path in kept] == [0, 1, 2, 3, 4, 5, 6, 8]


def test_patience_ends_imitation_early(tmp_path: Path, config: TrainConfig) -> None:
    # A rate of nothing: the held-out loss cannot fall below that of the first iteration.
    still = replace(config.imitation.learner, learning_rate=1e-30)
    impatient = replace(config.imitation, patience=1, learner=still)
    train(replace(config, iterations=0, imitation=impatient), tmp_path / "run")
    assert len(metrics.read(tmp_path / "run" / FOLDER)) == 3
    assert metrics.read(tmp_path / "run")[0]["imitation"]["version"] == 1


def test_fraction_of_expert_rows_halves(config: TrainConfig, whole: Path) -> None:
    experts = Trainer.build(config).experts
    assert experts
    window = Window(200)
    sizes = [experts.with_window(window, iteration).size for iteration in (1, 2, 3, 30)]
    assert sizes == [400, 267, 229, 200]  # fractions of 1/2, 1/4, 1/8, none
    mixed = experts.with_window(window, 1)
    rows = mixed.gather(np.array([399, 0, 200, 199]))
    assert (rows["value"][[1, 3]] == window.MARK).all()
    assert (rows["value"][[0, 2]] != window.MARK).all()
    # Other rows in another iteration.
    everything = np.arange(200, 400)
    again = experts.with_window(window, 1).gather(everything)
    np.testing.assert_array_equal(again["planes"], mixed.gather(everything)["planes"])
    later = replace(config.imitation, expert_half_life=1e9)
    other = replace(experts, config=later).with_window(window, 2).gather(everything)
    assert (other["planes"] != again["planes"]).any()


def test_self_play_learns_from_expert_rows(config: TrainConfig) -> None:
    sizes: list[int] = []

    class RecordingLearner:
        def fit(self, state: Any, source: Source, *rest: Any) -> tuple[Any, dict[str, float]]:
            sizes.append(source.size)
            return state, {}

    trainer = replace(Trainer.build(config), learner=cast(Learner, RecordingLearner()))
    learner = trainer.imitation().learner.init()
    state = TrainState(learner, learner.ema_params)
    for iteration in (1, 2):
        trainer.fit(state, Window(200), plan.work(iteration, 1, 0), 64)
    assert sizes == [400, 267]


def test_diverging_run_names_the_last_good_commit(tmp_path: Path, config: TrainConfig) -> None:
    wild = replace(config.imitation.learner, learning_rate=1e30)
    diverging = replace(config, imitation=replace(config.imitation, learner=wild))
    with pytest.raises(Diverged, match=r"diverged in iteration 1: .* last good commit is 0 in"):
        train(diverging, tmp_path / "run")


class Window:
    """A source of rows of self-play, recognized by their value."""

    MARK = 0.25

    def __init__(self, size: int) -> None:
        self.size = size

    def column(self, name: str) -> np.ndarray:
        """Returns one field of all rows."""
        return self.gather(np.arange(self.size))[name]

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns rows of the right shapes."""
        n = len(indices)
        return {
            "planes": np.zeros((n, 3), np.uint8),
            "legal": np.zeros((n, 2), np.uint8),
            "policy": np.zeros((n, 9), np.float16),
            "value": np.full(n, self.MARK, np.float16),
            "mover_outcome": np.zeros(n, np.int8),
        }


def test_game_fraction_uses_a_part_of_the_training_games(data: Path, config: TrainConfig) -> None:
    half = replace(config.imitation, game_fraction=0.5)
    game = games.make(GAME)
    experts = ExpertData.open(half, GAME, game, network.make(game, config.network), 0)
    assert 0.3 < experts.train.size / ExpertArchive(data).train.size < 0.7
    assert experts.held_out.size == ExpertArchive(data).held_out.size


def test_bad_input_is_refused_before_any_work(tmp_path: Path, config: TrainConfig) -> None:
    for change, game, words in [
        ({"dataset": "experts/nowhere"}, GAME, "experts/nowhere is not an archive"),
        ({}, "connect_four", "has games of tic_tac_toe"),
        ({"game_fraction": 1e-9}, GAME, "has 0 positions to learn from"),
    ]:
        imitation = replace(config.imitation, **change)
        with pytest.raises(ValueError, match=words):
            train(replace(config, game=game, imitation=imitation), tmp_path / "run")
        assert not (tmp_path / "run").exists()
    wrong = {"epochs": 0, "game_fraction": 0.0, "expert_fraction": 1.0, "patience": -1}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=f"imitation.{field.replace('_', '-')}.*{value}"):
            replace(config.imitation, **{field: value})
    with pytest.raises(ValueError, match="expert-fraction"):
        ImitationConfig(expert_fraction=0.5)
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        replace(PLAIN, iterations=0)


def test_changed_archive_is_refused(tmp_path: Path, config: TrainConfig, whole: Path) -> None:
    data = generate(tmp_path / "data", 150)
    imitation = replace(config.imitation, dataset=str(data), positions_per_iteration=10**6)
    changed = replace(config, imitation=imitation)
    train(changed, tmp_path / "learning", stop_at(1))
    data.rename(tmp_path / "before")
    generate(data, 150, seed=1)
    with pytest.raises(ValueError, match="has changed since"):
        train(changed, tmp_path / "learning")
    alter(whole, tmp_path / "playing", "", 0, lambda row: row["imitation"].update(data="0" * 64))
    (tmp_path / "playing/commits/00000002.json").unlink()  # it still has an iteration to go
    with pytest.raises(ValueError, match=r"has changed since.*was 0000"):
        train(config, tmp_path / "playing")


def test_damaged_archive_is_refused(tmp_path: Path, config: TrainConfig) -> None:
    data = generate(tmp_path / "data", 150)
    planes = data / "planes.npy"
    damaged = bytearray(planes.read_bytes())
    damaged[-1] ^= 1
    planes.write_bytes(damaged)
    imitation = replace(config.imitation, dataset=str(data))
    with pytest.raises(CorruptedFile, match=r"planes\.npy"):
        train(replace(config, imitation=imitation), tmp_path / "run")


def test_komi_warning_names_a_komi_without_expert_games(tmp_path: Path) -> None:
    records = [sgf(random_moves(seed, 12), komi="5.5") for seed in range(30)]
    file = write(tmp_path / "a.sgf", *records)
    importing.import_sgf(tmp_path / "out", NAME, GO, [file], Filters(), 0.3, lambda *a: None)
    config = ImitationConfig(
        dataset=str(tmp_path / "out"), learner=LearnerConfig(batch_size=16, shards=2)
    )
    warnings: list[str] = []
    for komi in (5.5, 7.5):
        game = games.make(f"{NAME}&komi={komi}")
        model = network.make(game, PLAIN.network)
        experts = ExpertData.open(config, f"{NAME}&komi={komi}", game, model, 0)
        warnings.append(experts.komi_warning)
    assert warnings[0] == ""
    assert "komi 7.5" in warnings[1] and "5.5" in warnings[1]
