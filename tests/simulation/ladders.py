"""Simulated ladders: fields of players with known strength, and the ways to pair them.

Everything about a field is drawn at random: 8 to 30 players over 300 to 1 500 Elo, spread evenly or
bunched, sorted or not; the advantage of the first move, the frequency of draws, and the biases of
its openings. An opening's bias favors the first player in both of its games. The biases are 0,
normal, or heavy-tailed (four openings in five nearly even, one in five lopsided), which the model
does not assume.

Pairings deviate from the difference of strengths as one of `PATTERNS` says; a deviation is the same
in all games of its pairing. The deviations come from a generator of their own, so fields without
them do not depend on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from selfplay.ratings.elo import Games, Ratings, fit
from selfplay.ratings.pairing import choose, within_reach

Pairs = list[tuple[int, int]]

NATS_PER_ELO: Final = np.log(10) / 400  # independent of the model's constant on purpose
OPENINGS: Final = ("even", "normal", "heavy-tailed")
ANCHORS: Final = ("weakest", "strongest", "any")
KINDS: Final = 3
WITHIN_KINDS: Final = 30.0  # Elo, standard deviation of the effects within kinds


def color_blind(games: Games) -> Games:
    """Adds every game with colors swapped, for a plain Bradley-Terry model.

    Every game counts twice then, each time with an opening of its own.
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
    bias: float  # Elo, standard deviation over openings; 0 for even ones
    affinity: float = 0.0  # Elo, standard deviation of how much an opening suits a player more
    effects: NDArray[np.float64] | None = (
        None  # [P, P], skew-symmetric: Elo that i is further ahead
    )
    kinds: tuple[str, ...] | None = None  # [P]: names of the players' kinds

    @property
    def players(self) -> int:
        return len(self.elo)


def independent(field: Field, spread: float, rng: np.random.Generator) -> Field:
    """Gives every pairing an effect of standard deviation `spread` in Elo."""
    above = np.triu(rng.normal(0, spread, (field.players, field.players)), 1)
    return replace(field, effects=above - above.T)


def cyclic(field: Field, amplitude: float, rng: np.random.Generator) -> Field:
    """Places the players on a circle: each is further ahead of those on its left half.

    The effects are `amplitude` sin(φ_i − φ_j) in Elo, with independent uniform phases φ.
    """
    phase = rng.uniform(0, 2 * np.pi, field.players)
    return replace(field, effects=amplitude * np.sin(np.subtract.outer(phase, phase)))


def between_kinds(field: Field, between: float, rng: np.random.Generator) -> Field:
    """Draws effects with standard deviation `between` between kinds, `WITHIN_KINDS` within them.

    A field without kinds gets `KINDS`, which take turns in the order of the players.
    """
    kinds = field.kinds or tuple(f"kind {i % KINDS}" for i in range(field.players))
    same = np.equal.outer(np.array(kinds), np.array(kinds))
    unit = independent(field, 1.0, rng).effects
    assert unit is not None
    return replace(field, kinds=kinds, effects=unit * np.where(same, WITHIN_KINDS, between))


PATTERNS: Final[dict[str, Callable[[Field, float, np.random.Generator], Field]]] = {
    "independent": independent,
    "cycle": cyclic,
    "kinds": between_kinds,
}


def draw_field(rng: np.random.Generator) -> Field:
    """Draws a field."""
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
    """The games of a field, played pairing by pairing."""

    def __init__(self, field: Field, rng: np.random.Generator, pair_effects: bool = True) -> None:
        self.field, self.rng, self.pair_effects = field, rng, pair_effects
        self.columns: list[NDArray[np.int64]] = [np.zeros((4, 0), np.int64)]
        self.pairs = 0

    @property
    def games(self) -> Games:
        return Games(*np.concatenate(self.columns, axis=1))

    def play(self, pairings: Pairs, pairs: int) -> None:
        """Plays `pairs` openings of each pairing, each with both colors."""
        field, rng = self.field, self.rng
        seats = np.repeat(np.array(pairings, np.int64).reshape(-1, 2), pairs, axis=0)
        count = len(seats)
        bias = rng.normal(0, field.bias, count)
        if field.openings == "heavy-tailed":
            bias *= np.where(rng.random(count) < 0.2, 2.2, 0.2)
        ahead = field.elo[seats[:, 0]] - field.elo[seats[:, 1]]
        ahead = ahead + rng.normal(0, field.affinity, count)
        if field.effects is not None:
            ahead = ahead + field.effects[seats[:, 0], seats[:, 1]]
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
        players, anchor = self.field.players, self.field.anchor
        return fit(self.games, players, anchor, pair_effects=self.pair_effects)


def cycle(players: int) -> list[Pairs]:
    """Returns the rounds of a round-robin by the circle method; with odd players one sits out."""
    ring: list[int] = [*range(players), *([-1] * (players % 2))]
    rounds = []
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        seats = zip(ring[:half], ring[: half - 1 : -1], strict=True)
        rounds.append([(a, b) for a, b in seats if min(a, b) >= 0])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return rounds


def round_robin(ladder: Ladder) -> Ratings:
    """Plays everybody against everybody, 1 to 4 openings each."""
    pairs = int(ladder.rng.integers(1, 5))
    for pairings in cycle(ladder.field.players):
        ladder.play(pairings, pairs)
    return ladder.rate()


def neighbors(ladder: Ladder) -> Ratings:
    """Plays about four opponents each, close by noisy prior strengths, 4 to 16 openings each."""
    prior = ladder.field.elo + ladder.rng.normal(0, 100, ladder.field.players)
    order, pairs = np.argsort(prior), int(ladder.rng.integers(4, 17))
    for apart in (1, 3):
        ladder.play(list(zip(order[:-apart], order[apart:], strict=True)), pairs)
    return ladder.rate()


def at_random(ladder: Ladder) -> Ratings:
    """Plays four random opponents each, 4 to 16 openings each."""
    order = ladder.rng.permutation(ladder.field.players)
    pairs = int(ladder.rng.integers(4, 17))
    for apart in (1, 3):
        ladder.play(list(zip(order, np.roll(order, apart), strict=True)), pairs)
    return ladder.rate()


def adaptive(ladder: Ladder) -> Ratings:
    """Plays the most informative pairings, up to 40 rounds, to standard errors of 50 to 100 Elo."""
    target = ladder.rng.uniform(50, 100)
    return climb(ladder, target, ladder.field.players // 2, pairs=8, rounds=40)


def climb(ladder: Ladder, target: float, count: int, pairs: int, rounds: int) -> Ratings:
    """Plays rounds of the `count` most informative pairings until all standard errors are small.

    A round that only joins players without a path between them is the same under any ratings, so
    there is no fit before it.

    Args:
        ladder: the ladder to extend.
        target: the largest standard error to accept, Elo.
        count: pairings per round.
        pairs: openings per pairing.
        rounds: the most rounds to play.
    """
    ratings = ladder.rate()
    for _ in range(rounds):
        if ratings.stderr.max() <= within_reach(ratings, target):
            break
        ladder.play(choose(ratings, ladder.games, count, pairs, target), pairs)
        if ladder.field.players - 1 - ladder.pairs // pairs < count:  # joins that are left
            ratings = ladder.rate()
    return ratings


SCENARIOS: Final[dict[str, Callable[[Ladder], Ratings]]] = {
    "round-robin": round_robin,
    "neighbors": neighbors,
    "at random": at_random,
    "adaptive": adaptive,
}


def ladder(
    scenario: str, replicate: int, pattern: str = "independent", spread: float = 0.0
) -> tuple[Ladder, Ratings]:
    """Simulates one ladder, a function of its arguments.

    Args:
        scenario: the way of pairing, one of `SCENARIOS`.
        replicate: the number of the ladder; its field is the same under all patterns.
        pattern: how pairings deviate from the difference of strengths, one of `PATTERNS`.
        spread: how far they deviate, in Elo.
    """
    key = [list(SCENARIOS).index(scenario), replicate]
    rng = np.random.default_rng(key)
    field = draw_field(rng)
    if spread:
        field = PATTERNS[pattern](field, spread, np.random.default_rng([*key, 1]))
    played = Ladder(field, rng)
    return played, SCENARIOS[scenario](played)


# Published ladders


CONNECT_FOUR: Final = (  # ratings of `versions × budgets`, then random, rollouts, 30 % blunders
    *(-1272, -947, -797, -1134, -612, -592, -689, -484, -489),
    *(-495, -373, -274, -477, -249, -145, -362, -179, -144),
    *(-1645, -1230, -902, -576, -465, 0, -893),
)


def like_connect_four(rng: np.random.Generator) -> Field:
    """Draws a field like that of docs/results/connect_four_ladder.md: 25 players of four kinds."""
    elo = np.array(CONNECT_FOUR) + rng.normal(0, 40, len(CONNECT_FOUR))
    kinds = ("0 simulations", "16 simulations", "64 simulations") * 6 + ("other",) * 7
    return Field(elo, CONNECT_FOUR.index(0), 100.0, 0.02, "normal", 150.0, kinds=kinds)


def like_recipes(rng: np.random.Generator) -> Field:
    """Draws a field like that of docs/results/recipes: 240 versions of 20 runs, and the solver."""
    recipe = np.array([0, -250, -50, -150])[:, None, None, None] + np.zeros((4, 5, 6, 2))
    run = rng.normal(0, 40, (4, 5, 1, 1)) + rng.normal(0, 20, recipe.shape)
    version = np.linspace(-1500, -750, 6)[:, None] + np.array([0.0, 300.0])
    elo = np.r_[(recipe + run + version).ravel(), 0]
    kinds = ("0 simulations", "16 simulations") * 120 + ("solver",)
    return Field(elo, 240, 100.0, 0.02, "normal", 150.0, kinds=kinds)


@dataclass(frozen=True)
class Published:
    """A field and the rounds of a published ladder, with 16 openings a pairing."""

    field: Callable[[np.random.Generator], Field]
    pairings: int  # of a round
    rounds: int
    target: float  # Elo, standard error


PUBLISHED: Final = {
    "connect four": Published(like_connect_four, 12, 70, 20.0),  # 26 880 games
    "recipes": Published(like_recipes, 30, 21, 40.0),  # 20 160 games
}
AT_ONCE: Final = 4  # rounds that are chosen together
SUPPOSED: Final = 100.0  # Elo, σ for the choice of pairings


def published(name: str, replicate: int, pattern: str, spread: float) -> tuple[Ladder, Ratings]:
    """Simulates a ladder with the data of a published one; see `ladder` for its arguments.

    To be quick, pairings are chosen for several rounds at once, by ratings without pair effects.
    """
    like, key = PUBLISHED[name], [len(SCENARIOS) + 2 + list(PUBLISHED).index(name), replicate]
    rng = np.random.default_rng(key)
    field = like.field(rng)
    if spread:
        field = PATTERNS[pattern](field, spread, np.random.default_rng([*key, 1]))
    played = Ladder(field, rng, pair_effects=False)
    for start in range(0, like.rounds, AT_ONCE):
        count = like.pairings * min(AT_ONCE, like.rounds - start)
        ratings = replace(played.rate(), pair_spread=SUPPOSED)
        played.play(choose(ratings, played.games, count, 16, like.target), 16)
    played.pair_effects = True
    return played, played.rate()
