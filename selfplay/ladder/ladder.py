"""The ladder: plays rounds of the most informative pairings until the ratings are precise enough.

The pairings of a round depend only on earlier rounds, and a game only on its players and opening.
So the table is the same however many games are played at once, and wherever the ladder was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from games.game import Game
from selfplay.ladder import match, openings
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.database import Entry, LadderDatabase, LadderReader, Pairing, RecordedGame
from selfplay.ladder.match import GameResult
from selfplay.ladder.openings import Opening
from selfplay.ladder.tally import Tally
from selfplay.players.gtp_engine import check_engine
from selfplay.players.specs import Player, between
from selfplay.ratings import elo, pairing
from selfplay.ratings.elo import Ratings


class LadderState(NamedTuple):
    """A snapshot of a ladder after its last complete round."""

    entries: list[Entry]  # players with games, and active players
    ratings: Ratings  # in the order of `entries`
    games: elo.Games  # the games to which they were fitted
    recorded: list[RecordedGame]  # all games of complete rounds; empty if a table was read
    active: list[int]  # indices of the entries that can play in this process
    counts: Tally | None = None  # of a table that was read; see `tally`

    @property
    def max_stderr(self) -> float:
        """The largest standard error of an active player, relative to the anchor, in Elo."""
        return float(self.ratings.stderr[self.active].max())

    @property
    def rounds(self) -> int:
        """The number of complete rounds with games."""
        return self.tally.rounds

    @property
    def tally(self) -> Tally:
        """Counts of all games of complete rounds, those that are not rated included."""
        return self.counts or Tally.of(self.recorded, self.entries, len(self.games.outcome))


class Ladder:
    """Players of one game, and the database of their games; a context manager."""

    def __init__(
        self,
        path: Path,
        game: Game,
        game_name: str,
        players: Sequence[Player],
        anchor: str,
        config: LadderConfig,
        starts: Sequence[Opening] | None = None,
    ) -> None:
        """Opens or creates the ladder.

        Args:
            path: its file.
            game: the rules.
            game_name: their name in the registry, with options; recorded in the file.
            players: the active players; others in the file keep their games.
            anchor: the spec of the player at 0 Elo, one of `players`; a new file records it.
            config: how players are compared.
            starts: openings to use in turn, instead of random ones.

        Raises:
            ValueError: a repeated player, an anchor that is not a player, or a file as
                `LadderDatabase` rejects it.
        """
        specs = [player.spec for player in players]
        repeated = sorted({spec for spec in specs if specs.count(spec) > 1})
        if repeated:
            raise ValueError(f"player {repeated[0]} is named twice")
        if anchor not in specs:
            raise ValueError(f"the anchor {anchor!r} is not among the players {', '.join(specs)}")
        self._game, self._anchor, self._config = game, anchor, config
        self._starts = list(starts) if starts is not None else None
        settings = {
            "game": game_name,
            "seed": config.seed,
            "opening plies": config.opening_plies,
            "openings": [list(o) for o in starts] if starts is not None else "random",
        }
        self.database = LadderDatabase(path, settings, anchor)
        entries = self.database.enter(players)
        self._players = {e.id: p for e, p in zip(entries, players, strict=True)}
        self._unchecked = [player.command for player in players if player.command]

    def state(self) -> LadderState:
        """Rates the players by all complete rounds; see `compute_state`."""
        return compute_state(self.database, self._anchor, self._players)

    def run_until(
        self,
        until_stderr: float,
        max_games: int,
        workers: int = 1,
        timeout_s: float = 60.0,
        report: Callable[[Pairing, list[GameResult]], None] = lambda pairing, results: None,
        after_round: Callable[[LadderState], None] = lambda state: None,
        announce: Callable[[str], None] = lambda text: None,
    ) -> LadderState:
        """Plays rounds until all ratings are precise enough, or the file has `max_games` games.

        Players that are too far apart to be compared (`pairing.divide`) are rated in parts: each
        part plays for the precision of ratings relative to one of its own players. Ratings that no
        games could make that precise (`pairing.within_reach`) end the ladder as well.

        If an exception occurs, matches in progress are finished and stored before it is raised.

        Args:
            until_stderr: the standard error to reach, in Elo relative to the anchor.
            max_games: number of games in the file from which on no round begins.
            workers: pairings played at once; does not change any game.
            timeout_s: seconds that an engine may think about a move.
            report: called with the games of each pairing once they are stored.
            after_round: called with the state after every round.
            announce: called with a sentence about pairings that cannot be played any more, or
                about players that are too far apart.

        Raises:
            ValueError: an engine does not answer as a game requires.
        """
        while True:
            pairings = self._unfinished(announce)
            state = self.state()
            if pairings:
                self._check_engines(timeout_s)
            else:
                after_round(state)
                parts = self._comparable_parts(state, until_stderr, max_games)
                pairings = self._plan(state, parts, until_stderr, max_games)
                if not pairings:
                    for upper, lower in pairwise(parts):
                        announce(_describe_gap(state, upper, lower))
                    for part in parts:
                        _announce_limit(state, part, until_stderr, announce)
                    return state
                self._check_engines(timeout_s)
                self.database.begin_round(pairings)
            self._play(pairings, workers, timeout_s, report)

    def _check_engines(self, timeout_s: float) -> None:
        """Tests the engines that were not tested yet; raises ValueError if one fails."""
        while self._unchecked:
            check_engine(self._unchecked[-1], self._game, timeout_s)
            self._unchecked.pop()

    def _unfinished(self, announce: Callable[[str], None]) -> list[Pairing]:
        """Returns the last round's pairings without games; withdraws those of inactive players."""
        unfinished = [p for p in self.database.pairings() if not p.done]
        withdrawn = [p for p in unfinished if not {p.a, p.b} <= set(self._players)]
        if withdrawn:
            names = {entry.id: entry.spec for entry in self.database.players()}
            missing = sorted({names[i] for p in withdrawn for i in (p.a, p.b)} - self._specs())
            announce(
                f"round {unfinished[0].round} was not finished; it continues without "
                f"{', '.join(missing)}"
            )
        for planned in withdrawn:
            self.database.withdraw(planned)
        return [p for p in unfinished if p not in withdrawn]

    def _specs(self) -> set[str]:
        return {player.spec for player in self._players.values()}

    def games_left(self, max_games: int) -> int:
        """Returns how many more games may be planned until the ladder has `max_games`."""
        return max(0, max_games - sum(2 * p.pairs for p in self.database.pairings()))

    def _comparable_parts(
        self, state: LadderState, until_stderr: float, max_games: int
    ) -> list[list[int]]:
        """Divides the active players into parts that the remaining games cannot compare."""
        active = state.active  # only they can play; the ratings of others keep their errors
        ratings, games = pairing.restrict(state.ratings, state.games, active)
        openings_left = self.games_left(max_games) // 2
        parts = pairing.divide(ratings, games, openings_left, until_stderr)
        return [[active[i] for i in part] for part in parts]

    def _plan(
        self, state: LadderState, parts: list[list[int]], until_stderr: float, max_games: int
    ) -> list[Pairing]:
        """Plans a round; empty if all ratings are precise enough, or no new game can be played."""
        if not self.games_left(max_games):
            return []
        before, config = self.database.pairings(), self._config
        exhausted = _exhausted_pairings(state)
        count = config.pairings or max(8, len(state.active) // 8)
        number = 1 + max((p.round for p in before), default=0)
        plan: list[Pairing] = []
        for part in parts:
            if len(plan) == count:
                break
            ids = [state.entries[k].id for k in part]
            exclude = {
                (min(i, j), max(i, j))
                for i, j in ((ids.index(a), ids.index(b)) for a, b in exhausted if {a, b} <= {*ids})
            }
            ratings, games = pairing.restrict(state.ratings, state.games, part)
            target = pairing.within_reach(ratings, until_stderr)
            for i, j in pairing.choose(
                ratings, games, count - len(plan), config.pairs, target, exclude
            ):
                start = sum(p.pairs for p in before if {p.a, p.b} == {ids[i], ids[j]})
                plan.append(Pairing(number, len(plan), ids[i], ids[j], start, config.pairs))
        return plan

    def _play(
        self,
        pairings: Sequence[Pairing],
        workers: int,
        timeout_s: float,
        report: Callable[[Pairing, list[GameResult]], None],
    ) -> None:
        """Plays pairings in threads and stores the games of each as soon as they are finished."""

        def play_pairing(p: Pairing) -> list[GameResult]:
            a, b = self._players[p.a], self._players[p.b]
            return match.play(
                a, b, self._game, self._openings(p), self._config.seed, p.start, timeout_s
            )

        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(play_pairing, p): p for p in pairings}
            stored = set()

            def store(future: Future[list[GameResult]]) -> None:
                stored.add(future)
                results = future.result()
                self.database.finish(futures[future], results, self._config.seed)
                report(futures[future], results)

            try:
                for future in as_completed(futures):
                    store(future)
            except BaseException:
                for future in futures.keys() - stored:
                    if not future.cancel() and future.exception() is None:
                        store(future)
                raise

    def _openings(self, p: Pairing) -> list[Opening]:
        """Returns the openings of a pairing."""
        if self._starts is not None:
            return [self._starts[(p.start + i) % len(self._starts)] for i in range(p.pairs)]
        number = match.pairing_number(self._players[p.a], self._players[p.b])
        config = self._config
        return openings.draw(
            self._game, config.opening_plies, config.seed, number, p.start, p.pairs
        )

    def __enter__(self) -> Ladder:
        return self

    def __exit__(self, *error: object) -> None:
        self.database.close()


def compute_state(database: LadderReader, anchor: str, active: Collection[int] = ()) -> LadderState:
    """Rates players by the games of all complete rounds.

    If two deterministic players repeat a game, it counts once: the repetition is no new evidence.

    Args:
        database: the ladder's file.
        anchor: the spec of the player at 0 Elo.
        active: ids of the players who can play; all others need a game to be included.

    Raises:
        ValueError: the anchor is not among the players.
    """
    recorded = complete_games(database)
    included = {i for game in recorded for i in (game.first, game.second)} | set(active)
    entries = [entry for entry in database.players() if entry.id in included]
    index = {entry.id: i for i, entry in enumerate(entries)}
    rated = rated_games(recorded, entries)
    pairs = [(g.round, g.slot, g.opening_index) for g in rated]
    units = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    data = elo.Games(
        np.array([index[g.first] for g in rated], np.int64),
        np.array([index[g.second] for g in rated], np.int64),
        np.array([g.outcome for g in rated], np.int64),
        np.array([units[pair] for pair in pairs], np.int64),
    )
    indices = [i for i, entry in enumerate(entries) if entry.id in active]
    return rate(entries, data, anchor, recorded, indices)


def rate(
    entries: list[Entry],
    games: elo.Games,
    anchor: str,
    recorded: list[RecordedGame],
    active: list[int],
    counts: Tally | None = None,
) -> LadderState:
    """Fits the ratings of a ladder; the arguments are the fields of `LadderState`.

    Raises:
        ValueError: the anchor is not among the players.
    """
    specs = [entry.spec for entry in entries]
    if anchor not in specs:
        raise ValueError(f"the anchor {anchor!r} is not among the players {', '.join(specs)}")
    ratings = elo.fit(games, len(entries), specs.index(anchor))
    return LadderState(entries, ratings, games, recorded, active, counts)


def complete_games(database: LadderReader) -> list[RecordedGame]:
    """Returns the games of all complete rounds."""
    pending = {p.round for p in database.pairings() if not p.done}
    return [game for game in database.games() if game.round not in pending]


def rated_games(recorded: Sequence[RecordedGame], entries: Sequence[Entry]) -> list[RecordedGame]:
    """Selects the games to which ratings are fitted: with a result, and no repetitions."""
    return [g for g in _without_repeats(recorded, entries) if g.outcome is not None]


def _without_repeats(
    recorded: Sequence[RecordedGame], entries: Sequence[Entry]
) -> list[RecordedGame]:
    """Removes games that two deterministic players have played before."""
    deterministic = {entry.id for entry in entries if entry.deterministic}
    lines: set[tuple[int, int, tuple[int, ...], tuple[int, ...]]] = set()
    distinct = []
    for game in recorded:
        line = (game.first, game.second, game.opening, game.moves)
        if line not in lines or not {game.first, game.second} <= deterministic:
            distinct.append(game)
        lines.add(line)
    return distinct


def _describe_gap(state: LadderState, upper: Sequence[int], lower: Sequence[int]) -> str:
    """Explains why two parts of the field cannot be compared, and which player would help."""
    entries, games, rating = state.entries, state.games, state.ratings.elo
    above, below = min(upper, key=lambda i: rating[i]), max(lower, key=lambda i: rating[i])
    down = np.isin(games.first, upper) & np.isin(games.second, lower)
    up = np.isin(games.first, lower) & np.isin(games.second, upper)
    points = np.concatenate([1 + games.outcome[down], 1 - games.outcome[up]]) / 2
    a, b = entries[above].spec, entries[below].spec
    return (
        f"{a} and {b} are too far apart to be compared: {a} and those above it scored "
        f"{points.mean():.0%} of {len(points):,} games against {b} and those below it. More games "
        f"would change little; a player between them would help: {between(a, b)}"
    )


def _announce_limit(
    state: LadderState, part: Sequence[int], until_stderr: float, announce: Callable[[str], None]
) -> None:
    """Says why a part's ratings cannot become more precise, if pair effects are the reason."""
    ratings, _ = pairing.restrict(state.ratings, state.games, part)
    within_reach = pairing.within_reach(ratings, until_stderr)
    if within_reach > until_stderr and ratings.stderr.max() > until_stderr:
        announce(
            f"±{until_stderr:g} Elo is out of reach for {len(part)} players whose results deviate "
            f"by {ratings.pair_spread:.0f} Elo from pairing to pairing: however many games they "
            f"play, some ±{within_reach:.0f} Elo stay. More players would help"
        )


def _exhausted_pairings(state: LadderState) -> set[tuple[int, int]]:
    """Returns the pairings (ids, the smaller first) whose last round had no new rated game.

    Either all openings were used and both players are deterministic, or an engine could not begin.
    """
    last: dict[tuple[int, int], int] = {}
    informative: set[tuple[tuple[int, int], int]] = set()
    for game in state.recorded:
        pair = (min(game.first, game.second), max(game.first, game.second))
        last[pair] = max(last.get(pair, 0), game.round)
    for game in rated_games(state.recorded, state.entries):
        pair = (min(game.first, game.second), max(game.first, game.second))
        informative.add((pair, game.round))
    return {pair for pair, number in last.items() if (pair, number) not in informative}
