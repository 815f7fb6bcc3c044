"""Players that a ladder can rate, by their specs.

    runs/a@40?sims=64         version 40 of run a with 64 simulations; sims=0: the raw network
    runs/a@last?search=puct   the newest version, with another search; also a .safetensors file
    runs/a@best               the version rated highest on the run's own ladder
    zoo:connect_four?sims=64  a network of the zoo, which comes with the package
    rollouts?sims=100         tree search without a network: a random game at every leaf
    solver?blunder=0.1        perfect play, except for a fraction of random moves
    random                    random legal moves
    gtp:gnugo --mode gtp      an engine that speaks the Go Text Protocol

A search with options of its own is written percent-encoded, as `join_options` does:
``runs/a@40?sims=64&search=my_search:make%3Fc%3D2``.

All except engines are batched functions of positions and keys.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlencode

import jax
import numpy as np
from jax import Array

from games.game import Game, State
from games.go import as_go
from games.options import parse_options
from games.spelling import did_you_mean
from selfplay.model import flops, network
from selfplay.model.architecture import Params
from selfplay.model.config import NetworkConfig
from selfplay.players import rollouts, solvers
from selfplay.players.gtp_engine import Engine
from selfplay.players.version import Version, exists
from selfplay.runs.digest import digest
from selfplay.search.config import SearchConfig
from selfplay.search.make import evaluations_per_move, find_algorithm, make_search
from selfplay.solved.suite import ILLEGAL_SCORE
from selfplay.zoo.cards import is_zoo

GTP = "gtp:"
NAMES = ("random", "rollouts", "solver")  # of players that are neither versions nor engines
PROGRAMS = 32  # compiled programs that are cached of each kind, so that memory stays bounded
SIMULATIONS = 64  # of a player whose spec gives no budget
FORMS = (
    "RUN@VERSION?sims=64&search=puct, zoo:NAME?sims=64, rollouts?sims=100, solver?blunder=0.1, "
    "random, gtp:COMMAND"
)

Act: TypeAlias = Callable[[State, Array], Array | np.ndarray]
"""``act(states [B], keys [B])`` → legal actions int [B]; meaningless where the game is over."""

N = TypeVar("N", int, float)


@dataclass(frozen=True, eq=False)
class Player:
    """A player: an immutable spec and its move function.

    Attributes:
        spec: the canonical spec. It names a version by its number, never as "last" or "best", so
            that it always means the same player.
        act: the move function, batched over states [B] and keys [B]: a legal action int [B] for the
            player to move. None for an engine, which is asked over GTP.
        digest: 16 hex digits over the parameters; empty without parameters.
        flops_per_move: FLOPs of the network for one move, 2 per multiply-add; 0 without a network,
            NaN for an engine.
        training_flops: all FLOPs spent to make the player; NaN if unknown.
        command: an engine's command line, as passed to `parse`; None for all others. Only `parse`
            sets a command, whatever name a file gives to its player.
    """

    spec: str
    act: Act | None
    digest: str = ""
    flops_per_move: float = 0.0
    training_flops: float = 0.0
    command: str | None = None


def parse(spec: str, game: Game) -> Player:
    """Makes the player of a spec, for a game.

    Raises:
        ValueError: the spec cannot be read, names nothing that exists, or plays another game.
    """
    spec = spec.strip()
    if spec.startswith(GTP):
        return _engine(spec, game)
    name, text = split_options(spec)
    if name == "random":
        _options(spec, text)
        return Player("random", _random_player(game))
    if name == "rollouts":
        sims = _number(spec, _options(spec, text, "sims"), "sims", SIMULATIONS)
        if sims < 1:
            raise ValueError(f"player {spec!r}: sims must be at least 1, got {sims}")
        return Player(f"rollouts?sims={sims}", _rollout_player(game, sims))
    if name == "solver":
        blunder = _number(spec, _options(spec, text, "blunder"), "blunder", 0.0)
        if not 0 <= blunder <= 1:
            raise ValueError(f"player {spec!r}: blunder must be in [0, 1], got {blunder}")
        act = partial(_blundering, solvers.solver_for(game), blunder)
        return Player(f"solver?blunder={blunder}" if blunder else "solver", act)
    is_path = "@" in name or "/" in name or is_zoo(name)
    if not name or not (is_path or exists(name)):
        raise ValueError(
            f"player {spec!r} cannot be read{did_you_mean(name, NAMES)}; write one of {FORMS}"
        )
    where, sims, algorithm = version_spec(spec)
    version = Version.load(where)
    if version.game != game:
        raise ValueError(f"player {spec!r} plays {version.game!r}, this match is {game!r}")
    return of_version(version, SIMULATIONS if sims is None else sims, algorithm)


def _engine(spec: str, game: Game) -> Player:
    """Makes the player of an engine's spec, without starting the engine."""
    command = spec.removeprefix(GTP).strip()
    if not command:
        raise ValueError(f"player {spec!r} names no command; write gtp:gnugo --mode gtp")
    if as_go(game) is None:
        raise ValueError(f"player {spec!r} speaks GTP and plays Go, this match is {game!r}")
    if not command.isprintable():
        raise ValueError(f"player {spec!r}: an engine's command is one line without tabs")
    program = Engine(command).program
    if shutil.which(program) is None:
        raise ValueError(f"player {spec!r}: there is no program {program!r} to run")
    nan = float("nan")
    return Player(GTP + command, None, flops_per_move=nan, training_flops=nan, command=command)


class VersionSpec(NamedTuple):
    """The parts of a version's spec; None for an option that it leaves out."""

    where: str
    sims: int | None
    algorithm: str | None


def split_options(spec: str) -> tuple[str, str]:
    """Splits ``PLAYER?option=value`` into ``(player, options)``.

    A folder's name may contain "?"; options follow the last one, unless the whole text is a folder.
    """
    where, mark, text = spec.rpartition("?")
    return (spec, "") if not mark or exists(spec) else (where, text)


def split_stored(spec: str) -> tuple[str, str]:
    """Splits a spec that a ladder stored, as `split_options` does, without looking at the disk.

    A ladder stores every version with options, so any "?" before the last one is the folder's.
    """
    name, mark, text = spec.rpartition("?")
    return (name, text) if mark and not spec.startswith(GTP) else (spec, "")


def join_options(name: str, options: Mapping[str, object]) -> str:
    """Writes a player with its options as one spec; values are percent-encoded, except for ":"."""
    return f"{name}?{urlencode(options, safe=':')}" if options else name


def version_spec(spec: str) -> VersionSpec:
    """Splits ``runs/a@40?sims=64&search=puct`` into its parts.

    Raises:
        ValueError: an unknown option, an unknown or untrusted search, or a negative budget.
    """
    where, text = split_options(spec.strip())
    options = _options(spec, text, "sims", "search")
    sims = _number(spec, options, "sims", 0) if "sims" in options else None
    if not where:
        raise ValueError(f"player {spec!r} names no run; write RUN@VERSION?sims=64")
    SearchConfig(options.get("search", SearchConfig.algorithm), sims or 0)
    return VersionSpec(where, sims, options.get("search"))


def of_version(version: Version, sims: int, algorithm: str | None = None) -> Player:
    """Makes a player of a version, with a search at a budget and without noise.

    Raises:
        ValueError: a negative budget, or the search cannot be built.
    """
    is_other_search = algorithm not in (None, version.config["search"]["algorithm"])
    config = version.with_search(algorithm).search_config.for_evaluation(sims)
    act = _search_player(version.game, version.network_config, config)
    params = jax.device_put(version.params)
    evaluations = evaluations_per_move(config)
    return Player(
        spec=join_options(
            version.name, {"sims": sims} | ({"search": algorithm} if is_other_search else {})
        ),
        act=lambda states, keys: act(params, states, keys),
        digest=digest(version.params)[:16],
        flops_per_move=flops.move(version.game, version.network_config, evaluations),
        training_flops=version.ledger.total if version.ledger else float("nan"),
    )


def between(stronger: str, weaker: str) -> str:
    """Proposes a player that is probably weaker than one and stronger than the other.

    Returns:
        A spec, or a description if no spec is known to exist.
    """
    (name, text), (other, other_text) = map(split_stored, (stronger, weaker))
    options, limits = parse_options(name, text), parse_options(other, other_text)
    if name.startswith(GTP):
        return f"the engine {name.removeprefix(GTP)} at a lower level"
    if name == "solver":
        most = float(limits.get("blunder", 1)) if other == "solver" else 1.0
        return f"solver?blunder={(float(options.get('blunder', 0)) + most) / 2:g}"
    sims = int(options.get("sims", 0))
    least = int(limits.get("sims", 0)) if other == name else 0
    middle = round(math.sqrt(sims * max(least, 1)))
    if least < middle < sims:
        return join_options(name, {**options, "sims": middle})
    run, _, version = name.rpartition("@")
    return f"a version of {run} before {version}" if run else f"a weaker form of {stronger}"


@lru_cache(maxsize=PROGRAMS)
def _search_player(
    game: Game, network_config: NetworkConfig, config: SearchConfig
) -> Callable[[Params, State, Array], Array]:
    """Compiles ``(params, states [B], keys [B])`` → int32 [B], once for versions of one shape."""
    search = make_search(game, network.make(game, network_config).apply, config)
    # The raw network's move depends on the position only.
    randomness = find_algorithm(config).randomness if config.num_simulations else "none"

    @jax.jit
    def act(params: Params, states: State, keys: Array) -> Array:
        if randomness == "result":  # each position by itself, with the key of its game
            batches = jax.tree.map(lambda leaf: leaf[:, None], states)
            results = jax.vmap(search, in_axes=(None, 0, 0))(params, batches, keys)
            return results.action[:, 0]
        result = search(params, states, jax.random.key(0))
        if randomness == "ties":
            return rollouts.most_visited(result.policy, keys)
        return result.action

    return act


@lru_cache(maxsize=PROGRAMS)
def _random_player(game: Game) -> Act:
    """Compiles the player of random legal moves."""

    def act(state: State, key: Array) -> Array:
        return rollouts.uniform(key, game.legal_actions(state))

    return jax.jit(jax.vmap(act))


@lru_cache(maxsize=PROGRAMS)
def _rollout_player(game: Game, sims: int) -> Act:
    """Compiles the player of rollouts."""
    return jax.jit(rollouts.make_rollouts(game, sims))


def _blundering(solve: solvers.Solver, blunder: float, states: State, keys: Array) -> np.ndarray:
    """Draws one of the best moves, or with probability `blunder` any legal move: int [B]."""
    scores = solve(states)
    legal = scores != ILLEGAL_SCORE
    blunders, ranks = (np.asarray(x) for x in _draws(keys, scores.shape[1]))
    best = scores == np.where(legal, scores, ILLEGAL_SCORE).max(axis=1, keepdims=True)
    choices = np.where((blunders < blunder)[:, None], legal, best & legal)
    return np.argmax(np.where(choices, ranks, -1.0), axis=1)


@partial(jax.jit, static_argnums=1)
def _draws(keys: Array, actions: int) -> tuple[Array, Array]:
    """Draws uniform numbers from every key: float32 [B], and float32 [B, A] for the actions."""

    def draw(key: Array) -> tuple[Array, Array]:
        first, second = jax.random.split(key)
        return jax.random.uniform(first), jax.random.uniform(second, (actions,))

    return jax.vmap(draw)(keys)


def _options(spec: str, text: str, *known: str) -> dict[str, str]:
    """Parses the options of a player, which must be among the known ones."""
    return parse_options(f"player {spec!r}", text, known)


def _number(spec: str, options: Mapping[str, str], option: str, default: N) -> N:
    """Converts an option into a number of the default's type; the default if it is left out."""
    text, kind = options.get(option), type(default)
    if text is None:
        return default
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"player {spec!r}: {option}={text!r} must be {kind.__name__}") from None
