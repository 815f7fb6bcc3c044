"""A version of a run: loads it, evaluates positions and searches them.

    version = Version.load("runs/connect_four@last")
    state = version.game.step(version.game.init(), 3)
    prediction = version.evaluate(state)      # .policy_logits, .value
    result = version.search(state, num_simulations=64)

`state` may also be a batch of positions.

A version is stored in a run folder (``RUN@40``, ``RUN@last``, ``RUN@best``: rated highest on the
run's ladder), in an exported file that loads without the run (``launch/export.py``: safetensors,
with the config in its metadata), or in the zoo (``zoo:connect_four``).
"""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import jax
import jax.numpy as jnp
import numpy as np

import games
from games import plugins
from games.game import Game, State
from games.options import parse_options
from selfplay.command_line import command
from selfplay.model import flops, network
from selfplay.model.architecture import Params, Prediction
from selfplay.model.config import KIND, NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.players import komi_argument
from selfplay.runs.codec import from_json
from selfplay.runs.files import write_bytes
from selfplay.runs.renamed import with_today_names
from selfplay.runs.run import CONFIG, load_version, read_config
from selfplay.runs.tree import flatten, nest
from selfplay.search.base import SearchFn, SearchResult
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search
from selfplay.style.powers_of_ten import power
from selfplay.zoo import cards

MakeFunction: TypeAlias = Callable[..., Callable[..., Any]]
"""``make(game, *static)`` → a function of parameters and a state."""

SUFFIX = ".safetensors"
LADDERS = ("ladder/ladder.csv", "elo/ladder.csv")  # in a run: of launch/ladder.py, of training


def split_version(text: str) -> tuple[str, str]:
    """Splits ``RUN@VERSION`` into ``(folder, version)``; the version is empty for a folder alone.

    A folder's name may contain "@": `runs/a@b` is a folder if it exists, unless `runs/a` is a run
    and `b` can be one of its versions.
    """
    folder, at, number = text.rpartition("@")
    if at and _is_number(number) and os.path.exists(os.path.join(folder, CONFIG)):
        return folder, number
    return (folder, number) if at and not os.path.isdir(text) else (text, "")


def exists(text: str) -> bool:
    """Tells whether ``RUN``, ``RUN@VERSION``, a file's name or ``zoo:NAME`` is there."""
    if cards.is_zoo(text):
        return text.removeprefix(cards.PREFIX) in cards.names()
    folder, number = split_version(text)
    return os.path.exists(folder) and (not number or _is_number(number))


def _is_number(text: str) -> bool:
    """Tells whether a text can be a version: a number, "last" or "best"."""
    return text in ("last", "best") or text.isdecimal()


@dataclass(frozen=True, eq=False)
class Version:
    """Trained parameters, with the config of their run.

    Values and outcomes that its methods return are for the player to move, in [−1, 1].

    Attributes:
        name: ``RUN@NUMBER``, as specs and ladders name it.
        params: parameters of the network, on the host.
        config: the run's config, as its config.json stores it, with today's field names.
        ledger: the compute that made the version; None if unknown.
        number: the iteration that made it; 0 is the start of the run. None if unknown.
    """

    name: str
    params: Params
    config: dict[str, Any]
    ledger: Ledger | None = None
    number: int | None = None

    @classmethod
    def load(cls, where: str | Path) -> "Version":
        """Loads ``RUN@VERSION`` (``RUN`` alone: the newest), an exported file or ``zoo:NAME``.

        Raises:
            ValueError: no such run, file or version (the message lists the versions of the run);
                ``RUN@best`` of a run that no ladder has rated; or the version's game, network or
                search is unknown here, or an import path that this process does not trust.
            CorruptedFile: the file's digest differs from the one that the run recorded.
        """
        text = str(where)
        if cards.is_zoo(text):
            file = cards.network_file(text.removeprefix(cards.PREFIX))
            version = replace(cls._load_file(file), name=text)
        elif text.endswith(SUFFIX):
            version = cls._load_file(Path(text))
        else:
            version = cls._load_from_run(text)
        with plugins.stored_in(where):
            version._check()
        return version

    @classmethod
    def _load_from_run(cls, text: str) -> "Version":
        """Loads a version from its run's folder."""
        folder, number = split_version(text)
        folder = os.path.normpath(folder)  # runs/a and runs/a/ are one name
        if number and not _is_number(number):
            raise ValueError(f"version {number!r} of {folder} is not a number, 'last' or 'best'")
        best = _best(folder) if number == "best" else None
        wanted = int(number) if number.isdecimal() else "last" if best is None else best
        stored = load_version(folder, wanted)
        name = f"{folder}@{stored.number}"
        return cls(name, stored.params, stored.config, Ledger(**stored.ledger), stored.number)

    @classmethod
    def _load_file(cls, path: Path) -> "Version":
        """Loads an exported file."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise ValueError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
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

    def _check(self) -> None:
        """Raises ValueError if the game, network or search is unknown, or not trusted."""
        try:
            _ = self.game, self.network_config, self.search_config
        except KeyError as error:
            raise ValueError(f"{self.name} has a config without {error}") from error

    def export(self, path: Path) -> None:
        """Writes parameters and config to one safetensors file that loads without the run."""
        from safetensors.numpy import save

        flat = {name: np.ascontiguousarray(array) for name, array in flatten(self.params).items()}
        ledger = asdict(self.ledger) if self.ledger else None
        head = {"name": self.name, "config": self.config, "ledger": ledger, "number": self.number}
        write_bytes(path, save(flat, metadata={"oomzero": json.dumps(head, sort_keys=True)}))

    @property
    def game(self) -> Game:
        """The game that the version was trained on, built from its config."""
        return games.make(self.config["game"])

    def with_game_options(self, **options: object) -> "Version":
        """Returns the same parameters with other options of the game, such as ``komi=5.5`` in Go.

        Raises:
            ValueError: the game has no such option or takes no such value, or the network's input
                or output would have another shape.
        """
        name, _, text = self.config["game"].partition("?")
        values = parse_options(name, text) | {key: str(value) for key, value in options.items()}
        spec = f"{name}?{urlencode(values)}"
        game = games.make(spec)
        shape = (game.observation_shape, game.num_actions)
        if shape != (self.game.observation_shape, self.game.num_actions):
            raise ValueError(f"{self.name} was trained on {self.config['game']}, not on {values}")
        return replace(self, config={**self.config, "game": spec})

    @property
    def num_parameters(self) -> int:
        """The number of parameters."""
        return network.num_parameters(self.params)

    @property
    def network_config(self) -> NetworkConfig:
        """The architecture and size of the network."""
        return from_json(NetworkConfig, self.config["network"])

    @property
    def search_config(self) -> SearchConfig:
        """The search it was trained with."""
        return from_json(SearchConfig, self.config["search"])

    def with_search(self, algorithm: str | None) -> "Version":
        """Returns the same parameters with another search; None: the search of its training."""
        search = self.config["search"] | ({"algorithm": algorithm} if algorithm else {})
        return replace(self, config={**self.config, "search": search})

    def search_fn(self, num_simulations: int) -> SearchFn:
        """Builds the search at a budget, batched over states [B], without noise."""
        return _search_fn(
            self.config["game"],
            self.network_config,
            self.search_config.for_evaluation(num_simulations),
        )

    def __repr__(self) -> str:
        shape, game = self.network_config, self.game
        training = power(self.ledger.ooms, 1) if self.ledger else "unknown"
        is_builtin = shape.kind in KIND.builtin  # others need not use width and depth
        size = f" of width {shape.width} and depth {shape.depth}" if is_builtin else ""
        return (
            f"<Version {self.name}: {self.config['game']}, {shape.kind}{size}, "
            f"{self.num_parameters:,} parameters, "
            f"{flops.evaluation(game, shape):.2e} FLOPs an evaluation, "
            f"{training} FLOPs of training>"
        )

    def evaluate(self, state: State) -> Prediction:
        """Evaluates a position, or a batch of them with any leading dimensions.

        A position has the same logits and value in a batch as alone, up to the rounding of float32.

        Returns:
            `policy_logits` float32[..., A], and `value` float32[...] in [−1, 1], for the player to
            move. Logits of illegal actions are meaningless.

        Raises:
            ValueError: `state` is not a state of this version's game.
        """
        return self._each(state, _evaluating, self.network_config)

    def search(self, state: State, num_simulations: int = 64) -> SearchResult:
        """Searches a position, or a batch of them with any leading dimensions, without noise.

        Every position is searched with the same random key, so a batch gives the moves of single
        calls, unless the rounding of float32 decides between two moves.

        Returns:
            The action int32[...], the improved policy float32[..., A], the value float32[...] in
            [−1, 1], for the player to move, and the network's own policy float32[..., A].

        Raises:
            ValueError: `state` is not a state of this version's game.
        """
        config = self.search_config.for_evaluation(num_simulations)
        return self._each(state, _searching_one, self.network_config, config)

    def _each(self, state: State, make: MakeFunction, *static: object) -> Any:
        """Applies ``make(game, *static)(params, state)`` to a position, or to each of a batch."""
        batch = _leading_shape(self.game, state)
        if not batch:
            return komi_argument.jit(self.game, make, *static)(self.params, state)
        flat = jax.tree.map(lambda x: jnp.reshape(x, (-1, *jnp.shape(x)[len(batch) :])), state)
        output = komi_argument.jit(self.game, _batched, make, *static)(self.params, flat)
        return jax.tree.map(lambda x: jnp.reshape(x, (*batch, *x.shape[1:])), output)


def _best(folder: str) -> int:
    """Finds the number of the version with the highest Elo, at any budget, on the run's ladders."""
    read_config(folder)  # raises an error that explains it if the folder is not a run
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
def _search_fn(game_spec: str, config: NetworkConfig, search_config: SearchConfig) -> SearchFn:
    """Builds a search once for equal arguments, since programs are compiled for an object."""
    return _searching(games.make(game_spec), config, search_config)


def _evaluating(game: Game, config: NetworkConfig) -> Callable[[Params, State], Prediction]:
    """Makes ``(params, state)`` → the prediction for one position."""
    evaluate = network.make(game, config).apply

    def apply_to_one(params: Params, state: State) -> Prediction:
        prediction = evaluate(params, game.observe(state)[None])
        return jax.tree.map(lambda leaf: leaf[0], prediction)

    return apply_to_one


def _searching(game: Game, config: NetworkConfig, search_config: SearchConfig) -> SearchFn:
    """Makes the search of a network, batched over states."""
    evaluate = network.make(game, config).apply
    return make_search(game, evaluate, search_config)


def _searching_one(
    game: Game, config: NetworkConfig, search_config: SearchConfig
) -> Callable[[Params, State], SearchResult]:
    """Makes ``(params, state)`` → the search's result in one position."""
    search = _searching(game, config, search_config)

    def apply_to_one(params: Params, state: State) -> SearchResult:
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)
        return jax.tree.map(lambda leaf: leaf[0], search(params, batch, jax.random.key(0)))

    return apply_to_one


def _batched(game: Game, make: MakeFunction, *static: object) -> Callable[..., Any]:
    """Maps ``make(game, *static)``, a function of parameters and a state, over states [B, ...]."""
    return jax.vmap(make(game, *static), in_axes=(None, 0))


@lru_cache(maxsize=64)
def _state_shape(game: Game) -> State:
    """Computes the shapes and dtypes of one position."""
    return jax.eval_shape(game.init)


def _leading_shape(game: Game, state: State) -> tuple[int, ...]:
    """Returns the batch dimensions of a state, () for one position.

    Raises:
        ValueError: it is not a state of the game.
    """
    single = _state_shape(game)
    leaves, tree = jax.tree.flatten(single)
    state_leaves, state_tree = jax.tree.flatten(state)
    shapes = [jnp.shape(leaf) for leaf in state_leaves]
    if tree != state_tree:
        raise ValueError(
            f"this is not a state of {game!r}: expected {type(single).__name__} as `game.init()` "
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
