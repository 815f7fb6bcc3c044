"""Forecasts count FLOPs as the ledger does, and estimate time from a few timed recipes."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import games
from selfplay.learning.config import LearnerConfig
from selfplay.model import flops
from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.search.config import SearchConfig
from selfplay.solved.config import ExamConfig
from selfplay.study import forecast, timing
from selfplay.study.forecast import Estimator, LadderSize, TimingFailed, makespan
from selfplay.study.timing import StartCost, Timing, TimingRequest
from selfplay.training.config import StoreConfig, TrainConfig
from selfplay.training.loop import train
from tests.small_runs import PLAIN

STARTS = {
    "play": StartCost(1, 10),
    "learn": StartCost(2, 20),
    "match": StartCost(0.5, 5),
    "rules": StartCost(0.25, 0),
}


def recipe(width: int, simulations: int, rate: float = 1e-3) -> TrainConfig:
    return replace(
        PLAIN,
        network=NetworkConfig(width=width),
        search=SearchConfig(num_simulations=simulations),
        learner=replace(PLAIN.learner, learning_rate=rate),
    )


def evaluation_seconds(config: TrainConfig) -> float:
    """Returns the seconds of an evaluation: a fixed overhead plus its FLOPs."""
    return 1e-5 + 1e-11 * flops.evaluation(games.make(config.game), config.network)


def timed(config: TrainConfig, compiled: bool = True) -> tuple[TrainConfig, Timing]:
    seconds, work = evaluation_seconds(config), config.selfplay
    segment = seconds * work.batch_size * work.segment_length * (config.search.num_simulations + 1)
    step = 3 * seconds * config.learner.batch_size
    pairings = {"0": 100 * seconds, "8": 900 * seconds}
    return config, Timing(STARTS, segment, step, 0.5, 0, 0, pairings, 0, compiled)


@pytest.fixture
def grid() -> Estimator:
    """Makes an estimator for a grid of widths and budgets, from its two timed recipes."""
    return Estimator([timed(recipe(4, 2)), timed(recipe(64, 32))], process=3.0)


def test_ledger_matches_a_runs_own(tmp_path: Path) -> None:
    config = replace(PLAIN, iterations=3)
    train(config, tmp_path / "run")
    spent = metrics.read(tmp_path / "run")[-1]["ledger"]
    total = forecast.ledger(config)
    assert total.selfplay == spent["selfplay"]
    assert total.learning == pytest.approx(spent["learning"], rel=0.5)  # few rows at first
    assert total.imitation == 0


def test_recipes_to_time_are_the_extremes_of_each_kind() -> None:
    plain = [recipe(w, s) for w in (4, 16, 64) for s in (2, 8, 32)]
    puct = [replace(c, search=replace(c.search, algorithm="puct"), iterations=9) for c in plain[:4]]
    assert forecast.recipes_to_time([*plain, *puct]) == [plain[0], plain[-1], puct[0], puct[-1]]
    rates = [recipe(4, 2, rate) for rate in (1e-3, 2e-3, 3e-3)]
    assert forecast.recipes_to_time(rates) == rates[:1]
    assert forecast.recipes_to_time(plain[:1]) == plain[:1]


def test_of_many_kinds_some_are_timed_and_stand_for_the_others() -> None:
    losses = [(), ("reply",), ("moves_left",), ("soft_policy",)]
    many = [
        replace(
            config,
            learner=replace(config.learner, losses=terms),
            search=replace(config.search, algorithm=algorithm),
        )
        for terms in losses
        for algorithm in ("gumbel", "puct")
        for config in (recipe(4, 8), recipe(4, 8, 2e-3))
    ]
    many += [replace(config, game="hex?size=3") for config in many]
    chosen = forecast.recipes_to_time(many)
    assert len(chosen) == forecast.MOST_KINDS == len({forecast.kind(config) for config in chosen})
    kinds = [forecast.kind(config) for config in chosen]
    left_out = next(config for config in many if forecast.kind(config) not in kinds)
    alike = [config for config in chosen if config.game == left_out.game]
    estimator = Estimator([timed(config) for config in chosen], process=3.0)
    assert estimator.iteration(left_out) == Estimator([timed(c) for c in alike], 3.0).iteration(
        left_out
    )


def test_iteration_interpolates_between_timed_recipes(grid: Estimator) -> None:
    for config in (recipe(16, 8), recipe(4, 32), recipe(64, 2)):
        seconds, work = evaluation_seconds(config), config.selfplay
        evaluations = work.positions * (config.search.num_simulations + 1)
        rows = 3 * config.learner.batch_size * config.learner.steps(work.positions)
        assert grid.iteration(config) == pytest.approx(seconds * (evaluations + rows))


def test_run_adds_process_starts_and_iterations(grid: Estimator) -> None:
    config = recipe(16, 8)
    iteration = grid.iteration(config) + 0.5
    whole = grid.run(config)
    assert whole.seconds == pytest.approx(3 + 1 + 2 + 6 * iteration) and whole.compiling == 30
    assert grid.run(config, done=4).seconds == pytest.approx(3 + 1 + 2 + 2 * iteration)
    assert grid.run(config, iteration=10).seconds == pytest.approx(3 + 1 + 2 + 6 * 10.5)
    assert grid.run(config, done=6) == StartCost()
    shared = grid.run(config, cores=2).seconds
    assert 3 + 1 + 2 + 6 * 0.5 < shared < whole.seconds
    assert grid.run(config, cores=2, ray=True).seconds == shared + forecast.RAY_START_SECONDS
    assert grid.run(config, ray=True).seconds == whole.seconds + forecast.RAY_START_SECONDS


def test_run_counts_each_program_once(grid: Estimator) -> None:
    first, seed, budget = recipe(16, 8), replace(recipe(16, 8), seed=1), recipe(16, 2)
    rate, wider = recipe(16, 8, 2e-3), recipe(32, 8)
    runs = first, seed, budget, rate, wider
    assert [grid.run(config).compiling for config in runs] == [30, 0, 10, 0, 30]
    cached = Estimator([timed(recipe(4, 2), compiled=False)], process=3.0)
    assert cached.run(first).compiling == 0  # the timed programs were in the cache


def test_run_includes_exams() -> None:
    config = replace(recipe(4, 2), game="connect_four", exam=ExamConfig(every=2))
    quiet = Estimator([timed(config)], 3.0)
    graded = Estimator([(config, replace(timed(config)[1], exam=1, last_exam=10))], 3.0)
    assert graded.run(config).seconds - quiet.run(config).seconds == pytest.approx(2 + 10)


def test_ladder_includes_games_and_compiling(grid: Estimator) -> None:
    runs = [recipe(4, 2), recipe(4, 8), recipe(64, 8)]
    few = grid.ladder(runs, LadderSize(10, (0, 8), 320, 320), cores=1)
    assert few.compiling == pytest.approx(10)  # two networks
    many = grid.ladder(runs, LadderSize(10, (0, 8), 3200, 320), cores=1)
    assert many.compiling == 0  # they are in the cache by now
    assert many.seconds - few.seconds > 0


def test_ladder_size_follows_its_limits() -> None:
    assert LadderSize.of(65, (0, 64), 25.0, 500).games == 512  # whole rounds
    size = LadderSize.of(450, (0, 8, 64), 50.0, 80_000)  # docs/results/hex_scaling: 131 488 of 3
    assert 30_000 < size.games < 80_000
    assert LadderSize.of(2, (0,), 25.0, 20_000).per_round == 32


def test_count_rated_versions_counts_stored_ones() -> None:
    config = replace(PLAIN, iterations=20)
    assert forecast.count_rated_versions(config, 100) == len([1, 2, 3, 4, 6, 8, 12, 16, 20])
    assert forecast.count_rated_versions(config, 6) == 6
    everything = replace(config, store=StoreConfig(keep_for_verify=True))
    assert forecast.count_rated_versions(everything, 100) == 20


def test_makespan_fills_the_first_free_slot() -> None:
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1], 2) == 2
    assert makespan([], 2, busy=[5, 1]) == 5
    assert makespan([2], 2, busy=[5, 1]) == 5
    assert makespan([5], 2, busy=[5, 1]) == 6


SCRIPT = """
import json, sys, time
request, folder = sys.argv[1:]
assert json.load(open(request))["budgets"] == [0, 8]
time.sleep(0.2)
open(folder + "/timing.json", "w").write({document!r})
"""


def test_time_recipes_runs_separate_processes(tmp_path: Path) -> None:
    config, measured = timed(recipe(4, 2))
    script = tmp_path / "script.py"
    document = {"timing": asdict(measured), "inside": 0.1}
    script.write_text(SCRIPT.format(document=json.dumps(document)))
    estimator = forecast.time_recipes([TimingRequest(config, (0, 8))], 2, script)
    assert estimator.timed == [(config, measured)] * 2  # the second core would idle
    assert 0.1 < estimator.process < 60
    assert estimator.run(config).compiling == 0, "its programs are in the cache by now"


def test_time_recipes_raises_the_last_line_of_a_failure(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('no device is free')")
    with pytest.raises(TimingFailed, match=r"^no device is free$"):
        forecast.time_recipes([TimingRequest(PLAIN)], 1, script)


def test_measure_times_every_piece_of_a_run(tmp_path: Path) -> None:
    config = replace(PLAIN, learner=LearnerConfig(batch_size=16, shards=2))
    result = timing.measure(TimingRequest(config, (0,), "solver", 2), tmp_path / "run")
    assert set(result.starts) == {"play", "learn", "rules", "match"}
    assert result.segment > 0 and result.step > 0 and result.commit > 0
    assert result.pairings["0"] > 0 and result.exam == 0 and result.anchored >= 0
    assert Timing.from_json(json.loads(json.dumps(asdict(result)))) == result


def test_compile_clock_separates_cacheable_compiling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listeners = []
    monitoring = SimpleNamespace(register_event_duration_secs_listener=listeners.append)
    monkeypatch.setattr(timing.jax, "monitoring", monitoring)
    clock = iter([0.0, 10.0, 10.0, 13.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    compile_clock = timing.CompileClock()

    def compiles() -> None:
        listeners[0]("/jax/core/compile/backend_compile_duration", 6.0)
        listeners[0]("/jax/core/compile/backend_compile_duration", 0.1)  # too short to be cached

    def loads() -> None:
        listeners[0]("/jax/compilation_cache/compile_time_saved_sec", 5.0)

    assert compile_clock.phase(compiles) == StartCost(4, 6)
    assert compile_clock.phase(loads) == StartCost(3, 5)
