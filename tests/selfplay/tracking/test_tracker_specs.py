"""A spec of a tracker is checked before any work."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

from games import plugins
from selfplay.tracking import tracker_specs

OWN = """
def tracker(row, run, *, file: str = "a", times: int = 1):
    pass

class Tracker:
    def __init__(self, *, times: int = 1):
        if times < 1:
            raise ValueError(f"times must be at least 1, got {times}")
    def __call__(self, row, run):
        pass

class Silent:
    pass

def of_the_row(row):
    pass
"""


def resolve(*specs: str) -> list[str]:
    return [tracker.name for tracker in tracker_specs.resolve(specs)]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the name of a module with trackers of one's own, which this process trusts."""
    (tmp_path / "own_trackers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("tracker", "Tracker", "Silent", "of_the_row")
    plugins.trust(f"own_trackers:{name}" for name in names)
    plugins.trust(["os:system"])
    return "own_trackers"


def test_options_reach_functions_and_classes_of_ones_own(own: str) -> None:
    function, kind = tracker_specs.resolve([f"{own}:tracker?file=b&times=2", f"{own}:Tracker"])
    assert function.make().keywords == {"file": "b", "times": 2}  # pyright: ignore
    assert type(kind.make()).__name__ == "Tracker" and kind.make() is not kind.make()


@pytest.mark.parametrize("spec", ["own_trackers:Silent", "own_trackers:of_the_row", "os:system"])
def test_what_takes_no_row_and_run_is_refused(own: str, spec: str) -> None:
    with pytest.raises(ValueError, match=f"{spec} is not a tracker: expected a function of"):
        resolve(spec)


def test_class_checks_its_options_before_any_work(own: str) -> None:
    with pytest.raises(ValueError, match="times must be at least 1, got 0"):
        resolve(f"{own}:Tracker?times=0")


@pytest.mark.parametrize(
    "spec, message",
    [
        ("tensorbord", r"mean 'tensorboard'\?\); choose from tensorboard, wandb, trackio"),
        ("tensorboard?x=1", "tracker tensorboard has no option 'x'"),
        ("somebodys:tracker", "nobody typed on this command line"),
    ],
)
def test_bad_spec_is_an_error(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(spec)


@pytest.mark.parametrize("found", [None, importlib.machinery.ModuleSpec("wandb", None)])
def test_missing_package_is_answered_with_its_installation(
    found: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)  # None, or a folder
    for name in tracker_specs.EXTRAS:
        with pytest.raises(ValueError, match=rf"not installed; install it: .*pip install.*{name}"):
            resolve(name)
