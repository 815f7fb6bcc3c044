"""Elo along the way: log-spaced versions of a run, rated on the run's own ladder as they are made.

What is rated is a copy of the parameters, and nothing flows back, so training has the same bits
with and without it. The ladder is an ordinary one (`RUN/elo/ladder.db`): the anchor, `random`, and
every rated version at every budget, which meet whom the pairing rule says.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from selfplay.model.flops import Ledger
from selfplay.players import specs
from selfplay.players.specs import Player
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.runs.files import CorruptedFile, write_bytes
from selfplay.runs.snapshots import is_snapshot, snapshot_versions

FOLDER = "elo"  # in the run's folder


class Evaluator:
    """Rates versions one after the other; lives beside the training, or in it."""

    def __init__(self, folder: Path, config: dict[str, Any], seed: int, how: EloConfig) -> None:
        """Take up the ladder in `folder`, with the versions that it knows and the run still has.

        Args:
            folder: of the run; the ladder lies in `folder/elo`.
            config: the run's, as its config.json holds it.
            seed: of the openings.
            how: budgets, effort, and the anchor, which is not "auto" any more.
        """
        self._folder, self._config, self._how = folder, config, how
        self._name, self._game = config["game"], games.make(config["game"])
        self._anchor = how.anchor
        others = dict.fromkeys((self._anchor, "random"))
        self._players = [specs.parse(spec, self._game) for spec in others]
        self._entered: set[int | None] = set()
        self._climbing = LadderConfig(
            seed=seed, opening_plies=how.opening_plies, pairs=8, pairings=4
        )

    def rate(self, number: int, params: Any, ledger: dict[str, Any]) -> dict[str, Any]:
        """Rate a version at every budget, and all earlier ones again.

        Args:
            number: the version's.
            params: its parameters, on the host.
            ledger: the FLOPs that made it.

        Returns:
            ``{"version": …, "anchor": …, "sims64": {"elo": …, "low": …, "high": …}, "games": …,
            "flops": …}``; games and FLOPs are the ladder's in all.
        """
        self._catch_up(number)
        version = Version(f"run@{number}", params, self._config, Ledger(**ledger), number)
        made = self._enter(version)
        path = self._folder / FOLDER / database.FILE
        with Ladder(
            path, self._game, self._name, self._players, self._anchor, self._climbing
        ) as ladder:
            versions = len(self._entered) * len(made)
            standing = ladder.climb(self._how.until_stderr, self._how.games * versions)
            flops = evaluation_flops(ladder)
        write_bytes(path.with_name("ladder.csv"), tables.to_csv(standing).encode())
        return {
            "version": number,
            "anchor": self._anchor,
            **self._rows(standing, [p.spec for p in made]),
            "games": len(standing.games.first),
            "flops": flops,
        }

    def _catch_up(self, number: int) -> None:
        """Enter the versions before `number` that the run has kept: a resumed run's, say."""
        for earlier in snapshot_versions(self._folder):
            if is_snapshot(earlier) and 0 < earlier < number and earlier not in self._entered:
                try:
                    stored = Version.load(f"{self._folder}@{earlier}")
                except (ValueError, CorruptedFile):  # not committed yet, or not any more
                    continue
                self._enter(replace(stored, name=f"run@{earlier}"))

    def _enter(self, version: Version) -> list[Player]:
        """The version's players, one for each budget."""
        made = [specs.of_version(version, budget) for budget in self._how.budgets]
        if version.number not in self._entered:
            self._players += made
            self._entered.add(version.number)
        return made

    def _rows(self, standing: LadderState, names: Sequence[str]) -> dict[str, dict[str, float]]:
        index = {entry.spec: i for i, entry in enumerate(standing.entries)}
        ratings, rows = standing.ratings, {}
        for budget, spec in zip(self._how.budgets, names, strict=True):
            low, high = ratings.interval[index[spec]]
            elo = float(ratings.elo[index[spec]])
            rows[f"sims{budget}"] = {"elo": elo, "low": float(low), "high": float(high)}
        return rows


class Rating:
    """What the training loop knows of its evaluator: hand over versions, take what has come."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        seed: int,
        how: EloConfig,
        cluster: ClusterConfig,
    ) -> None:
        """Start the evaluator, if any budget is asked for; arguments as for `Evaluator`.

        A resumed run begins with the ratings of its last row.
        """
        rows = metrics.read(folder)
        self._newest: dict[str, Any] = rows[-1].get("elo", {}) if rows else {}
        arguments = (folder, config, seed, how)
        self._beside = (
            BackgroundActor(Evaluator, "rate", arguments, cluster) if how.budgets else None
        )

    def due(self, params: Any, iteration: int, ledger: Ledger, final: bool) -> dict[str, Any]:
        """The newest ratings there are, after handing over this version if it is one to rate.

        Waits for nothing, but in the last iteration for everything.
        """
        if self._beside is None:
            return {}
        if is_snapshot(iteration) or final:
            self._beside.submit(iteration, jax.device_get(params), asdict(ledger))
        answers = self._beside.drain() if final else self._beside.answers()
        if answers:
            self._newest = answers[-1]
        return self._newest

    @property
    def failure(self) -> str:
        """Why nothing is rated any more; empty if all is well."""
        return self._beside.failure if self._beside else ""

    def close(self) -> None:
        """End the evaluator's actor."""
        if self._beside:
            self._beside.close()


def evaluation_flops(ladder: Ladder) -> float:
    """The network FLOPs of all games of a ladder: every move at its player's price."""
    price = {entry.id: entry.flops_per_move for entry in ladder.records.players()}
    total = 0.0
    for game in ladder.records.games():
        mover = len(game.opening) % 2
        own = (len(game.moves) + 1) // 2, len(game.moves) // 2
        seats = (game.first, game.second) if mover == 0 else (game.second, game.first)
        total += sum(moves * price[seat] for moves, seat in zip(own, seats, strict=True))
    return total
