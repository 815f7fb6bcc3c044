"""The zoo: its cards, its files, and ``zoo:NAME`` wherever a version can stand."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from games import checkout
from selfplay.players import specs
from selfplay.players.version import Version
from selfplay.runs.commits import Commits
from selfplay.runs.files import CorruptedFile
from selfplay.runs.window import ReplayConfig
from selfplay.zoo import cards
from selfplay.zoo.cards import Card, Data, Score
from tests.selfplay.serve.web.untrained import export

CARD = Card(
    title="Connect Four, not trained",
    commands=("python launch/train.py connect_four --iterations 0",),
    commit="0" * 40,
    seed=0,
    sha256="",
    fingerprint="12" * 32,
    learner_fingerprint="34" * 32,
    exam={0: Score(0.5, 0.01), 64: Score(0.75, 0.01)},
    elo={64: Score(120.0, 20.0)},
    anchor="random",
    ladder="docs/results/a_ladder",
    data=Data(("a book",), "CC0", "ab" * 32),
)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    export("connect_four", tmp_path / "four.safetensors")
    cards.add("four", CARD, tmp_path)
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    for function in (cards.names, cards.card, cards.network_file):
        monkeypatch.setattr(function, "__defaults__", (tmp_path,))
    return tmp_path


def test_card_is_read_as_it_was_written(zoo: Path) -> None:
    read = cards.card("four")
    assert replace(read, sha256="") == CARD
    assert len(read.sha256) == 64
    assert Card.from_json(replace(CARD, data=None).to_json()).data is None


def test_strength_is_a_line(zoo: Path) -> None:
    assert CARD.strength == (
        "exam, moves that keep the result, by simulations: 50.0% with 0, 75.0% with 64; "
        "Elo relative to random, by simulations: 120 ± 39 with 64"
    )
    assert replace(CARD, exam={}, elo={}).strength == "not rated"


def test_network_is_a_version_by_its_name(zoo: Path) -> None:
    version = Version.load("zoo:four")
    assert version.name == "zoo:four"
    assert version.config["game"] == "connect_four"
    player = specs.parse("zoo:four?sims=4", version.game)
    assert player.spec == "zoo:four?sims=4" and player.digest


def test_unknown_network_is_named_with_the_choices(zoo: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no network 'fuor' \(did you mean 'four'\?\); .*zoo:four"
    ):
        Version.load("zoo:fuor")


@pytest.mark.parametrize("name", ["../four", "/etc/passwd", "", "four.safetensors"])
def test_names_are_not_paths(zoo: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no network"):
        Version.load(f"zoo:{name}")


def test_changed_network_is_refused(zoo: Path) -> None:
    path = zoo / "four.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CorruptedFile, match="its card has"):
        Version.load("zoo:four")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"title": 3}', "not json"])
def test_damaged_card_is_an_error(zoo: Path, text: str) -> None:
    (zoo / "four.json").write_text(text)
    with pytest.raises(ValueError, match="not a card of the zoo"):
        cards.card("four")


def test_networks_of_the_package_load_and_are_small() -> None:
    total = 0
    for name in cards.names():
        version, path = Version.load(cards.PREFIX + name), cards.network_file(name)
        assert version.ledger and version.ledger.total
        total += path.stat().st_size
    assert total < 8e6


@pytest.mark.slow
def test_cheapest_network_is_made_again_by_its_command(tmp_path: Path) -> None:
    def cost(name: str) -> float:
        ledger = Version.load(f"{cards.PREFIX}{name}").ledger
        assert ledger
        return ledger.total

    name = min(cards.names(), key=cost)
    card, run = cards.card(name), tmp_path / "run"
    python, *words, out, _ = shlex.split(card.commands[0])
    assert (python, out, len(card.commands)) == ("python", "--out", 1)
    subprocess.run([sys.executable, *words, out, str(run)], cwd=checkout.ROOT, check=True)
    identity = Commits(run, ReplayConfig()).identity()
    ours = (identity.fingerprint, identity.learner_fingerprint)
    if ours != (card.fingerprint, card.learner_fingerprint):
        found = " and ".join(map(str, ours))
        pytest.skip(f"another arithmetic made {name}: its fingerprints are not {found}")
    again = tmp_path / "again.safetensors"
    replace(Version.load(f"{run}@last"), name=f"{cards.PREFIX}{name}").export(again)
    assert again.read_bytes() == cards.network_file(name).read_bytes()
