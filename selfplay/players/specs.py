"""Players by name: what a ladder can rate.

    runs/a@40?sims=64         version 40 of run a behind 64 simulations; sims=0: the raw network
    runs/a@last?search=puct   the newest version, with the other search; also a .safetensors file
    runs/a@best               the version that stands highest on the run's own ladder
    rollouts?sims=100         tree search without a network: a random game at every leaf
    solver?blunder=0.1        perfect play, but for a share of random moves
    random                    legal moves
    gtp:gnugo --mode gtp      an engine that speaks the Go Text Protocol

All but engines are functions of positions and keys, batched.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, get_args
from urllib.parse import parse_qsl, urlencode

import jax
import numpy as np
from jax import Array

from games.game import Game
from games.go import Go
from games.spelling import did_you_mean
from selfplay.model import flops, network
from selfplay.model.config import NetworkConfig
from selfplay.players import rollouts, solvers
from selfplay.players.gtp_engine import Engine
from selfplay.players.version import Version, exists
from selfplay.runs.digest import digest
from selfplay.search.config import Algorithm, SearchConfig
from selfplay.search.make import make_search
from selfplay.solved.suite import ILLEGAL

GTP = "gtp:"
NAMES = ("random", "rollouts", "solver")  # of players that are neither versions nor engines
ALGORITHMS = get_args(Algorithm)
SIMULATIONS = 64  # of a version whose spec names no budget
FORMS = (
    "RUN@VERSION?sims=64&search=puct, rollouts?sims=100, solver?blunder=0.1, random, gtp:COMMAND"
)

Act = Callable[[Any, Array], Any]
"""``act(states [B], keys [B]) → int [B]``: legal moves; garbage where the game is over."""


@dataclass(frozen=True, eq=False)
class Player:
    """Who plays: a name that means the same for ever, and how it moves.

    Attributes:
        spec: the text that makes it, with every version by its number.
        act: its moves; None for an engine, which is asked over GTP.
        digest: of the parameters; empty where there are none.
        flops_per_move: of the network, 0 without one. 2 FLOPs per multiply-add.
        training_flops: all that was spent to make it; NaN where that is not known.
        command: an engine's command line, as it was given to `parse`; None for all others. Nothing
            else makes a command, whatever a file may call its player.
    """

    spec: str
    act: Act | None
    digest: str = ""
    flops_per_move: float = 0.0
    training_flops: float = 0.0
    command: str | None = None


def parse(spec: str, game: Game) -> Player:
    """The player that `spec` names, for `game`.

    Raises:
        ValueError: a spec that cannot be read, names nothing that exists, or plays another game.
    """
    spec = spec.strip()
    if spec.startswith(GTP):
        return _engine(spec, game)
    name, text = split_options(spec)
    if name == "random":
        _options(spec, text, {})
        return Player("random", _at_random(game))
    if name == "rollouts":
        sims = _options(spec, text, {"sims": int}).get("sims", SIMULATIONS)
        if sims < 1:
            raise ValueError(f"player {spec!r}: sims must be at least 1, got {sims}")
        return Player(f"rollouts?sims={sims}", _rolling(game, sims))
    if name == "solver":
        blunder = _options(spec, text, {"blunder": float}).get("blunder", 0.0)
        if not 0 <= blunder <= 1:
            raise ValueError(f"player {spec!r}: blunder must lie in [0, 1], got {blunder}")
        act = partial(_solve, game, solvers.scores_of(game), blunder)
        return Player(f"solver?blunder={blunder}" if blunder else "solver", act)
    if not name or ("@" not in name and "/" not in name and not exists(name)):
        raise ValueError(
            f"player {spec!r} cannot be read{did_you_mean(name, NAMES)}; write one of {FORMS}"
        )
    where, sims, algorithm = version_spec(spec)
    version = Version.load(where)
    if version.game != game:
        raise ValueError(f"player {spec!r} plays {version.game!r}, this match is {game!r}")
    return of_version(version, SIMULATIONS if sims is None else sims, algorithm)


def _engine(spec: str, game: Game) -> Player:
    command = spec.removeprefix(GTP).strip()
    if not command:
        raise ValueError(f"player {spec!r} names no command; write gtp:gnugo --mode gtp")
    if not isinstance(game, Go):
        raise ValueError(f"player {spec!r} speaks GTP and plays Go, this match is {game!r}")
    if not command.isprintable():
        raise ValueError(f"player {spec!r}: an engine's command is one line without tabs")
    program = Engine(command).program
    if shutil.which(program) is None:
        raise ValueError(f"player {spec!r}: there is no program {program!r} to run")
    nan = float("nan")
    return Player(GTP + command, None, flops_per_move=nan, training_flops=nan, command=command)


class VersionSpec(NamedTuple):
    """A version's spec, taken apart; None for what it leaves out."""

    where: str
    sims: int | None
    algorithm: str | None


def split_options(spec: str) -> tuple[str, str]:
    """Takes ``PLAYER?option=value`` apart: ``(player, options)``.

    A folder's own name may contain "?": the options, if there are any, follow the last one.
    """
    where, mark, text = spec.rpartition("?")
    return (spec, "") if not mark or exists(spec) else (where, text)


def split_stored(spec: str) -> tuple[str, str]:
    """Takes a spec that a ladder stored apart, as `split_options` does, without asking the disk.

    A ladder stores a version with its options, so that a "?" before the last one is the folder's.
    """
    name, mark, text = spec.rpartition("?")
    return (name, text) if mark and not spec.startswith(GTP) else (spec, "")


def version_spec(spec: str) -> VersionSpec:
    """Take ``runs/a@40?sims=64&search=puct`` apart.

    Raises:
        ValueError: an unknown option or search, or a negative budget.
    """
    where, text = split_options(spec.strip())
    options = _options(spec, text, {"sims": int, "search": str})
    sims, algorithm = options.get("sims"), options.get("search")
    if not where:
        raise ValueError(f"player {spec!r} names no run; write RUN@VERSION?sims=64")
    if algorithm not in (None, *ALGORITHMS):
        raise ValueError(
            f"player {spec!r}: search={algorithm!r} is unknown"
            f"{did_you_mean(f'{algorithm}', ALGORITHMS)}; choose from {', '.join(ALGORITHMS)}"
        )
    SearchConfig(num_simulations=sims or 0)
    return VersionSpec(where, sims, algorithm)


def of_version(version: Version, sims: int, algorithm: str | None = None) -> Player:
    """A version behind a search at a budget, without noise.

    Raises:
        ValueError: a negative budget.
    """
    other = algorithm not in (None, version.search_config.algorithm)
    config = version.with_search(algorithm).search_config.for_evaluation(sims)
    act = _searching(version.game, version.network_config, config)
    params = jax.device_put(version.params)
    return Player(
        spec=f"{version.name}?sims={sims}" + (f"&search={algorithm}" if other else ""),
        act=lambda states, keys: act(params, states, keys),
        digest=digest(version.params)[:16],
        flops_per_move=flops.move(version.game, version.network_config, sims),
        training_flops=version.ledger.total if version.ledger else float("nan"),
    )


def between(stronger: str, weaker: str) -> str:
    """Propose a player that is probably weaker than one spec's and stronger than another's.

    Returns:
        A spec, or a description where no spec is known to exist.
    """
    (name, text), (other, more) = map(split_stored, (stronger, weaker))
    options, limits = dict(parse_qsl(text)), dict(parse_qsl(more))
    if name.startswith(GTP):
        return f"the engine {name.removeprefix(GTP)} at a lower level"
    if name == "solver":
        most = float(limits.get("blunder", 1)) if other == "solver" else 1.0
        return f"solver?blunder={(float(options.get('blunder', 0)) + most) / 2:g}"
    sims = int(options.get("sims", 0))
    least = int(limits.get("sims", 0)) if other == name else 0
    middle = round(math.sqrt(sims * max(least, 1)))
    if least < middle < sims:
        return f"{name}?{urlencode({**options, 'sims': middle})}"
    run, _, version = name.rpartition("@")
    return f"a version of {run} before {version}" if run else f"a weaker form of {stronger}"


@cache
def _searching(game: Game, shape: NetworkConfig, config: SearchConfig) -> Any:
    """``(params, states [B], keys [B]) → int32 [B]``; versions of one shape share the program."""
    find = make_search(game, network.make(game, shape).apply, config)

    @jax.jit
    def act(params: Any, states: Any, keys: Array) -> Array:
        found = find(params, states, jax.random.key(0))
        if config.algorithm == "puct" and config.num_simulations:
            return rollouts.most_visited(found.policy, keys)
        return found.action

    return act


@cache
def _at_random(game: Game) -> Act:
    def act(state: Any, key: Array) -> Array:
        return rollouts.uniform(key, game.legal_actions(state))

    return jax.jit(jax.vmap(act))


@cache
def _rolling(game: Game, sims: int) -> Act:
    return jax.jit(rollouts.make(game, sims))


def _solve(
    game: Game, scores_of: solvers.Scores, blunder: float, states: Any, keys: Array
) -> np.ndarray:
    """int [B], a move of the best score, drawn evenly; a blunder is any legal move."""
    scores = scores_of(states)
    legal = scores != ILLEGAL
    blunders, ranks = (np.asarray(x) for x in _draws(keys, scores.shape[1]))
    best = scores == np.where(legal, scores, ILLEGAL).max(axis=1, keepdims=True)
    choices = np.where((blunders < blunder)[:, None], legal, best & legal)
    return np.argmax(np.where(choices, ranks, -1.0), axis=1)


@partial(jax.jit, static_argnums=1)
def _draws(keys: Array, actions: int) -> tuple[Array, Array]:
    """Uniform numbers of every key: one, and one for each action."""

    def draw(key: Array) -> tuple[Array, Array]:
        first, second = jax.random.split(key)
        return jax.random.uniform(first), jax.random.uniform(second, (actions,))

    return jax.vmap(draw)(keys)


def _options(spec: str, text: str, kinds: dict[str, type]) -> dict[str, Any]:
    """The options behind a spec's "?", each of its kind."""
    choices = ", ".join(kinds) or "none"
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise ValueError(f"player {spec!r}: {text!r} is no option=value of {choices}") from None
    read: dict[str, Any] = {}
    for option, value in pairs:
        if option not in kinds:
            raise ValueError(
                f"player {spec!r} has no option {option!r}{did_you_mean(option, kinds)}; "
                f"choose from {choices}"
            )
        if option in read:
            raise ValueError(f"player {spec!r}: option {option!r} is given twice")
        try:
            read[option] = kinds[option](value)
        except ValueError:
            kind = kinds[option].__name__
            raise ValueError(f"player {spec!r}: {option}={value!r} must be {kind}") from None
    return read
