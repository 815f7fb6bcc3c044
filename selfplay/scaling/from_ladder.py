"""Reads rated versions from a ladder: ratings with their covariance, and the runs' ledgers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games import plugins
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
    """Reads the ratings of a ladder's file, without loading its players.

    Args:
        path: ladder.db.
        anchor: the spec of the player at 0 Elo; when left out, the one that the ladder records.

    Raises:
        ValueError: there is no ladder, it has no players, the anchor is not on it, or another
            process plays on it.
    """
    settings, recorded = database.settings(path), database.anchor(path)
    if not recorded:
        raise ValueError(f"{path} holds no players")
    with closing(LadderDatabase(path, settings)) as base:
        return ladder.compute_state(base, anchor or recorded)


def read_versions(
    state: LadderState,
    root: Path = Path(),
    count: Callable[[Ledger], float] = all_flops,
    runs: Container[str] | None = None,
) -> RatedVersions:
    """Reads the rated versions of runs on a ladder.

    Left out are all other players, versions without games, versions without training FLOPs, and
    version 0 of a run with ``init_from``, which is a version of another run. The covariance is the
    full one, relative to the ladder's anchor. Runs whose configs differ only in seed and length are
    seeds of one recipe; see `recipe_names`.

    The covariates are "simulations" per move of the rated search, "board", its number of rows,
    "selfplay_simulations", log10 of 1 + the simulations per move in self-play, and "seconds", log10
    of the wall-clock seconds of training.

    Args:
        state: the ladder's ratings; see `read_state`, or `Ladder.state`.
        root: the folder that the players' specs are relative to.
        count: the training compute of a ledger; see `compute_units`.
        runs: the runs to read, by their names on the ladder; all when left out.

    Raises:
        ValueError: no version to read, no such run, a version without a ledger, the same
            parameters in two runs, or two recipes with one name.
    """
    versions = list(_versions(state, root, runs))
    recipes = recipe_names({version.run.name: version.run.config for version in versions})
    spent = [count(version.run.ledger(version.number)) for version in versions]
    versions = [v for v, flops in zip(versions, spent, strict=True) if flops > 0]
    if not versions:
        raise ValueError("the ladder rates no version that cost any training")
    at = [version.player for version in versions]
    return RatedVersions.of(
        state.ratings.elo[at],
        state.ratings.covariance[np.ix_(at, at)],
        [version.run.name for version in versions],
        [math.log10(flops) for flops in spent if flops > 0],
        search=[math.log10(state.entries[i].flops_per_move) for i in at],
        parameters=[version.run.parameters for version in versions],
        recipe=[recipes[version.run.name] for version in versions],
        seed=[version.run.config["seed"] for version in versions],
        covariates={
            "simulations": [float(version.simulations) for version in versions],
            "board": [version.run.board for version in versions],
            "selfplay_simulations": [version.run.selfplay_simulations for version in versions],
            "seconds": [version.run.seconds[version.number] for version in versions],
        },
    )


def run_of(entry: Entry) -> str:
    """Returns the run of a version by its name on the ladder; "" for all other players."""
    run, _, number = split_stored(entry.spec)[0].rpartition("@")
    return run if entry.digest and number.isdigit() else ""


class _Run(NamedTuple):
    """A run's folder: its config, and what all its versions have in common."""

    name: str  # on the ladder
    folder: Path
    config: Mapping[str, Any]
    ledgers: Mapping[int, Ledger]
    seconds: Mapping[int, float]  # log10 of wall-clock seconds; NaN if not recorded
    parameters: float  # log10
    board: float  # rows
    selfplay_simulations: float  # log10 of 1 + simulations

    @classmethod
    def read(cls, name: str, root: Path) -> _Run:
        """Reads a run's config and ledgers."""
        folder = root / name
        config = read_config(folder)
        with plugins.stored_in(folder):
            game = games.make(config["game"])
            model = network.make(game, from_json(NetworkConfig, config["network"]))
        rows = metrics.read_rows(folder)
        return cls(
            name=name,
            folder=folder,
            config=config,
            ledgers={row.iteration: Ledger.of(row) for row in rows},
            seconds={row.iteration: math.log10(row.seconds.total or math.nan) for row in rows},
            parameters=math.log10(
                network.num_parameters(jax.eval_shape(model.init, jax.random.key(0)))
            ),
            board=float(game.observation_shape[0]),
            selfplay_simulations=math.log10(1 + config["search"]["num_simulations"]),
        )

    def ledger(self, version: int) -> Ledger:
        """Returns a version's ledger; ValueError if the run's metrics have none."""
        if version not in self.ledgers:
            raise ValueError(f"{self.folder} has no ledger of version {version}")
        return self.ledgers[version]


class _Version(NamedTuple):
    """A version on a ladder, and the search behind which it plays."""

    player: int  # an index into the ladder's players
    run: _Run
    number: int
    simulations: int


def _versions(state: LadderState, root: Path, runs: Container[str] | None) -> Iterator[_Version]:
    """Yields the versions that played, except those that are versions of another run."""
    played = {*state.games.first.tolist(), *state.games.second.tolist()}
    folders: dict[str, _Run] = {}
    by_content: dict[tuple[str, str], Entry] = {}
    for player, entry in enumerate(state.entries):
        if not entry.digest or (runs is not None and run_of(entry) not in runs):
            continue
        if player not in played:  # without games its rating is only the prior
            continue
        name = run_of(entry)
        if not name:
            raise ValueError(f"player {entry.spec!r} does not say which version of which run it is")
        where, sims, _ = version_spec(entry.spec)
        number = int(where.rpartition("@")[2])
        run = folders.get(name) or _Run.read(name, root)
        if number == 0 and run.config.get("init_from"):
            continue
        folders[name] = run
        other = by_content.setdefault((entry.digest, split_stored(entry.spec)[1]), entry)
        if run_of(other) != name:
            raise ValueError(
                f"{other.spec} and {entry.spec} have the same parameters, so their two runs would "
                "count one training twice"
            )
        yield _Version(player, run, number, SIMULATIONS if sims is None else sims)


def recipe_names(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Names the recipe of each run after its first run, without the seed at the end of that name.

    Runs are of one recipe if their configs differ only in `NOT_IN_RECIPE`. A run that would get
    the name of another recipe and differs from it only in ``init_from`` keeps its own name.

    Args:
        configs: run → its config.

    Raises:
        ValueError: two recipes would have the same name.
    """
    recipes: list[tuple[str, dict[str, Any]]] = []
    names = {}
    for run in sorted(configs):
        config = {k: v for k, v in configs[run].items() if k not in NOT_IN_RECIPE}
        name = next((name for name, other in recipes if other == config), None)
        if name is None:
            name = re.sub(rf"([-_]seed)?[-_]?{configs[run]['seed']}$", "", run) or run
            fields = next((differing(other, config) for n, other in recipes if n == name), ())
            if [*fields] == ["init_from"]:  # each seed continues from a version of its own
                name = run
            elif fields:
                raise ValueError(
                    f"{run} is not another seed of the recipe {name}: they differ in "
                    f"{', '.join(fields)}"
                )
            recipes.append((name, config))
        names[run] = name
    return names
