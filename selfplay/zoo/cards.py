"""The zoo: trained networks that come with the package, each a safetensors file with a card.

``zoo:NAME`` names one wherever a version can stand: ladder, exam, play, export, `Version.load`. The
file is an exported version, so it holds its config and its ledger; the card beside it says how it
was made and how strong it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from games.spelling import did_you_mean
from selfplay.runs.files import CorruptedFile, write_bytes

PREFIX = "zoo:"
FOLDER = Path(__file__).parent
NETWORK, CARD = ".safetensors", ".json"


@dataclass(frozen=True)
class Score:
    """A measured strength at one search budget, with its standard error."""

    value: float
    stderr: float


@dataclass(frozen=True)
class Data:
    """The games that a network imitated.

    Attributes:
        sources: where they come from, a line each.
        license: under which terms they may be used.
        digest: of the archive.
    """

    sources: tuple[str, ...]
    license: str
    digest: str


@dataclass(frozen=True)
class Card:
    """How a network was made, and how strong it is.

    Attributes:
        title: a line for people: "Connect Four, ten minutes on two cores".
        commands: what makes it again, in this order.
        commit: the code's, in Git.
        seed: of the run.
        sha256: of the network's file.
        fingerprint: of the arithmetic of self-play; where it is the same, so is the network.
        learner_fingerprint: the same, of learning.
        exam: share of exam questions whose result it keeps, by budget.
        elo: ratings by budget, relative to `anchor`.
        anchor: the player at 0 Elo.
        ladder: where the ladder is that rated it.
        data: the games that it imitated, if any.
    """

    title: str
    commands: tuple[str, ...]
    commit: str
    seed: int
    sha256: str
    fingerprint: str
    learner_fingerprint: str
    exam: Mapping[int, Score] = field(default_factory=dict)
    elo: Mapping[int, Score] = field(default_factory=dict)
    anchor: str = ""
    ladder: str = ""
    data: Data | None = None

    @property
    def strength(self) -> str:
        """What was measured, in a line."""
        kept = ", ".join(f"{score.value:.1%} with {n}" for n, score in sorted(self.exam.items()))
        rated = ", ".join(
            f"{score.value:.0f} ± {1.96 * score.stderr:.0f} with {n}"
            for n, score in sorted(self.elo.items())
        )
        parts = []
        if kept:
            parts.append(f"exam, moves that keep the result, by simulations: {kept}")
        if rated:
            parts.append(f"Elo relative to {self.anchor}, by simulations: {rated}")
        return "; ".join(parts) or "not rated"

    def to_json(self) -> str:
        """Writes the card as a file holds it."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Undoes `to_json`.

        Raises:
            ValueError: it is not a card.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            scores = {
                name: {int(budget): Score(**score) for budget, score in fields[name].items()}
                for name in ("exam", "elo")
            }
            data = fields["data"] and Data(
                **fields["data"] | {"sources": tuple(fields["data"]["sources"])}
            )
            fields |= {**scores, "data": data, "commands": tuple(fields["commands"])}
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a card of the zoo: {error!r}") from error


def names(folder: Path = FOLDER) -> list[str]:
    """Lists the networks, in the order of their names."""
    return sorted(path.stem for path in folder.glob(f"*{CARD}"))


def is_zoo(text: str) -> bool:
    """Tells whether a text names a network of the zoo: ``zoo:NAME``."""
    return text.startswith(PREFIX)


def card(name: str, folder: Path = FOLDER) -> Card:
    """Reads the card of a network.

    Raises:
        ValueError: there is no such network; the message lists those that are there.
    """
    known = names(folder)
    if name not in known:
        choices = ", ".join(PREFIX + each for each in known) or "none"
        raise ValueError(
            f"the zoo has no network {name!r}{did_you_mean(name, known)}; it has {choices}"
        )
    return Card.from_json((folder / f"{name}{CARD}").read_text(encoding="utf-8"))


def network_file(name: str, folder: Path = FOLDER) -> Path:
    """Returns a network's file, an exported version.

    Raises:
        ValueError: there is no such network.
        CorruptedFile: its digest is not that of the card.
    """
    path = folder / f"{name}{NETWORK}"
    expected = card(name, folder).sha256
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != expected:
        raise CorruptedFile(path, f"its digest is {actual[:12]}…, its card has {expected[:12]}…")
    return path


def add(name: str, made: Card, folder: Path = FOLDER) -> None:
    """Writes the card of a network whose file is in `folder`; its digest replaces the card's."""
    digest = hashlib.sha256((folder / f"{name}{NETWORK}").read_bytes()).hexdigest()
    text = Card(**{**vars(made), "sha256": digest}).to_json()
    write_bytes(folder / f"{name}{CARD}", text.encode())
