"""Old spellings of options, subcommands and config fields are answered with their names today."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import pytest

from launch import cli
from launch.ablate import FIELDS as FIELDS_TODAY
from selfplay.runs import renamed
from selfplay.runs.renamed import FIELDS
from selfplay.training.config import TrainConfig
from tests.small_runs import run_cli_each

OPTIONS = [(command, *pair) for command, row in renamed.OPTIONS.items() for pair in row.items()]


def typed(field: str) -> str:
    return field.replace("_", "-")


def negated(field: str) -> str:
    section, dot, name = field.rpartition(".")
    return f"{section}{dot}no_{name}"


def answer(command: str, argument: str) -> str:
    """Returns what an argument is answered with."""
    with pytest.raises(ValueError, match=" is now called ") as error:
        cli.check_spelling(command, [argument])
    return str(error.value)


@pytest.mark.parametrize(("old", "new"), FIELDS.items())
def test_renamed_field_is_answered_with_its_name_today(old: str, new: str) -> None:
    assert typed(new) in FIELDS_TODAY and typed(old) not in FIELDS_TODAY
    for spelling in {old, typed(old)}:
        expected = f"--{spelling} is now called --{typed(new)}"
        for argument in (f"--{spelling}", f"--{spelling}=3"):
            assert answer("train", argument) == expected
        assert answer("ablate", f"--{spelling}=1,2") == expected
        assert answer("ablate", f"{spelling}=1,2") == f"{spelling} is now called {typed(new)}"
    off = f"--{negated(old)}"
    assert answer("train", off) == f"{off} is now called --{typed(negated(new))}"
    assert answer("train", typed(off)) == f"{typed(off)} is now called --{typed(negated(new))}"


@pytest.mark.parametrize(("command", "old", "new"), OPTIONS)
def test_renamed_option_is_answered_with_its_name_today(command: str, old: str, new: str) -> None:
    assert answer(command, old) == f"{old} is now called {new}"
    if old.startswith("--"):
        spelling = "--" + old[2:].replace("-", "_")
        assert answer(command, f"{spelling}=1") == f"{spelling} is now called {new}"


def test_names_of_today_and_values_pass() -> None:
    for field in FIELDS_TODAY:
        cli.check_spelling("train", [f"--{field}", f"--{field}=1"])
        cli.check_spelling("ablate", [f"{field}=1,2"])
    cli.check_spelling("train", ["--out", "lag", "--imitation.dataset", "imitation.data"])
    cli.check_spelling("experts", ["inspect", "label"])
    cli.check_spelling("experts", ["generate", "go9x9"])
    cli.check_spelling("ladder", ["--set", "--of", "learner.reuse=1"])  # not options of it


def test_commands_check_their_own_command_line() -> None:
    questions = [
        ("launch.train", ["hex_3", "--learner.final_learning_rate", "0.1"]),
        ("launch.train", ["hex_3", "--search.no-rescale-values"]),
        ("launch.ablate", ["hex_3", "--grid", "learner.reuse=1,2"]),
        ("launch.ablate", ["recipes", "--fix", "cluster.mixing=true"]),
        ("launch.ablate", ["hex_3", "--set", "iterations=1"]),
        ("launch.experts", ["label", "tic_tac_toe", "--out", "x"]),
        ("launch.experts", ["import", "go5x5", "x", "--out", "x", "--of=mover"]),
        ("launch.simulate", ["x", "--per-actor-hour", "1"]),
    ]
    expected = [
        "--learner.final_learning_rate is now called --learner.final-lr-fraction",
        "--search.no-rescale-values is now called --search.gumbel.no-rescale-values",
        "learner.reuse is now called learner.replay-ratio",
        "cluster.mixing is now called cluster.allow-mismatched-actors",
        "--set is now called --fix",
        "label is now called generate",
        "--of is now called --strength-applies-to",
        "--per-actor-hour is now called --actor-price-per-hour",
    ]
    assert run_cli_each(questions) == [(2, f"error: {text}") for text in expected]


def test_every_field_of_the_config_can_be_typed() -> None:
    def leaves(kind: Any, prefix: str = "") -> list[str]:
        hints = get_type_hints(kind)
        names: list[str] = []
        for field in fields(kind):
            section = hints[field.name]
            path = prefix + typed(field.name)
            names += leaves(section, f"{path}.") if is_dataclass(section) else [path]
        return names

    assert list(FIELDS_TODAY) == leaves(TrainConfig)
