"""A grid has every combination once, with a unique name and valid flags of launch/train.py."""

import itertools

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

import configs
from selfplay.study.grid import Arm, Axis, RunSpec, run_specs
from selfplay.training.config import TrainConfig


def config_of(run: RunSpec) -> TrainConfig:
    return tyro.cli(TrainConfig, default=configs.get(run.preset), args=run.flags)


def test_run_specs_are_all_combinations_seed_by_seed() -> None:
    axes = (Axis.parse("network.width=8,32"), Axis.parse("search.num_simulations=2,4,8"))
    runs = run_specs([Arm("hex_4", ("--iterations", "3"), axes)], 2)
    assert [run.seed for run in runs] == [0] * 6 + [1] * 6
    assert runs[1].name == "width-8_num-simulations-4_seed-0"
    assert runs[1].settings == (("network.width", "8"), ("search.num-simulations", "4"))
    for run in runs:
        config = config_of(run)
        settings = dict(run.settings)
        assert config.iterations == 3 and config.seed == run.seed
        assert str(config.network.width) == settings["network.width"]
        assert str(config.search.num_simulations) == settings["search.num-simulations"]


def test_arm_may_have_fewer_seeds() -> None:
    arms = [Arm("hex_3"), Arm("hex_5", seeds=2)]
    runs = [(run.preset, run.seed) for run in run_specs(arms, 3)]
    assert runs == [("hex_3", 0), ("hex_5", 0), ("hex_3", 1), ("hex_5", 1), ("hex_3", 2)]
    assert len(run_specs(arms, 1)) == 2
    fresh = [(run.preset, run.seed) for run in run_specs(arms, 3, first_seed=100)]
    assert fresh == [(preset, seed + 100) for preset, seed in runs]


@pytest.mark.parametrize("value", ["true", "False"])
def test_boolean_values_become_flags(value: str) -> None:
    (run,) = run_specs([Arm("hex_3", axes=(Axis("learner.symmetries", (value,)),))], 1)
    assert config_of(run).learner.symmetries == (value == "true")


def test_names_distinguish_axes_and_arms() -> None:
    axes = (
        Axis.parse("learner.lr_decay_fraction=0.5,1"),
        Axis.parse("imitation.learner.lr_decay_fraction=0.5,1"),
    )
    names = [run.name for run in run_specs([Arm("hex_3", axes=axes)], 1)]
    assert names[0] == (
        "learner.lr-decay-fraction-0.5_imitation.learner.lr-decay-fraction-0.5_seed-0"
    )
    puct = ("--search.algorithm", "puct")
    two = run_specs([Arm("hex_3", name="gumbel"), Arm("hex_3", puct, name="puct")], 1)
    assert [run.name for run in two] == ["gumbel_seed-0", "puct_seed-0"]
    with pytest.raises(ValueError, match="two runs of the study would be called hex_3_seed-0"):
        run_specs([Arm("hex_3"), Arm("hex_3", puct)], 1)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 3))
def test_run_specs_have_every_combination_once(sizes: list[int], seeds: int) -> None:
    axes = [Axis(f"a.f{i}", tuple(map(str, range(n)))) for i, n in enumerate(sizes)]
    runs = run_specs([Arm("p", axes=tuple(axes))], seeds)
    expected = itertools.product(range(seeds), *(axis.values for axis in axes))
    assert [(r.seed, *(v for _, v in r.settings)) for r in runs] == list(expected)
    assert len({run.name for run in runs}) == len(runs)


BAD = {
    "network.width": "is not FIELD=VALUE",
    "network.width=": "is not FIELD=VALUE",
    "=3": "is not FIELD=VALUE",
    "network.width=8,,32": "is not FIELD=VALUE",
    "network.width=8,8": "names a value twice",
    "seed=1,2": "use --seeds N",
}


@pytest.mark.parametrize("text", BAD)
def test_axis_parse_rejects_bad_text(text: str) -> None:
    with pytest.raises(ValueError, match=BAD[text]):
        Axis.parse(text)


def test_arm_rejects_repeated_field() -> None:
    axis = Axis.parse("network.width=8")
    with pytest.raises(ValueError, match=r"names network\.width twice"):
        Arm("hex_3", axes=(axis, axis))
    with pytest.raises(ValueError, match="--seeds must be at least 1, got 0"):
        run_specs([Arm("hex_3")], 0)
    with pytest.raises(ValueError, match="--first-seed must be at least 0, got -1"):
        run_specs([Arm("hex_3")], 1, -1)
