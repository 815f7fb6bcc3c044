"""A version of a run, loaded: evaluate a position, search it, play a move.

    version = Version.load("runs/connect_four@last")
    state = version.game.step(version.game.init(), 3)
    logits, value = version.evaluate(state)
    found = version.search(state, num_simulations=64)

`state` may also be a batch of positions.

A version lives in a run folder (``RUN@40``, ``RUN@last``, ``RUN@best``: rated highest on the run's
ladder) or in one exported file that loads without the run (``launch/export.py``): safetensors, with
the config in its metadata.
"""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import games
from games.game import Game
from selfplay.command_line import command
from selfplay.model import flops, network
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.model.network import Params
from selfplay.players import any_komi
from selfplay.runs.codec import from_json
from selfplay.runs.files import write_bytes
from selfplay.runs.renamed import with_today_names
from selfplay.runs.run import CONFIG, load_version, read_config
from selfplay.runs.tree import flatten, nest
from selfplay.search.base import SearchFn, SearchResult
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search

SUFFIX = ".safetensors"
LADDERS = ("ladder/ladder.csv", "elo/ladder.csv")  # of a run: launch/ladder.py's, training's own


def split_version(text: str) -> tuple[str, str]:
    """Takes ``RUN@VERSION`` apart: ``(folder, version)``, the latter empty for a folder alone.

    A folder's own name may contain "@": `runs/a@b` is a folder if it exists, unless `runs/a` is a
    run and `b` one of its versions.
    """
    folder, at, number = text.rpartition("@")
    if at and _is_number(number) and os.path.exists(os.path.join(folder, CONFIG)):
        return folder, number
    return (folder, number) if at and not os.path.isdir(text) else (text, "")


def exists(text: str) -> bool:
    """Whether ``RUN``, ``RUN@VERSION`` or a file's name is of a folder or file on this disk."""
    folder, number = split_version(text)
    return os.path.exists(folder) and (not number or _is_number(number))


def _is_number(text: str) -> bool:
    return text in ("last", "best") or text.isdecimal()


@dataclass(frozen=True, eq=False)
class Version:
    """Parameters and the config that made them."""

    name: str
    params: Params
    config: dict[str, Any]  # the run's config, as its config.json holds it
    ledger: Ledger | None = None  # the compute that made it
    number: int | None = None  # the iteration that made it

    @classmethod
    def load(cls, where: str | Path) -> "Version":
        """Load ``RUN@VERSION`` (``RUN`` alone: the newest) or an exported file.

        Raises:
            ValueError: no such run, file or version, names the versions there are; or the best one
                of a run that no ladder has rated.
            CorruptedFile: the file's digest is not what the run says.
        """
        text = str(where)
        if text.endswith(SUFFIX):
            return cls._load_file(Path(text))
        folder, number = split_version(text)
        folder = os.path.normpath(folder)  # one name for runs/a and runs/a/
        if number and not _is_number(number):
            raise ValueError(f"version {number!r} of {folder} is no number, nor 'last' nor 'best'")
        best = _best(folder) if number == "best" else None
        wanted = int(number) if number.isdecimal() else "last" if best is None else best
        stored = load_version(folder, wanted)
        name = f"{folder}@{stored.number}"
        return cls(name, stored.params, stored.config, Ledger(**stored.ledger), stored.number)

    @classmethod
    def _load_file(cls, path: Path) -> "Version":
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise ValueError(f"{path} {'is no file' if path.exists() else 'does not exist'}")
        try:
            with safe_open(path, framework="numpy") as file:
                meta = file.metadata()
                flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
        if not meta or "oomzero" not in meta:
            raise ValueError(f"{path} was not exported by oomzero: it holds no config")
        try:
            head = json.loads(meta["oomzero"])
            ledger = Ledger(**head["ledger"]) if head.get("ledger") else None
            return cls(
                head["name"],
                nest(flat),
                with_today_names(head["config"]),
                ledger,
                head.get("number"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} holds no config that can be read: {error!r}") from error

    def export(self, path: Path) -> None:
        """Write parameters and config to one file that loads without the run."""
        from safetensors.numpy import save

        flat = {name: np.ascontiguousarray(array) for name, array in flatten(self.params).items()}
        ledger = asdict(self.ledger) if self.ledger else None
        head = {"name": self.name, "config": self.config, "ledger": ledger, "number": self.number}
        write_bytes(path, save(flat, metadata={"oomzero": json.dumps(head, sort_keys=True)}))

    @property
    def game(self) -> Game:
        """The rules it plays by."""
        return games.make(self.config["game"])

    def with_game_options(self, **options: object) -> "Version":
        """The same parameters playing by rules with other options, as ``under(komi=5.5)`` in Go.

        Raises:
            ValueError: the game has no such option or takes no such value, or the network's input
                or output would have another shape.
        """
        name, _, text = self.config["game"].partition("?")
        given = dict(parse_qsl(text)) | {option: str(value) for option, value in options.items()}
        game = games.make(f"{name}?{urlencode(given)}")
        shape = (game.observation_shape, game.num_actions)
        if shape != (self.game.observation_shape, self.game.num_actions):
            raise ValueError(f"{self.name} was trained on {self.config['game']}, not on {given}")
        return replace(self, config={**self.config, "game": f"{name}?{urlencode(given)}"})

    @property
    def network_config(self) -> NetworkConfig:
        """The network's shape."""
        return from_json(NetworkConfig, self.config["network"])

    @property
    def search_config(self) -> SearchConfig:
        """The search it was trained with."""
        return from_json(SearchConfig, self.config["search"])

    def with_search(self, algorithm: str | None) -> "Version":
        """The same parameters behind another search; None: the one it was trained with."""
        search = self.config["search"] | ({"algorithm": algorithm} if algorithm else {})
        return replace(self, config={**self.config, "search": search})

    def search_fn(self, num_simulations: int) -> SearchFn:
        """Its search at a budget, batched over states, as strength is measured (no noise)."""
        return _search_fn(
            self.config["game"],
            self.network_config,
            self.search_config.for_evaluation(num_simulations),
        )

    def __repr__(self) -> str:
        shape, game = self.network_config, self.game
        made = f"10^{self.ledger.ooms:.1f}" if self.ledger else "unknown"
        return (
            f"<Version {self.name}: {self.config['game']}, {shape.kind} of width {shape.width} and "
            f"depth {shape.depth}, {network.num_parameters(self.params):,} parameters, "
            f"{flops.evaluation(game, shape):.2e} FLOPs an evaluation, {made} FLOPs of training>"
        )

    def evaluate(self, state: Any) -> tuple[Array, Array]:
        """``(policy logits float32[..., A], value float32[...])``, for the player to move.

        `state` is one position, or a batch of them with any leading dimensions. A position has the
        same logits and value in a batch as alone, up to the rounding of float32.

        Raises:
            ValueError: `state` is not a state of this version's game.
        """
        return self._each(state, _evaluating, self.network_config)

    def search(self, state: Any, num_simulations: int = 64) -> SearchResult:
        """The search's move int32[...], improved policy float32[..., A] and value float32[...].

        `state` is one position, or a batch of them with any leading dimensions. Every position is
        searched with the same random key, so that a batch gives the moves of single calls, except
        where the rounding of float32 decides between two moves.

        Raises:
            ValueError: `state` is not a state of this version's game.
        """
        config = self.search_config.for_evaluation(num_simulations)
        return self._each(state, _searching_one, self.network_config, config)

    def _each(self, state: Any, make: Any, *static: Any) -> Any:
        """What ``make(game, *static)(params, state)`` returns for a position, or for a batch."""
        batch = _leading_shape(self.game, state)
        if not batch:
            return any_komi.jit(self.game, make, *static)(self.params, state)
        flat = jax.tree.map(lambda x: jnp.reshape(x, (-1, *jnp.shape(x)[len(batch) :])), state)
        output = any_komi.jit(self.game, _batched, make, *static)(self.params, flat)
        return jax.tree.map(lambda x: jnp.reshape(x, (*batch, *x.shape[1:])), output)


def _best(folder: str) -> int:
    """The number of the version with the highest Elo, at any budget, on the run's ladders."""
    read_config(folder)  # a folder that is no run is an error of its own
    for path in (Path(folder) / name for name in LADDERS):
        if not path.exists():
            continue
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):  # strongest first
                name, _, number = row["player"].rpartition("?")[0].rpartition("@")
                if number.isdecimal() and (
                    name == "run" or Path(name).resolve() == Path(folder).resolve()
                ):
                    return int(number)
    raise ValueError(
        f"no version of {folder} is known as its best; rate it first: {command('ladder', folder)}"
    )


@lru_cache(maxsize=64)
def _search_fn(game: str, config: NetworkConfig, search_config: SearchConfig) -> SearchFn:
    return _searching(games.make(game), config, search_config)


def _evaluating(game: Game, config: NetworkConfig) -> Callable[[Params, Any], tuple[Array, Array]]:
    """``(params, state) → (logits, value)`` of one position."""
    evaluate = network.make(game, config).apply

    def one(params: Params, state: Any) -> tuple[Array, Array]:
        logits, value = evaluate(params, game.observe(state)[None])
        return logits[0], value[0]

    return one


def _searching(game: Game, config: NetworkConfig, search_config: SearchConfig) -> SearchFn:
    evaluate = network.make(game, config).apply
    return make_search(game, evaluate, search_config)


def _searching_one(
    game: Game, config: NetworkConfig, search_config: SearchConfig
) -> Callable[[Params, Any], SearchResult]:
    """``(params, state) → SearchResult`` of one position."""
    find = _searching(game, config, search_config)

    def one(params: Params, state: Any) -> SearchResult:
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)
        return jax.tree.map(lambda leaf: leaf[0], find(params, batch, jax.random.key(0)))

    return one


def _batched(game: Game, make: Callable[..., Any], *static: Any) -> Callable[..., Any]:
    """``make(game, *static)``, a function of parameters and a state, over states [B, ...]."""
    return jax.vmap(make(game, *static), in_axes=(None, 0))


@lru_cache(maxsize=64)
def _state_shape(game: Game) -> Any:
    """The shapes and types of one position."""
    return jax.eval_shape(game.init)


def _leading_shape(game: Game, state: Any) -> tuple[int, ...]:
    """The batch dimensions of a state, () for one position; ValueError if it is no state."""
    one = _state_shape(game)
    leaves, tree = jax.tree.flatten(one)
    given, given_tree = jax.tree.flatten(state)
    shapes = [jnp.shape(leaf) for leaf in given]
    if tree != given_tree:
        raise ValueError(
            f"this is not a state of {game!r}: expected {type(one).__name__} as `game.init()` "
            f"returns it, got {type(state).__name__}"
        )
    batch = shapes[0][: len(shapes[0]) - leaves[0].ndim]
    expected = [(*batch, *leaf.shape) for leaf in leaves]
    if shapes != expected:
        raise ValueError(
            f"this is not a state of {game!r}, nor a batch of them: its arrays have the shapes "
            f"{shapes}, expected {[leaf.shape for leaf in leaves]} behind the same batch dimensions"
        )
    return batch
