"""What counts as a config on its way, and which modules receive one."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.config_walk import Walk, is_config


@dataclass(frozen=True)
class NetworkConfig:
    width: int = 8


@dataclass(frozen=True)
class StreamSpec:
    network: NetworkConfig


@dataclass(frozen=True)
class Learner:
    network: NetworkConfig


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NetworkConfig(), True),
        (("go", NetworkConfig()), True),
        (StreamSpec(NetworkConfig()), True),
        (Learner(NetworkConfig()), False),
        (NetworkConfig, False),
        (("go", 8), False),
    ],
)
def test_is_config_accepts_parts_and_data_with_one_inside(value: object, expected: bool) -> None:
    assert is_config(value) is expected


def module(root: Path, name: str, source: str) -> ModuleType:
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    result = ModuleType(name)
    exec(compile(source, str(path), "exec"), result.__dict__)
    return result


def test_walk_records_modules_that_receive_a_config(tmp_path: Path) -> None:
    source = "def take(value, *rest, **more): return value"
    packages = ("selfplay.learning", "selfplay.acting", "games.go", "launch.cli", "other.thing")
    learning, acting, go, cli, other = (module(tmp_path, name, source) for name in packages)
    walk = Walk(tmp_path)
    before = sys.getprofile()
    sys.setprofile(walk)
    try:
        acting.take(1, NetworkConfig())
        go.take("go")
        learning.take(NetworkConfig())
        learning.take(NetworkConfig())
        cli.take(1, network=(NetworkConfig(), 2))
        other.take(NetworkConfig())
    finally:
        sys.setprofile(before)
    assert walk.modules == ["selfplay.acting", "selfplay.learning", "launch.cli"]
