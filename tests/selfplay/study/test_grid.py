"""Grids: every combination once, under a name of its own, with flags that training takes."""

import itertools

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

import configs
from selfplay.study.grid import Arm, Axis, RunSpec, cells
from selfplay.training.config import TrainConfig


def config_of(cell: RunSpec) -> TrainConfig:
    return tyro.cli(TrainConfig, default=configs.get(cell.preset), args=cell.flags)


def test_cells_are_all_combinations_seed_by_seed() -> None:
    axes = (Axis.parse("network.width=8,32"), Axis.parse("search.num_simulations=2,4,8"))
    found = cells([Arm("hex_4", ("--iterations", "3"), axes)], 2)
    assert [cell.seed for cell in found] == [0] * 6 + [1] * 6
    assert found[1].name == "width-8_num-simulations-4_seed-0"
    assert found[1].settings == (("network.width", "8"), ("search.num-simulations", "4"))
    for cell in found:
        config = config_of(cell)
        settings = dict(cell.settings)
        assert config.iterations == 3 and config.seed == cell.seed
        assert str(config.network.width) == settings["network.width"]
        assert str(config.search.num_simulations) == settings["search.num-simulations"]


def test_an_arm_may_have_fewer_seeds() -> None:
    arms = [Arm("hex_3"), Arm("hex_5", seeds=2)]
    found = [(cell.preset, cell.seed) for cell in cells(arms, 3)]
    assert found == [("hex_3", 0), ("hex_5", 0), ("hex_3", 1), ("hex_5", 1), ("hex_3", 2)]
    assert len(cells(arms, 1)) == 2


@pytest.mark.parametrize("value", ["true", "False"])
def test_true_and_false_are_flags(value: str) -> None:
    (cell,) = cells([Arm("hex_3", axes=(Axis("learner.symmetries", (value,)),))], 1)
    assert config_of(cell).learner.symmetries == (value == "true")


def test_names_tell_axes_and_arms_apart() -> None:
    axes = (
        Axis.parse("learner.lr_decay_fraction=0.5,1"),
        Axis.parse("imitation.learner.lr_decay_fraction=0.5,1"),
    )
    names = [cell.name for cell in cells([Arm("hex_3", axes=axes)], 1)]
    assert names[0] == (
        "learner.lr-decay-fraction-0.5_imitation.learner.lr-decay-fraction-0.5_seed-0"
    )
    puct = ("--search.algorithm", "puct")
    two = cells([Arm("hex_3", name="gumbel"), Arm("hex_3", puct, name="puct")], 1)
    assert [cell.name for cell in two] == ["gumbel_seed-0", "puct_seed-0"]
    with pytest.raises(ValueError, match="two runs of the study would be called hex_3_seed-0"):
        cells([Arm("hex_3"), Arm("hex_3", puct)], 1)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 3))
def test_every_combination_is_there_once(sizes: list[int], seeds: int) -> None:
    axes = [Axis(f"a.f{i}", tuple(map(str, range(n)))) for i, n in enumerate(sizes)]
    found = cells([Arm("p", axes=tuple(axes))], seeds)
    wanted = itertools.product(range(seeds), *(axis.values for axis in axes))
    assert [(c.seed, *(v for _, v in c.settings)) for c in found] == list(wanted)
    assert len({cell.name for cell in found}) == len(found)


BAD = {
    "network.width": "is not FIELD=VALUE",
    "network.width=": "is not FIELD=VALUE",
    "=3": "is not FIELD=VALUE",
    "network.width=8,,32": "is not FIELD=VALUE",
    "network.width=8,8": "names a value twice",
    "seed=1,2": "use --seeds N",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_axes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=BAD[text]):
        Axis.parse(text)


def test_a_field_has_one_axis() -> None:
    axis = Axis.parse("network.width=8")
    with pytest.raises(ValueError, match=r"names network\.width twice"):
        Arm("hex_3", axes=(axis, axis))
    with pytest.raises(ValueError, match="--seeds must be at least 1, got 0"):
        cells([Arm("hex_3")], 0)
