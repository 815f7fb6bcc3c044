"""Reads rated versions from a ladder: ratings with their covariance, and the runs' ledgers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from selfplay.ladder import database, ladder
from selfplay.ladder.database import Entry, LadderDatabase
from selfplay.ladder.ladder import LadderState
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.players.specs import SIMULATIONS, split_stored, version_spec
from selfplay.runs import metrics
from selfplay.runs.codec import differing, from_json
from selfplay.runs.run import read_config
from selfplay.scaling.compute_units import all_flops
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.training.config import NOT_IN_RECIPE


def read_state(path: Path, anchor: str | None = None) -> LadderState:
    """The ratings of a ladder's file, without loading its players.

    Args:
        path: ladder.db.
        anchor: the spec of the player at 0 Elo; when left out, the first one that learns nothing
            (a solver, say), or else the first.

    Raises:
        ValueError: no ladder, no games, no such player, or another process plays on it.
    """
    with closing(LadderDatabase(path, database.settings(path))) as base:
        players = base.players()
        if not players:
            raise ValueError(f"{path} holds no players")
        first = next((entry for entry in players if not entry.digest), players[0])
        return ladder.compute_state(base, anchor or first.spec)


def read_versions(
    rated: LadderState,
    root: Path = Path(),
    count: Callable[[Ledger], float] = all_flops,
    runs: Container[str] | None = None,
) -> RatedVersions:
    """The versions of runs on a ladder.

    Players of other kinds are left out, versions that cost nothing, and version 0 of a run that
    took its parameters from another run's version (``init_from``), which is that version. The
    covariance is the whole one, relative to the ladder's anchor. Runs whose configs differ only in
    the seed and the length are seeds of one recipe. A recipe has the name of its runs' folders
    without the seed. Covariates: "simulations" of the rated search, "board", the length of its
    side, and "selfplay_simulations", log10 of 1 + those that the run played with.

    Args:
        rated: see `standing`, or `Ladder.standing`.
        root: the folder that the players' names start from.
        count: what of a ledger is training compute; see `conventions`.
        runs: the runs, as the ladder names them, whose versions are read; all when left out.

    Raises:
        ValueError: no version on the ladder, no such run, a version that its run has no ledger of,
            the same parameters in two runs, or different recipes under one name.
    """
    played = {*rated.games.first.tolist(), *rated.games.second.tolist()}
    found: dict[str, _Run] = {}
    same: dict[tuple[str, str], Entry] = {}
    at, rows = [], []
    for i, entry in enumerate(rated.entries):
        if not entry.digest or (runs is not None and run_of(entry) not in runs):
            continue
        if i not in played:  # its rating is a guess
            continue
        version = _version(entry)
        _, behind = split_stored(entry.spec)
        run = found.get(version.run) or _Run.read(root / version.run)
        if version.number == 0 and run.config.get("init_from"):
            continue
        found[version.run] = run
        other = same.setdefault((entry.digest, behind), entry)
        if _version(other).run != version.run:
            raise ValueError(
                f"{other.spec} and {entry.spec} are the same parameters: they count as two runs, "
                "and are one"
            )
        spent = count(run.ledger(version.number))
        if spent > 0:
            at.append(i)
            rows.append((version, run, math.log10(spent), math.log10(entry.flops_per_move)))
    if not rows:
        raise ValueError("the ladder rates no version that cost any training")
    recipes = recipe_names({name: run.config for name, run in found.items()})
    return RatedVersions.of(
        rated.ratings.elo[at],
        rated.ratings.covariance[np.ix_(at, at)],
        [version.run for version, _, _, _ in rows],
        [training for _, _, training, _ in rows],
        search=[search for _, _, _, search in rows],
        parameters=[run.parameters for _, run, _, _ in rows],
        recipe=[recipes[version.run] for version, _, _, _ in rows],
        seed=[run.config["seed"] for _, run, _, _ in rows],
        covariates={
            "simulations": [float(version.simulations) for version, _, _, _ in rows],
            "board": [run.board for _, run, _, _ in rows],
            "selfplay_simulations": [run.selfplay_simulations for _, run, _, _ in rows],
        },
    )


def run_of(entry: Entry) -> str:
    """Names the run of a version, as its ladder does; empty for all other players."""
    run, _, number = split_stored(entry.spec)[0].rpartition("@")
    return run if entry.digest and number.isdigit() else ""


class _Version(NamedTuple):
    run: str
    number: int
    simulations: int


def _version(entry: Entry) -> _Version:
    """From ``runs/a@40?sims=64``."""
    run = run_of(entry)
    if not run:
        raise ValueError(f"player {entry.spec!r} does not say which version of which run it is")
    where, sims, _ = version_spec(entry.spec)
    return _Version(run, int(where.rpartition("@")[2]), SIMULATIONS if sims is None else sims)


class _Run(NamedTuple):
    """What a run's folder says of all its versions."""

    folder: Path
    config: Mapping[str, Any]
    ledgers: Mapping[int, Ledger]
    parameters: float  # log10
    board: float  # rows
    selfplay_simulations: float  # log10 of 1 + simulations

    @classmethod
    def read(cls, folder: Path) -> _Run:
        config = read_config(folder)
        game = games.make(config["game"])
        model = network.make(game, from_json(NetworkConfig, config["network"]))
        return cls(
            folder,
            config,
            {row["iteration"]: Ledger.of(row) for row in metrics.read(folder) if "ledger" in row},
            math.log10(network.num_parameters(jax.eval_shape(model.init, jax.random.key(0)))),
            float(game.observation_shape[0]),
            math.log10(1 + config["search"]["num_simulations"]),
        )

    def ledger(self, version: int) -> Ledger:
        if version not in self.ledgers:
            raise ValueError(f"{self.folder} has no ledger of version {version}")
        return self.ledgers[version]


def recipe_names(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Names the recipe of each run: as the first of its runs, without the seed behind that name.

    A run that began from another version than its namesake (``init_from``) is a recipe of its own,
    and has its own name.

    Args:
        configs: run → its config.

    Raises:
        ValueError: two recipes would have the same name.
    """
    kinds: list[tuple[str, dict[str, Any]]] = []
    named = {}
    for name in sorted(configs):
        recipe = {k: v for k, v in configs[name].items() if k not in NOT_IN_RECIPE}
        known = next((kind for kind, other in kinds if other == recipe), None)
        if known is None:
            known = re.sub(rf"([-_]seed)?[-_]?{configs[name]['seed']}$", "", name) or name
            fields = next((differing(o, recipe) for kind, o in kinds if kind == known), ())
            if [*fields] == ["init_from"]:  # each seed goes on from a version of its own
                known = name
            elif fields:
                raise ValueError(
                    f"{name} is no other seed of the recipe {known}: they differ in "
                    f"{', '.join(fields)}"
                )
            kinds.append((known, recipe))
        named[name] = known
    return named
