"""The networks that visitors play against: those of the zoo, and of the given runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from selfplay.players.version import Version
from selfplay.runs.snapshots import snapshot_versions
from selfplay.serve.web.palette import raised
from selfplay.serve.web.places import Places
from selfplay.serve.web.thinking import flops_per_move, warm_rules
from selfplay.style.powers_of_ten import power_of_ten
from selfplay.zoo import cards

LAST = "@last"


@dataclass(frozen=True)
class Choice:
    """A network that can be chosen.

    Attributes:
        title: what the page calls it.
        spec: what `Version.load` reads.
    """

    title: str
    spec: str


def choices(places: Places) -> list[Choice]:
    """Lists the networks: the zoo, then exported files, then the newest version of every run."""
    zoo = [Choice(cards.card(name).title, cards.PREFIX + name) for name in cards.names()]
    files = [Choice(name, str(path)) for name, path in places.files.items()]
    runs = [Choice(f"run {name}", f"{path}{LAST}") for name, path in places.runs.items()]
    return zoo + files + runs


def load(spec: str) -> Version:
    """Loads a version, and compiles the rules of its game; each is done once."""
    folder, at, _ = spec.rpartition(LAST)
    if at and (stored := versions(spec)):
        spec = f"{folder}@{stored[-1]}"  # a run that trains gets newer ones
    version = _load(spec)
    warm_rules(version.game)
    return version


@lru_cache(maxsize=16)
def _load(spec: str) -> Version:
    return Version.load(spec)


def versions(spec: str) -> list[int]:
    """Lists the stored versions of the run that a choice names, ascending; [] if it names none."""
    folder, at, _ = spec.rpartition(LAST)
    return snapshot_versions(Path(folder)) if at else []


def cost(version: Version, budget: int) -> str:
    """Says what a move costs at a budget, and what that buys where it was measured."""
    text = raised(f"{power_of_ten(flops_per_move(version, budget))} FLOPs a move")
    if not cards.is_zoo(version.name):
        return text
    card = cards.card(version.name.removeprefix(cards.PREFIX))
    if budget in card.elo:
        score = card.elo[budget]
        elo = f"{score.value:.0f} ± {1.96 * score.stderr:.0f} Elo".replace("-", "−")
        text += f"; {elo} relative to {card.anchor}"
    if budget in card.exam:
        text += f"; keeps the result in {card.exam[budget].value:.1%} of exam questions"
    return text


def titles(choices: Sequence[Choice]) -> dict[str, str]:
    """Returns titles by spec, as a select of the page takes them."""
    return {choice.spec: choice.title for choice in choices}
