"""Configs as JSON: round trips, one clear sentence per mistake, named differences."""

import dataclasses
import json
from typing import Any, Literal

import pytest

from selfplay.runs.codec import ADDED, differences, from_json, to_json


@dataclasses.dataclass(frozen=True)
class Search:
    kind: Literal["gumbel", "puct"] = "gumbel"
    sims: int = 64
    noise: float | None = None
    cap: int | float = 3


@dataclasses.dataclass(frozen=True)
class Config:
    search: Search = Search()
    widths: tuple[int, ...] = (64, 32)
    span: tuple[float, str] = (0.5, "x")
    experts: Search | None = None
    mirror: bool = True

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("widths is empty")


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(search=Search("puct", 1, 0.25, 2.5), widths=(1,), experts=Search(), mirror=False),
    ],
)
def test_round_trip_through_text(config: Config) -> None:
    back = from_json(Config, json.loads(json.dumps(to_json(config))))
    assert back == config
    assert type(back.search.cap) is type(config.search.cap)
    assert hash(back) == hash(config)


def edited(**changes: Any) -> dict[str, Any]:
    return to_json(Config()) | changes


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (edited(wdiths=3), ["wdiths", "3", "unknown key", "widths"]),
        (edited(search={"kind": "gumbel"}), ["search.sims", "missing", "int"]),
        (edited(mirror=1), ["mirror", "1 (int)", "bool"]),
        (edited(widths=[64, True]), ["widths[1]", "True (bool)", "int"]),
        (edited(widths=64), ["widths", "64 (int)", "a list"]),
        (edited(span=[0.5]), ["span", "[0.5]", "2 items"]),
        (edited(span=[0.5, None]), ["span[1]", "None", "str"]),
        (edited(search=to_json(Search()) | {"kind": "mcts"}), ["search.kind", "mcts", "'puct'"]),
        (edited(search=to_json(Search()) | {"sims": 6.5}), ["search.sims", "6.5", "int"]),
        (edited(search=to_json(Search()) | {"noise": "no"}), ["search.noise", "'no'", "float"]),
        (edited(search=to_json(Search()) | {"noise": float("nan")}), ["search.noise", "nan"]),
        (edited(experts={"kind": "puct"}), ["experts.sims", "missing"]),
        (edited(search=7), ["search", "7 (int)", "fields of Search"]),
        ([1], ["the config", "[1] (list)", "Config"]),
        (edited(widths=[]), ["widths is empty"]),
    ],
)
def test_a_mistake_is_one_sentence(data: Any, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        from_json(Config, data)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_has_no_json_form() -> None:
    with pytest.raises(ValueError, match="noise is inf, expected a finite number"):
        to_json(Search(noise=float("inf")))
    with pytest.raises(ValueError, match=r"widths is \[1\] \(list\)"):
        to_json(Config(widths=[1]))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="dataclass instance"):
        to_json(Config)


def test_differences_are_dotted_and_show_both_values() -> None:
    a, b = Config(), Config(search=Search(sims=32), experts=Search(), widths=(64, 33))
    assert differences(a, a) == []
    assert differences(a, b)[:2] == ["search.sims: 64 != 32", "widths: [64, 32] != [64, 33]"]
    assert differences(a, b)[2] == "experts: null != absent"
    assert differences(to_json(a), to_json(a) | {"mirror": 1}) == ["mirror: true != 1"]
    assert differences({"x": 3}, {"x": 3.0}) == []
    assert differences({"x": 3}, {}) == ["x: 3 != absent"]


@dataclasses.dataclass(frozen=True)
class Later(Config):
    origin: str = dataclasses.field(default="", metadata=ADDED)
    second: Search = dataclasses.field(default_factory=Search, metadata=ADDED)


def test_an_added_field_leaves_files_and_comparisons_as_they_were() -> None:
    old = to_json(Config())
    assert to_json(Later()) == old and from_json(Later, old) == Later()
    used = Later(origin="x", second=Search(sims=1))
    assert from_json(Later, json.loads(json.dumps(to_json(used)))) == used
    assert differences(old, Later(origin="x")) == ['origin: absent != "x"']
    with pytest.raises(ValueError, match="origin is 3"):
        from_json(Later, old | {"origin": 3})
