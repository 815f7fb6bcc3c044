"""Lists in the guide are complete."""

import re
import tomllib

from configs import PRESETS
from selfplay.runs.codec import mutable_fields
from selfplay.training.config import TrainConfig
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def guide(name: str) -> str:
    """Returns the text of a page of the guide."""
    return (ROOT / "docs" / "guide" / f"{name}.md").read_text("utf-8")


def test_train_page_lists_every_preset() -> None:
    assert {*PRESETS} <= {*re.findall(r"`(\w+)`", guide("train"))}


def test_accelerator_page_names_extras_and_presets() -> None:
    page = guide("accelerators")
    for extra in ("cuda", "tpu"):
        assert extra in PROJECT["optional-dependencies"] and f"'.[{extra}]'" in page
    for preset in (name for name in PRESETS if name.endswith("_gpu")):
        assert preset in page


def test_resume_page_lists_every_field_that_may_change() -> None:
    section = guide("resume").partition("## What may change\n\n")[2]
    listed = re.findall(r"`--([a-z.-]+)(?:\.…)?`", section.partition("\n\n")[0])
    assert {name.rstrip(".").replace("-", "_") for name in listed} == {*mutable_fields(TrainConfig)}
