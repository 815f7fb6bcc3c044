"""The origin of a run that begins from a version of another run, and whether it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import numpy as np

import games
from selfplay.model import network
from selfplay.model.architecture import Params
from selfplay.model.flops import Ledger
from selfplay.players.version import SUFFIX, Version
from selfplay.runs.codec import JsonObject, differing, flat, to_json
from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile, in_words
from selfplay.runs.run import CONFIG, read_config
from selfplay.runs.tree import flatten, unflatten
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import learned_model
from selfplay.zoo.cards import is_zoo


@dataclass(frozen=True, eq=False)
class Origin:
    """A version of another run, which becomes version 0.

    Attributes:
        run: name of the run's folder, or of the exported file.
        version: the version's number; None if an exported file does not contain it.
        params: its averaged parameters, on the host.
        digest: digest of the parameters.
        ledger: FLOPs behind them.
    """

    run: str
    version: int | None
    params: Params
    digest: str
    ledger: Ledger

    @classmethod
    def load(cls, config: TrainConfig) -> Origin:
        """Loads the version that ``config.init_from`` names and checks that the run can use it.

        Raises:
            ValueError: there is no such version, it has another game or network, no ledger, or
                numbers that are not finite.
            CorruptedFile: its file is damaged.
        """
        spec = config.init_from
        version = Version.load(spec)
        _check_fits(version, config)
        ledger = version.ledger
        if ledger is None or not all(type(n) is int and n >= 0 for n in asdict(ledger).values()):
            raise ValueError(
                f"init_from={spec} has no ledger of the FLOPs of its training, which count as this "
                "run's; name a version in its run's folder"
            )
        like = network.shapes(learned_model(games.make(config.game), config).init)
        try:
            params = unflatten(like, flatten(version.params))
        except ValueError as error:
            _check_same_losses(version, config)
            raise ValueError(
                f"init_from={spec} does not contain the network of its config: {error}"
            ) from None
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise ValueError(f"init_from={spec} has parameters that are not finite numbers")
        if spec.endswith(SUFFIX) or is_zoo(spec):
            name = Path(spec).name
        else:
            name = Path(version.name.rpartition("@")[0]).resolve().name
        return cls(name, version.number, params, digest(params), ledger)

    def __str__(self) -> str:
        """Returns "hex_3@12"."""
        return self.run if self.version is None else f"{self.run}@{self.version}"

    @property
    def record(self) -> JsonObject:
        """The origin without its parameters, for the manifest and the row of version 0."""
        return {
            "run": self.run,
            "version": self.version,
            "digest": self.digest,
            "ledger": asdict(self.ledger),
        }


def resolve(
    config: TrainConfig, folder: Path, announce: Callable[[str], None]
) -> tuple[TrainConfig, Origin | None]:
    """Replaces ``config.init_from`` by the parameters' digest, and loads them for a new run.

    A run with a version 0 does not need its origin any more, and resumes unless `config` names
    other parameters. `announce` gets a message if the origin that `config` names cannot be read.

    Raises:
        ValueError: see `Origin.load`; or the run in `folder` began from other parameters.
        CorruptedFile: the origin's file is damaged.
    """
    has_begun = (folder / "commits" / "00000000.json").exists() and (folder / CONFIG).exists()
    if not has_begun:
        if not config.init_from:
            return config, None
        origin = Origin.load(config)
        return replace(config, init_from=origin.digest), origin
    recorded = str(flat(read_config(folder)).get("init_from", ""))
    if config.init_from not in ("", recorded):
        _check_same(config.init_from, recorded, folder, announce)
    return (replace(config, init_from=recorded) if recorded else config), None


def _check_same(spec: str, recorded: str, folder: Path, announce: Callable[[str], None]) -> None:
    """Raises ValueError unless the run in `folder` began from the version that `spec` names.

    `recorded` is the digest of the parameters that the run began from; "" if it has no origin.
    """
    if not recorded:
        raise ValueError(
            f"{folder} is a run that did not begin from {spec}; choose another folder for the new "
            f"run with --out, for instance {folder}_more"
        )
    try:
        actual = digest(Version.load(spec).params)
    except (ValueError, OSError, CorruptedFile) as error:
        announce(
            f"{spec} cannot be read any more ({in_words(error)}), and the run does not need it"
        )
        return
    if actual != recorded:
        raise ValueError(
            f"{folder} began from parameters with the digest {recorded[:12]}, and {spec} has "
            f"{actual[:12]}; leave --init-from out to resume it, or choose another --out"
        )


def _check_same_losses(version: Version, config: TrainConfig) -> None:
    """Raises ValueError if a version was trained with other loss terms, so with other heads."""
    theirs = [str(spec) for spec in version.config.get("learner", {}).get("losses", [])]
    ours = list(config.learner.losses)
    if theirs != ours:
        raise ValueError(
            f"init_from={config.init_from} does not have the auxiliary heads of this run: its "
            f"learner.losses is {theirs} there and {ours} here. Use the same losses"
        )


def _takes_the_same_networks(other: str, config: TrainConfig) -> bool:
    """Tells whether a version of game `other` can play a run's game.

    The rules are the same, perhaps written differently; or the games differ in the size of the
    board only, and no parameter's shape depends on it.
    """
    theirs, ours = games.make(other), games.make(config.game)
    if theirs == ours:
        return True
    if type(theirs) is not type(ours):
        return False
    shapes = [network.shapes(network.make(game, config.network).init) for game in (theirs, ours)]
    return shapes[0] == shapes[1]


def _check_fits(version: Version, config: TrainConfig) -> None:
    """Raises ValueError naming the fields that differ if a version has another game or network."""
    parts = ("game", "network")
    ours = {part: to_json(config)[part] for part in parts}
    theirs = {part: version.config[part] for part in parts if part in version.config}
    fields = differing(theirs, ours)
    if "game" in fields and _takes_the_same_networks(str(theirs.get("game")), config):
        del fields["game"]
    if fields:
        texts = [f"{name} is {a} there and {b} here" for name, (a, b) in fields.items()]
        raise ValueError(
            f"init_from={config.init_from} does not fit this run: {'; '.join(texts)}. Use the same "
            "game and network"
        )
