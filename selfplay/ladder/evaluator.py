"""Elo during training: rates versions at log-spaced iterations on the run's own ladder.

What is rated is a copy of the parameters, and no result flows back, so training has the same bits
with and without it. The ladder is an ordinary one (`RUN/elo/ladder.db`). Its players are the
anchor, `random`, and every rated version at every budget; the pairing rule decides who meets whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax

import games
from selfplay.cluster.background import BackgroundActor
from selfplay.cluster.config import ClusterConfig
from selfplay.ladder import database, tables
from selfplay.ladder.config import EloConfig, LadderConfig
from selfplay.ladder.ladder import Ladder, LadderState
from selfplay.model.architecture import Params
from selfplay.model.flops import Ledger
from selfplay.players import specs
from selfplay.players.specs import Player
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.runs.files import CorruptedFile, write_bytes
from selfplay.runs.metrics_row import Section, SelfPlayRow
from selfplay.runs.snapshots import is_snapshot, snapshot_versions

FOLDER = "elo"  # in the run's folder
PAIRS, PAIRINGS = 8, 4  # of a round of the run's ladder; see `LadderConfig`


class Evaluator:
    """A synchronous rater of one run's versions; `BackgroundEvaluator` runs it in an actor."""

    def __init__(
        self, folder: Path, run_config: dict[str, Any], seed: int, config: EloConfig
    ) -> None:
        """Creates the players that every run has; versions enter as they are rated.

        Args:
            folder: the run's folder; the ladder is in `folder/elo`.
            run_config: the contents of the run's config.json.
            seed: seed of the openings.
            config: budgets, effort, and the anchor, which is resolved: "solver" or "random".
        """
        self._folder, self._run_config, self._config = folder, run_config, config
        self._game_name, self._game = run_config["game"], games.make(run_config["game"])
        self._anchor = config.anchor
        others = dict.fromkeys((self._anchor, "random"))
        self._players = [specs.parse(spec, self._game) for spec in others]
        self._entered: set[int | None] = set()
        self._ladder_config = LadderConfig(
            seed=seed, opening_plies=config.opening_plies, pairs=PAIRS, pairings=PAIRINGS
        )

    def rate(self, number: int, params: Params, ledger: Mapping[str, int]) -> dict[str, Any]:
        """Rates a version at every budget, and all earlier ones again.

        Args:
            number: the version's number.
            params: its parameters, on the host.
            ledger: the FLOPs that made it, as `Ledger`'s fields.

        Returns:
            A part of the row of metrics: ``{"version": …, "anchor": …,
            "sims64": {"elo": …, "low": …, "high": …}, "games": …, "flops": …}``; games and FLOPs
            are totals of the ladder.
        """
        self._enter_earlier(number)
        version = Version(f"run@{number}", params, self._run_config, Ledger(**ledger), number)
        players = self._enter(version)
        path = self._folder / FOLDER / database.FILE
        with Ladder(
            path, self._game, self._game_name, self._players, self._anchor, self._ladder_config
        ) as ladder:
            rated = len(self._entered) * len(players)
            state = ladder.run_until(self._config.until_stderr, self._config.games * rated)
            flops = evaluation_flops(ladder)
        write_bytes(path.with_name("ladder.csv"), tables.to_csv(state).encode())
        return {
            "version": number,
            "anchor": self._anchor,
            **self._ratings(state, [player.spec for player in players]),
            "games": len(state.games.first),
            "flops": flops,
        }

    def _enter_earlier(self, number: int) -> None:
        """Enters the stored versions before `number`, which a resumed run has rated before."""
        for earlier in snapshot_versions(self._folder):
            if is_snapshot(earlier) and 0 < earlier < number and earlier not in self._entered:
                try:
                    stored = Version.load(f"{self._folder}@{earlier}")
                except (ValueError, CorruptedFile):  # not committed yet, or already deleted
                    continue
                self._enter(replace(stored, name=f"run@{earlier}"))

    def _enter(self, version: Version) -> list[Player]:
        """Adds a version's players, one for each budget, and returns them."""
        players = [specs.of_version(version, budget) for budget in self._config.budgets]
        if version.number not in self._entered:
            self._players += players
            self._entered.add(version.number)
        return players

    def _ratings(self, state: LadderState, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Returns Elo and its 95 % interval for the players `names`, one for each budget."""
        index = {entry.spec: i for i, entry in enumerate(state.entries)}
        ratings, rows = state.ratings, {}
        for budget, spec in zip(self._config.budgets, names, strict=True):
            low, high = ratings.interval[index[spec]]
            elo = float(ratings.elo[index[spec]])
            rows[f"sims{budget}"] = {"elo": elo, "low": float(low), "high": float(high)}
        return rows


class BackgroundEvaluator:
    """An asynchronous `Evaluator`: training submits versions and reads the newest ratings."""

    def __init__(
        self,
        folder: Path,
        run_config: dict[str, Any],
        seed: int,
        config: EloConfig,
        cluster: ClusterConfig,
    ) -> None:
        """Starts the evaluator if `config` has a budget; arguments as for `Evaluator`.

        A resumed run begins with the ratings of its last row.
        """
        rows = metrics.read_rows(folder) if config.budgets else []
        last = rows[-1] if rows else None
        self._newest: Section = last.elo if isinstance(last, SelfPlayRow) else {}
        arguments = (folder, run_config, seed, config)
        self._actor = (
            BackgroundActor(Evaluator, "rate", arguments, cluster) if config.budgets else None
        )

    def evaluate_if_due(
        self, params: Params, iteration: int, ledger: Ledger, final: bool
    ) -> Section:
        """Submits this version if it is to be rated, and returns the newest ratings.

        Does not wait, except in the final iteration, which waits for all ratings.

        Args:
            params: the version's parameters.
            iteration: its number.
            ledger: the FLOPs that made it.
            final: True = this is the run's last iteration.
        """
        if self._actor is None:
            return {}
        if is_snapshot(iteration) or final:
            self._actor.submit(iteration, jax.device_get(params), asdict(ledger))
        answers = self._actor.drain() if final else self._actor.results()
        if answers:
            self._newest = answers[-1]
        return self._newest

    @property
    def failure(self) -> str:
        """The reason why rating has stopped; "" if it has not."""
        return self._actor.failure if self._actor else ""

    def close(self) -> None:
        """Stops the evaluator's actor."""
        if self._actor:
            self._actor.close()


def evaluation_flops(ladder: Ladder) -> float:
    """Sums the network FLOPs of all games of a ladder: every move at its player's cost."""
    cost = {entry.id: entry.flops_per_move for entry in ladder.database.players()}
    total = 0.0
    for game in ladder.database.games():
        mover = len(game.opening) % 2
        counts = (len(game.moves) + 1) // 2, len(game.moves) // 2
        seats = (game.first, game.second) if mover == 0 else (game.second, game.first)
        total += sum(moves * cost[seat] for moves, seat in zip(counts, seats, strict=True))
    return total
