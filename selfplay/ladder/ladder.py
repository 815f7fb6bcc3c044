"""The ladder: rounds of pairings, chosen by what they teach most, until the ratings are sure.

A round's pairings are a function of the rounds before it, and a game of its players and opening.
So the table is the same however many games are played at once, and wherever the ladder was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from games.game import Game as Rules
from games.go import Go
from selfplay.ladder import match, openings
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.database import Entry, Game, LadderDatabase, Pairing
from selfplay.ladder.openings import Opening
from selfplay.players.gtp_engine import check_engine
from selfplay.players.specs import Player, between
from selfplay.ratings import elo, pairing
from selfplay.ratings.elo import Ratings


class LadderState(NamedTuple):
    """The ladder after its last whole round."""

    entries: list[Entry]  # who has played, or is here today
    ratings: Ratings  # in the order of `entries`
    games: elo.Games  # what they were fitted to
    recorded: list[Game]  # all games of whole rounds
    here: list[int]  # which entries can play today

    @property
    def worst(self) -> float:
        """The largest standard error of who is here, relative to the anchor, Elo."""
        return float(self.ratings.stderr[self.here].max())

    @property
    def rounds(self) -> int:
        """Rounds with games."""
        return len({game.round for game in self.recorded})


class Ladder:
    """Players who meet at one game, and the file that keeps their games; see `LadderDatabase`."""

    def __init__(
        self,
        path: Path,
        game: Rules,
        game_name: str,
        players: Sequence[Player],
        anchor: str,
        config: LadderConfig,
        starts: Sequence[Opening] | None = None,
    ) -> None:
        """Open or create the ladder.

        Args:
            path: its file.
            game: the rules.
            game_name: as the registry reads them, kept in the file.
            players: who plays today; others in the file keep their games.
            anchor: the spec of the player whose rating is 0; one of `players`.
            config: how they are compared.
            starts: openings from a file instead of random ones; used in turn.

        Raises:
            ValueError: a player twice, no such anchor, or a file that does not fit.
        """
        specs = [player.spec for player in players]
        twice = sorted({spec for spec in specs if specs.count(spec) > 1})
        if twice:
            raise ValueError(f"player {twice[0]} is named twice")
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
        self.records = LadderDatabase(path, settings)
        self._players = {e.id: p for e, p in zip(self.records.enter(players), players, strict=True)}
        self._unchecked = [player.command for player in players if player.command]

    def standing(self) -> LadderState:
        """Ratings from all whole rounds; see `standing`."""
        return standing(self.records, self._anchor, self._players)

    def climb(
        self,
        until_stderr: float,
        max_games: int,
        workers: int = 1,
        timeout_s: float = 60.0,
        report: Callable[[Pairing, list[match.Played]], None] = lambda pairing, played: None,
        after_round: Callable[[LadderState], None] = lambda standing: None,
        announce: Callable[[str], None] = lambda text: None,
    ) -> LadderState:
        """Play rounds until every rating is sure, or so many games have been played in all.

        Players that are too far apart to be compared (`pairing.divide`) are rated in parts: the
        games of a part go to the ratings relative to one of its own players.

        Matches that are being played when an exception comes are finished and kept before it goes
        on.

        Args:
            until_stderr: the standard error in Elo, relative to the anchor, that is sure enough.
            max_games: no round begins with as many games in the file.
            workers: pairings played at once; no game depends on it.
            timeout_s: seconds an engine may think about a move.
            report: gets every pairing's games as soon as they are safe.
            after_round: gets the standing after every round.
            announce: gets a sentence about pairings that can not be played any more, and one about
                players that are too far apart.

        Raises:
            ValueError: an engine does not answer as a game needs it.
        """
        while True:
            left = self._left(announce)
            standing = self.standing()
            if left:
                self._check_engines(timeout_s)
            else:
                after_round(standing)
                parts = self._parts(standing, until_stderr, max_games)
                left = self._plan(standing, parts, until_stderr, max_games)
                if not left:
                    for upper, lower in pairwise(parts):
                        announce(_far_apart(standing, upper, lower))
                    return standing
                self._check_engines(timeout_s)
                self.records.begin_round(left)
            self._play(left, workers, timeout_s, report)

    def _check_engines(self, timeout_s: float) -> None:
        """Raise ValueError if an engine, asked for the first time, does not answer as it must."""
        while self._unchecked:
            assert isinstance(self._game, Go)
            check_engine(self._unchecked[-1], self._game, timeout_s)
            self._unchecked.pop()

    def _left(self, announce: Callable[[str], None]) -> list[Pairing]:
        """What the last round still lacks; pairings whose players are not here are withdrawn."""
        left = [p for p in self.records.pairings() if not p.done]
        absent = [p for p in left if not {p.a, p.b} <= set(self._players)]
        if absent:
            names = {entry.id: entry.spec for entry in self.records.players()}
            missing = sorted({names[i] for p in absent for i in (p.a, p.b)} - self._specs())
            announce(
                f"round {left[0].round} was not finished and goes on without {', '.join(missing)}"
            )
        for planned in absent:
            self.records.withdraw(planned)
        return [p for p in left if p not in absent]

    def _specs(self) -> set[str]:
        return {player.spec for player in self._players.values()}

    def games_left(self, max_games: int) -> int:
        """Returns how many more games may be planned until the ladder holds `max_games`."""
        return max(0, max_games - sum(2 * p.pairs for p in self.records.pairings()))

    def _parts(self, standing: LadderState, until_stderr: float, max_games: int) -> list[list[int]]:
        """Who is here, in parts too far apart to be compared with the games that are left."""
        here = standing.here  # only they can play; the others' ratings stay what they are
        part = pairing.restrict(standing.ratings, standing.games, here)
        parts = pairing.divide(*part, self.games_left(max_games) // 2, until_stderr)
        return [[here[i] for i in part] for part in parts]

    def _plan(
        self, standing: LadderState, parts: list[list[int]], until_stderr: float, max_games: int
    ) -> list[Pairing]:
        """The next round; none if who is here is sure, or nothing new can be played."""
        if not self.games_left(max_games):
            return []
        before, config, spent = self.records.pairings(), self._config, _spent(standing)
        count = config.pairings or max(8, len(standing.here) // 8)
        number = 1 + max((p.round for p in before), default=0)
        plan: list[Pairing] = []
        for part in parts:
            if len(plan) == count:
                break
            ids = [standing.entries[k].id for k in part]
            without = {
                (min(i, j), max(i, j))
                for i, j in ((ids.index(a), ids.index(b)) for a, b in spent if {a, b} <= {*ids})
            }
            ratings, games = pairing.restrict(standing.ratings, standing.games, part)
            for i, j in pairing.choose(
                ratings, games, count - len(plan), config.pairs, until_stderr, without
            ):
                start = sum(p.pairs for p in before if {p.a, p.b} == {ids[i], ids[j]})
                plan.append(Pairing(number, len(plan), ids[i], ids[j], start, config.pairs))
        return plan

    def _play(
        self,
        left: Sequence[Pairing],
        workers: int,
        timeout_s: float,
        report: Callable[[Pairing, list[match.Played]], None],
    ) -> None:
        def one(p: Pairing) -> list[match.Played]:
            a, b = self._players[p.a], self._players[p.b]
            return match.play(
                a, b, self._game, self._openings(p), self._config.seed, p.start, timeout_s
            )

        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(one, p): p for p in left}
            kept = set()

            def keep(future: Future[list[match.Played]]) -> None:
                kept.add(future)
                played = future.result()
                self.records.finish(futures[future], played, self._config.seed)
                report(futures[future], played)

            try:
                for future in as_completed(futures):
                    keep(future)
            except BaseException:
                for future in futures.keys() - kept:
                    if not future.cancel() and future.exception() is None:
                        keep(future)
                raise

    def _openings(self, p: Pairing) -> list[Opening]:
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
        self.records.close()


def standing(records: LadderDatabase, anchor: str, here: Collection[int] = ()) -> LadderState:
    """Ratings from all whole rounds, of who has played and of the ids `here`, who can play today.

    A game that two players without noise have played before is not counted again: it says
    nothing new.

    Raises:
        ValueError: the anchor is not among them.
    """
    pending = {p.round for p in records.pairings() if not p.done}
    recorded = [game for game in records.games() if game.round not in pending]
    seen = {i for game in recorded for i in (game.first, game.second)} | set(here)
    entries = [entry for entry in records.players() if entry.id in seen]
    index = {entry.id: i for i, entry in enumerate(entries)}
    rated = [g for g in _distinct(recorded, entries) if g.outcome is not None]
    pairs = [(g.round, g.slot, g.opening_index) for g in rated]
    units = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    data = elo.Games(
        np.array([index[g.first] for g in rated], np.int64),
        np.array([index[g.second] for g in rated], np.int64),
        np.array([g.outcome for g in rated], np.int64),
        np.array([units[pair] for pair in pairs], np.int64),
    )
    specs = [entry.spec for entry in entries]
    if anchor not in specs:
        raise ValueError(f"the anchor {anchor!r} is not among the players {', '.join(specs)}")
    ratings = elo.fit(data, len(entries), specs.index(anchor))
    playing = [i for i, entry in enumerate(entries) if entry.id in here]
    return LadderState(entries, ratings, data, recorded, playing)


def _distinct(recorded: Sequence[Game], entries: Sequence[Entry]) -> list[Game]:
    """The games without those that two players who repeat themselves have repeated."""
    repeats = {entry.id for entry in entries if entry.repeats}
    seen: set[Any] = set()
    kept = []
    for game in recorded:
        line = (game.first, game.second, game.opening, game.moves)
        if line not in seen or not {game.first, game.second} <= repeats:
            kept.append(game)
        seen.add(line)
    return kept


def _far_apart(standing: LadderState, upper: Sequence[int], lower: Sequence[int]) -> str:
    """Say why two parts of the field cannot be compared, and which player would help."""
    entries, games, elo = standing.entries, standing.games, standing.ratings.elo
    above, below = min(upper, key=lambda i: elo[i]), max(lower, key=lambda i: elo[i])
    down = np.isin(games.first, upper) & np.isin(games.second, lower)
    up = np.isin(games.first, lower) & np.isin(games.second, upper)
    points = np.concatenate([1 + games.outcome[down], 1 - games.outcome[up]]) / 2
    a, b = entries[above].spec, entries[below].spec
    return (
        f"{a} and {b} are too far apart to be compared: {a} and those above it scored "
        f"{points.mean():.0%} of {len(points):,} games against {b} and those below it. More games "
        f"would change little; a player between them would help: {between(a, b)}"
    )


def _spent(standing: LadderState) -> set[tuple[int, int]]:
    """Pairings (ids, the smaller first) whose last round has taught nothing.

    All openings were used and the players repeat themselves, or an engine could not begin.
    """
    last: dict[tuple[int, int], int] = {}
    new: set[tuple[tuple[int, int], int]] = set()
    for game in standing.recorded:
        pair = (min(game.first, game.second), max(game.first, game.second))
        last[pair] = max(last.get(pair, 0), game.round)
    for game in _distinct(standing.recorded, standing.entries):
        if game.outcome is not None:
            new.add(((min(game.first, game.second), max(game.first, game.second)), game.round))
    return {pair for pair, number in last.items() if (pair, number) not in new}
