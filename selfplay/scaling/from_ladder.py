"""Reads rated versions from a ladder: ratings with their covariance, and the runs' ledgers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from selfplay.ladder import database, game_table, ladder
from selfplay.ladder.database import Entry
from selfplay.ladder.ladder import LadderState
from selfplay.model.flops import Ledger
from selfplay.players.specs import SIMULATIONS, split_stored, version_spec
from selfplay.runs.codec import differing
from selfplay.scaling.compute_units import all_flops
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.run_record import Cost, ReadRun, RunRecord, from_folders
from selfplay.training.config import NOT_IN_RECIPE


def read_state(path: Path, anchor: str | None = None) -> LadderState:
    """Reads the ratings of a ladder, without loading its players.

    Args:
        path: its file ladder.db, or the folder of its table of games; see `ladder.game_table`.
        anchor: the spec of the player at 0 Elo; when left out, the one that the ladder records.

    Raises:
        ValueError: there is no ladder, it has no players, or the anchor is not on it.
        CorruptedFile: a table is damaged.
    """
    if path.is_dir():
        return game_table.read(path).rate(anchor)
    with database.reading(path) as base:
        recorded = database.anchor(path)
        if not recorded:
            raise ValueError(f"{path} holds no players")
        return ladder.compute_state(base, anchor or recorded)


def read_versions(
    state: LadderState,
    root: Path = Path(),
    count: Callable[[Ledger], float] = all_flops,
    runs: Container[str] | None = None,
    read_run: ReadRun | None = None,
) -> RatedVersions:
    """Reads the rated versions of runs on a ladder.

    Left out are all other players, versions without games, versions without training FLOPs, and
    version 0 of a run with ``init_from``, which is a version of another run. The covariance is the
    full one, relative to the ladder's anchor. Runs whose configs differ only in seed and length are
    seeds of one recipe; see `recipe_names`.

    The covariates are "player", the index on the ladder, "simulations" per move of the rated
    search, "board", its number of rows, "selfplay_simulations", log10 of 1 + the whole budget of
    self-play (`search.num_simulations`), and "seconds", log10 of the wall-clock seconds of
    training.

    Args:
        state: the ladder's ratings; see `read_state`, or `Ladder.state`.
        root: the folder that the players' specs are relative to.
        count: the training compute of a ledger; see `compute_units`.
        runs: the runs to read, by their names on the ladder; all when left out.
        read_run: reads a run; when left out, from its folder.

    Raises:
        ValueError: no version to read, no such run, a version without a ledger, the same
            parameters in two runs, or two recipes with one name.
    """
    versions = list(_versions(state, read_run or from_folders(root), runs))
    recipes = recipe_names({version.run.name: version.run.config for version in versions})
    spent = [count(version.run.cost(version.number).ledger) for version in versions]
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
            "player": [float(player) for player in at],
            "simulations": [float(version.simulations) for version in versions],
            "board": [version.run.board for version in versions],
            "selfplay_simulations": [version.run.selfplay_simulations for version in versions],
            "seconds": [
                math.log10(version.run.cost(version.number).seconds or math.nan)
                for version in versions
            ],
        },
    )


def run_of(entry: Entry) -> str:
    """Returns the run of a version by its name on the ladder; "" for all other players."""
    run, _, number = split_stored(entry.spec)[0].rpartition("@")
    return run if entry.digest and number.isdigit() else ""


class _Run(NamedTuple):
    """A run, and what all its versions have in common."""

    name: str  # on the ladder
    config: Mapping[str, Any]
    costs: Mapping[int, Cost]
    parameters: float  # log10
    board: float  # rows
    selfplay_simulations: float  # log10 of 1 + simulations

    @classmethod
    def of(cls, name: str, record: RunRecord) -> _Run:
        """Reads the covariates of a run from its record, which has a size."""
        assert record.size is not None
        return cls(
            name=name,
            config=record.config,
            costs=record.costs,
            parameters=math.log10(record.size.parameters),
            board=float(record.size.rows),
            selfplay_simulations=math.log10(1 + record.config["search"]["num_simulations"]),
        )

    def cost(self, version: int) -> Cost:
        """Returns what a version cost; ValueError if the run's metrics do not say it."""
        if version not in self.costs:
            raise ValueError(f"{self.name} has no ledger of version {version}")
        return self.costs[version]


class _Version(NamedTuple):
    """A version on a ladder, and the search behind which it plays."""

    player: int  # an index into the ladder's players
    run: _Run
    number: int
    simulations: int


def _versions(
    state: LadderState, read_run: ReadRun, runs: Container[str] | None
) -> Iterator[_Version]:
    """Yields the versions that played, except those that are versions of another run."""
    played = {*state.games.first.tolist(), *state.games.second.tolist()}
    by_name: dict[str, _Run] = {}
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
        run = by_name.get(name) or _Run.of(name, read_run(name))
        if number == 0 and run.config.get("init_from"):
            continue
        by_name[name] = run
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
