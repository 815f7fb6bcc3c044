"""A run that begins from a version of another run: which one, and whether it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import games
from selfplay.model import network
from selfplay.model.flops import Ledger
from selfplay.model.network import Params
from selfplay.players.version import SUFFIX, Version
from selfplay.runs.codec import differing, flat, to_json
from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile, in_words
from selfplay.runs.run import CONFIG, read_config
from selfplay.runs.tree import flatten, unflatten
from selfplay.training.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Origin:
    """A version of another run, which becomes version 0.

    Attributes:
        run: name of the run's folder, or of the exported file.
        version: the version's number; None if an exported file does not tell.
        params: its averaged parameters, on the host.
        digest: of the parameters.
        ledger: the FLOPs that made them.
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
        where = config.init_from
        version = Version.load(where)
        _check_fits(version, config)
        ledger = version.ledger
        if ledger is None or not all(type(n) is int and n >= 0 for n in asdict(ledger).values()):
            raise ValueError(
                f"init_from={where} does not tell what its training cost, which counts as this "
                "run's; name a version in its run's folder"
            )
        model = network.make(games.make(config.game), config.network)
        like = jax.eval_shape(model.init, jax.random.key(0))
        try:
            params = unflatten(like, flatten(version.params))
        except ValueError as error:
            raise ValueError(
                f"init_from={where} does not hold the network that its config says: {error}"
            ) from None
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise ValueError(f"init_from={where} has parameters that are not finite numbers")
        if where.endswith(SUFFIX):
            name = Path(where).name
        else:
            name = Path(version.name.rpartition("@")[0]).resolve().name
        return cls(name, version.number, params, digest(params), ledger)

    def __str__(self) -> str:
        """Returns "hex_3@12"."""
        return self.run if self.version is None else f"{self.run}@{self.version}"

    @property
    def record(self) -> dict[str, Any]:
        """What the run remembers of it, in its manifest and in the row of version 0."""
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

    A run that has version 0 needs no origin: it goes on with what it began from, unless `config`
    names other parameters. `announce` gets a sentence if those that it names are gone.

    Raises:
        ValueError: see `Origin.load`; or the run in `folder` began from other parameters.
        CorruptedFile: the origin's file is damaged.
    """
    begun = (folder / "commits" / "00000000.json").exists() and (folder / CONFIG).exists()
    if not begun:
        if not config.init_from:
            return config, None
        origin = Origin.load(config)
        return replace(config, init_from=origin.digest), origin
    known = str(flat(read_config(folder)).get("init_from", ""))
    if config.init_from not in ("", known):
        _check_same(config.init_from, known, folder, announce)
    return (replace(config, init_from=known) if known else config), None


def _check_same(where: str, known: str, folder: Path, announce: Callable[[str], None]) -> None:
    """Raises ValueError unless the run in `folder` began from the version that `where` names."""
    if not known:
        raise ValueError(
            f"{folder} holds a run that did not begin from {where}; give the new run a folder of "
            f"its own with --out, for instance {folder}_more"
        )
    try:
        found = digest(Version.load(where).params)
    except (ValueError, OSError, CorruptedFile) as error:
        announce(
            f"{where} cannot be read any more ({in_words(error)}); the run has what it took from it"
        )
        return
    if found != known:
        raise ValueError(
            f"{folder} began from parameters with the digest {known[:12]}, and {where} has "
            f"{found[:12]}; leave --init-from out to resume it, or choose another --out"
        )


def _check_fits(version: Version, config: TrainConfig) -> None:
    """Raises ValueError naming what differs if a version has another game or network."""
    parts = ("game", "network")
    ours = {part: to_json(config)[part] for part in parts}
    theirs = {part: version.config[part] for part in parts if part in version.config}
    fields = differing(theirs, ours)
    if "game" in fields and games.make(str(theirs.get("game"))) == games.make(config.game):
        del fields["game"]  # the same rules, written differently
    if fields:
        texts = [
            f"{name} is {there} there and {here} here" for name, (there, here) in fields.items()
        ]
        raise ValueError(
            f"init_from={config.init_from} does not fit this run: {'; '.join(texts)}. Give this "
            "run the same game and network"
        )
