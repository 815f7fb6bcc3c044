"""Settings of self-play (section `selfplay`), and the spec of a stream."""

from dataclasses import dataclass, field, replace

from selfplay.model.config import NetworkConfig
from selfplay.ranges import check_at_least, check_fraction
from selfplay.runs.codec import ADDED
from selfplay.search.config import SearchConfig


@dataclass(frozen=True)
class SelfPlayConfig:
    """Settings that cut self-play into pieces of work, and settings of its exploration.

    Attributes:
        streams: pieces of work per iteration; at least as many as there are actors.
        batch_size: games that a stream plays at the same time: the batch of the search.
        segment_length: moves that each game of the batch advances per iteration.
        temperature: moves are drawn in proportion to (improved policy)^(1/temperature).
        temperature_plies: plies of a game that are drawn so; afterwards the search's own move is
            played.
        random_opening_fraction: fraction of games that start from random legal moves, so that the
            network also learns positions that good play avoids; those moves are not recorded.
        random_opening_plies: a random opening has 1 up to this many of them.
        archive_fraction: fraction of games that start from a position of an earlier game, drawn
            from an archive of the stream; the others start as above. The positions' own moves are
            not recorded again.
        archive_size: positions in the archive of a stream, the newest ones; at least `batch_size`.
        archive_by_regret: draw from the archive in proportion to |root value − result| of the game
            that visited the position; otherwise uniformly.
        full_search_fraction: fraction of a segment's plies that are searched with the whole budget,
            `search.num_simulations`. They are drawn for each segment, and they alone teach the
            policy (playout-cap randomization, Wu 2019).
        first_simulations: budget of the first iterations; it doubles every `doubling_iterations`
            until it is `search.num_simulations`. 0: that budget from the start.
        doubling_iterations: iterations after which the budget doubles, see `first_simulations`.
        fast_simulations: budget of the other plies, which are searched without noise; 0 is the raw
            network.
        fast_rows: True = the other plies are learned from as well, and teach the value alone; False
            = only fully searched plies become rows, as in Wu 2019.
    """

    streams: int = 4
    batch_size: int = 64
    segment_length: int = 32
    temperature: float = 1.0
    temperature_plies: int = 12
    random_opening_fraction: float = 0.5
    random_opening_plies: int = 12
    archive_fraction: float = field(default=0.0, metadata=ADDED)
    archive_size: int = field(default=1024, metadata=ADDED)
    archive_by_regret: bool = field(default=False, metadata=ADDED)
    full_search_fraction: float = field(default=1.0, metadata=ADDED)
    fast_simulations: int = field(default=0, metadata=ADDED)
    first_simulations: int = field(default=0, metadata=ADDED)
    doubling_iterations: int = field(default=8, metadata=ADDED)
    fast_rows: bool = field(default=True, metadata=ADDED)

    def __post_init__(self) -> None:
        check_at_least(self, "selfplay", 1, "streams", "batch_size", "segment_length")
        check_at_least(
            self, "selfplay", 0, "temperature", "temperature_plies", "random_opening_plies"
        )
        check_at_least(self, "selfplay", 0, "fast_simulations", "first_simulations")
        check_at_least(self, "selfplay", 1, "doubling_iterations")
        fractions = ("random_opening_fraction", "archive_fraction", "full_search_fraction")
        check_fraction(self, "selfplay", *fractions)
        if self.archive_fraction == 1:
            raise ValueError(
                "selfplay.archive-fraction must be below 1: without new games, the archive's "
                "positions come ever closer to the end; got 1"
            )
        if self.archive_fraction and self.archive_size < self.batch_size:
            raise ValueError(
                f"selfplay.archive-size must be at least selfplay.batch-size, {self.batch_size}, "
                f"because that many games may end in one ply; got {self.archive_size}"
            )
        if not self.full_plies:
            raise ValueError(
                f"selfplay.full-search-fraction is {self.full_search_fraction}, less than one "
                f"of a segment's {self.segment_length} plies: nothing would teach the policy"
            )

    @property
    def positions(self) -> int:
        """Number of positions that are played in one iteration."""
        return self.streams * self.batch_size * self.segment_length

    @property
    def rows(self) -> int:
        """Number of positions of one iteration that become rows once their games have ended."""
        plies = self.segment_length if self.fast_rows else self.full_plies
        return self.streams * self.batch_size * plies

    def search_at(self, search: SearchConfig, iteration: int) -> SearchConfig:
        """Returns the search of an iteration's fully searched plies; iterations count from 1."""
        if not self.first_simulations:
            return search
        budget = self.first_simulations << (iteration - 1) // self.doubling_iterations
        return replace(search, num_simulations=min(budget, search.num_simulations))

    def searches(self, search: SearchConfig) -> list[SearchConfig]:
        """Returns the searches of a run's fully searched plies, the smallest budget first."""
        if not self.first_simulations:
            return [search]
        doublings = (search.num_simulations // self.first_simulations).bit_length() + 1
        starts = [1 + number * self.doubling_iterations for number in range(doublings)]
        return list(dict.fromkeys(self.search_at(search, start) for start in starts))

    @property
    def full_plies(self) -> int:
        """Number of a segment's plies that are searched with the whole budget."""
        return round(self.full_search_fraction * self.segment_length)


@dataclass(frozen=True)
class StreamSpec:
    """Everything that an actor is built from; parameters and carries come with each piece of work.

    Attributes:
        game: the game's spec, "go?size=9&komi=7.5".
        network: architecture of the parameters.
        search: how moves are chosen.
        selfplay: batch, segment and exploration.
        seed: the run's seed.
        losses: further loss terms (`learner.losses`), whose row fields are recorded.
        surprise: record how far the search's policy is from the network's.
    """

    game: str
    network: NetworkConfig
    search: SearchConfig
    selfplay: SelfPlayConfig
    seed: int
    losses: tuple[str, ...] = ()
    surprise: bool = False
