"""Configs as JSON: round trips, one-line errors, named differences."""

import dataclasses
import json
from typing import Any, Literal

import pytest

from selfplay.runs.codec import ADDED, MUTABLE, differing, from_json, mutable_fields, to_json


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
def test_config_survives_a_round_trip_through_text(config: Config) -> None:
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
def test_mistake_is_one_line_with_field_and_value(data: Any, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        from_json(Config, data)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_value_without_json_form_is_refused() -> None:
    with pytest.raises(ValueError, match="noise is inf, expected a finite number"):
        to_json(Search(noise=float("inf")))
    with pytest.raises(ValueError, match=r"widths is \[1\] \(list\)"):
        to_json(Config(widths=[1]))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="dataclass instance"):
        to_json(Config)


def test_differing_fields_have_dotted_paths_and_both_values() -> None:
    a, b = Config(), Config(search=Search(sims=32), experts=Search(), widths=(64, 33))
    assert differing(a, a) == {}
    fields = differing(a, b)
    assert list(fields)[:3] == ["search.sims", "widths", "experts"]
    assert fields["search.sims"] == ("64", "32") and fields["widths"] == ("[64, 32]", "[64, 33]")
    assert fields["experts"] == ("null", "absent")
    assert differing(to_json(a), to_json(a) | {"mirror": 1}) == {"mirror": ("true", "1")}
    assert differing({"x": 3}, {"x": 3.0}) == {}
    assert differing({"x": 3}, {}) == {"x": ("3", "absent")}


@dataclasses.dataclass(frozen=True)
class Measured:
    games: int = dataclasses.field(default=1, metadata=MUTABLE)
    plies: int = 2


@dataclasses.dataclass(frozen=True)
class Run:
    measured: Measured = Measured()
    cluster: Search = dataclasses.field(default=Search(), metadata=ADDED | MUTABLE)
    optional: Search | None = None


def test_mutable_fields_are_marked_fields_and_sections() -> None:
    assert mutable_fields(Run) == ["measured.games", "cluster"]


@dataclasses.dataclass(frozen=True)
class Later(Config):
    origin: str = dataclasses.field(default="", metadata=ADDED)
    second: Search = dataclasses.field(default_factory=Search, metadata=ADDED)


def test_added_field_leaves_old_files_and_comparisons_unchanged() -> None:
    old = to_json(Config())
    assert to_json(Later()) == old and from_json(Later, old) == Later()
    used = Later(origin="x", second=Search(sims=1))
    assert from_json(Later, json.loads(json.dumps(to_json(used)))) == used
    assert differing(old, Later(origin="x")) == {"origin": ("absent", '"x"')}
    with pytest.raises(ValueError, match="origin is 3"):
        from_json(Later, old | {"origin": 3})
