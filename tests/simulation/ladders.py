"""Simulated ladders: fields of known strength, and the ways in which they are paired.

A field draws everything at random: 8 to 30 players over 300 to 1 500 Elo, evenly spread or bunched,
in or out of order; first move, draws, and the biases of its openings. An opening's bias shifts both
of its games towards the first player. The biases are none, normal, or heavy-tailed (four openings
in five nearly even and one in five lopsided), which is not what the model assumes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from selfplay.ratings.elo import Games, Ratings, fit
from selfplay.ratings.pairing import choose

Pairs = list[tuple[int, int]]

NATS_PER_ELO: Final = np.log(10) / 400  # on purpose not the model's own
OPENINGS: Final = ("even", "normal", "heavy-tailed")
ANCHORS: Final = ("weakest", "strongest", "any")


def color_blind(games: Games) -> Games:
    """Each result once for either colour, and as an opening of its own: for a plain Bradley-Terry.

    Every game counts twice then.
    """
    return Games(
        np.r_[games.first, games.second],
        np.r_[games.second, games.first],
        np.r_[games.outcome, -games.outcome],
        np.arange(2 * len(games.first)),
    )


@dataclass(frozen=True, eq=False)
class Field:
    """The truth about P players."""

    elo: NDArray[np.float64]  # [P]
    anchor: int
    first_move: float  # Elo
    draw: float  # ν
    openings: str  # of OPENINGS
    bias: float  # Elo, the standard deviation over openings; 0 for even ones
    affinity: float = 0.0  # Elo, by which an opening suits one player of a pairing more

    @property
    def players(self) -> int:
        return len(self.elo)


def draw_field(rng: np.random.Generator) -> Field:
    """A field with everything drawn."""
    players, span = int(rng.integers(8, 31)), rng.uniform(300, 1500)
    even = rng.random() < 0.5
    elo = rng.uniform(0, span, players) if even else rng.normal(0, span / 4, players)
    ordered = rng.random() < 0.5
    elo = np.sort(elo) if ordered else elo
    anchor = (int(elo.argmin()), int(elo.argmax()), 0)[rng.integers(3)]
    openings = OPENINGS[rng.integers(3)]
    bias = 0.0 if openings == "even" else rng.uniform(50, 250)
    draws = rng.uniform(0.1, 2) if rng.random() < 0.7 else 0.0
    return Field(elo, anchor, rng.uniform(-20, 120), draws, openings, bias)


class Ladder:
    """Games of a field, as they are played."""

    def __init__(self, field: Field, rng: np.random.Generator) -> None:
        self.field, self.rng = field, rng
        self.columns: list[NDArray[np.int64]] = [np.zeros((4, 0), np.int64)]
        self.pairs = 0

    @property
    def games(self) -> Games:
        return Games(*np.concatenate(self.columns, axis=1))

    def play(self, pairings: Pairs, pairs: int) -> None:
        """So many openings of each pairing, both colours."""
        field, rng = self.field, self.rng
        seats = np.repeat(np.array(pairings, np.int64).reshape(-1, 2), pairs, axis=0)
        count = len(seats)
        bias = rng.normal(0, field.bias, count)
        if field.openings == "heavy-tailed":
            bias *= np.where(rng.random(count) < 0.2, 2.2, 0.2)
        ahead = field.elo[seats[:, 0]] - field.elo[seats[:, 1]]
        ahead = ahead + rng.normal(0, field.affinity, count)
        ids = self.pairs + np.arange(count)
        for side in (1, -1):
            lead = (side * ahead + field.first_move + bias) * NATS_PER_ELO
            win, loss = np.exp(lead / 2), np.exp(-lead / 2)
            at = rng.random(count) * (win + loss + field.draw)
            outcome = np.where(at < win, 1, np.where(at < win + loss, -1, 0))
            first, second = seats[:, ::side].T
            self.columns.append(np.stack([first, second, outcome, ids]))
        self.pairs += count

    def rate(self) -> Ratings:
        return fit(self.games, self.field.players, self.field.anchor)


def cycle(players: int) -> list[Pairs]:
    """The rounds of a round-robin, by the circle method; nobody sits out if players are even."""
    ring: list[int] = [*range(players), *([-1] * (players % 2))]
    rounds = []
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        seats = zip(ring[:half], ring[: half - 1 : -1], strict=True)
        rounds.append([(a, b) for a, b in seats if min(a, b) >= 0])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return rounds


def round_robin(ladder: Ladder) -> Ratings:
    """Everybody against everybody, 1 to 4 openings."""
    pairs = int(ladder.rng.integers(1, 5))
    for pairings in cycle(ladder.field.players):
        ladder.play(pairings, pairs)
    return ladder.rate()


def neighbours(ladder: Ladder) -> Ratings:
    """About four opponents each, close in strength as far as one knew: 4 to 16 openings."""
    known = ladder.field.elo + ladder.rng.normal(0, 100, ladder.field.players)
    order, pairs = np.argsort(known), int(ladder.rng.integers(4, 17))
    for apart in (1, 3):
        ladder.play(list(zip(order[:-apart], order[apart:], strict=True)), pairs)
    return ladder.rate()


def at_random(ladder: Ladder) -> Ratings:
    """Four opponents each, whoever they are: 4 to 16 openings."""
    order = ladder.rng.permutation(ladder.field.players)
    pairs = int(ladder.rng.integers(4, 17))
    for apart in (1, 3):
        ladder.play(list(zip(order, np.roll(order, apart), strict=True)), pairs)
    return ladder.rate()


def adaptive(ladder: Ladder) -> Ratings:
    """Rounds by what they teach, until every rating is known to ±50 to ±100, or 40 rounds."""
    target = ladder.rng.uniform(50, 100)
    return climb(ladder, target, ladder.field.players // 2, pairs=8, rounds=40)


def climb(ladder: Ladder, target: float, count: int, pairs: int, rounds: int) -> Ratings:
    """Rounds of so many pairings, chosen by what they teach, until `target` or the last round."""
    ratings = ladder.rate()
    for _ in range(rounds):
        if ratings.stderr.max() <= target:
            break
        ladder.play(choose(ratings, ladder.games, count, pairs, target), pairs)
        ratings = ladder.rate()
    return ratings


SCENARIOS: Final[dict[str, Callable[[Ladder], Ratings]]] = {
    "round-robin": round_robin,
    "neighbours": neighbours,
    "at random": at_random,
    "adaptive": adaptive,
}


def ladder(scenario: str, replicate: int) -> tuple[Ladder, Ratings]:
    """One ladder, a function of its name and number."""
    rng = np.random.default_rng([list(SCENARIOS).index(scenario), replicate])
    played = Ladder(draw_field(rng), rng)
    return played, SCENARIOS[scenario](played)
