"""Lists the runs of a study: every combination of a grid of config fields, with several seeds."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_FIELD = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")  # characters that a folder's name does not contain
SEED_FIELD = "seed"


def is_name(text: object) -> bool:
    """Tells whether a text can be the name of a study's run, and so of its folder."""
    return isinstance(text, str) and bool(text) and not _UNSAFE.search(text)


@dataclass(frozen=True)
class Axis:
    """A config field and the values it takes, as text."""

    field: str  # as on the command line: search.num-simulations
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Parses ``FIELD=VALUE,VALUE,…``.

        Raises:
            ValueError: the text has another form, repeats a value, or names the field `seed`.
        """
        path, equals, values_text = text.partition("=")
        name = path.removeprefix("--").replace("_", "-")
        values = tuple(values_text.split(","))
        if not (equals and _FIELD.fullmatch(name) and all(values)):
            raise ValueError(
                f"--grid {text!r} is not FIELD=VALUE,VALUE,… as in network.width=8,32,128"
            )
        if name == SEED_FIELD:
            raise ValueError(
                "--grid seed=…: use --seeds N, which takes N seeds from --first-seed on"
            )
        if len(set(values)) < len(values):
            raise ValueError(f"--grid {text!r} names a value twice")
        return cls(name, values)

    def flags(self, value: str) -> tuple[str, ...]:
        """Returns the flags of launch/train.py that set the field to this value."""
        if value.lower() in ("true", "false"):
            section, dot, name = self.field.rpartition(".")
            return (f"--{section}{dot}{'' if value.lower() == 'true' else 'no-'}{name}",)
        return (f"--{self.field}", value)


@dataclass(frozen=True)
class Arm:
    """A preset of launch/train.py, with flags for it, and the grid around it.

    Attributes:
        preset: its name.
        flags: for launch/train.py, the same in every run.
        axes: of the grid.
        name: of this part of the study; the preset's name if empty.
        seeds: upper limit on the seeds of this part, for long runs.
    """

    preset: str
    flags: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()
    name: str = ""
    seeds: int = sys.maxsize

    def __post_init__(self) -> None:
        names = [axis.field for axis in self.axes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"--grid names {name} twice; give all its values at once")


@dataclass(frozen=True)
class RunSpec:
    """One run of a study.

    Attributes:
        name: of its folder.
        arm: the part of the study that it belongs to.
        preset: of launch/train.py.
        flags: for launch/train.py, including the seed.
        settings: (field, value) of every axis.
        seed: of the run.
    """

    name: str
    arm: str
    preset: str
    flags: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    seed: int

    @property
    def label(self) -> str:
        """Name of the recipe: equal for runs that differ in their seed only."""
        settings = ", ".join(f"{field} {value}" for field, value in self.settings)
        return f"{self.arm}: {settings}" if settings else self.arm


def run_specs(arms: Iterable[Arm], seeds: int, first_seed: int = 0) -> list[RunSpec]:
    """Lists every run, seed by seed, so that an interrupted study consists of whole replicates.

    Raises:
        ValueError: `seeds` is below 1, `first_seed` below 0, or two runs would have the same name.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    if first_seed < 0:
        raise ValueError(f"--first-seed must be at least 0, got {first_seed}")
    arms = list(arms)
    specs: dict[str, RunSpec] = {}
    for seed in range(first_seed, first_seed + seeds):
        for arm in (arm for arm in arms if seed < first_seed + arm.seeds):
            for values in itertools.product(*(axis.values for axis in arm.axes)):
                spec = _run_spec(arm, values, seed, with_title=len(arms) > 1)
                if spec.name in specs:
                    raise ValueError(f"two runs of the study would be called {spec.name}")
                specs[spec.name] = spec
    return list(specs.values())


def _run_spec(arm: Arm, values: Sequence[str], seed: int, with_title: bool) -> RunSpec:
    """Makes the run of an arm that takes these values, one for each axis.

    The folder's name begins with the arm's title if `with_title`, or if there is no axis.
    """
    title = arm.name or arm.preset
    chosen = list(zip(arm.axes, values, strict=True))
    parts = [f"{short_name(arm.axes, axis.field)}-{value}" for axis, value in chosen]
    parts = [*([title] if with_title or not parts else []), *parts, f"seed-{seed}"]
    flags = [flag for axis, value in chosen for flag in axis.flags(value)]
    return RunSpec(
        name=_UNSAFE.sub("-", "_".join(parts)),
        arm=title,
        preset=arm.preset,
        flags=(*arm.flags, *flags, "--seed", str(seed)),
        settings=tuple((axis.field, value) for axis, value in chosen),
        seed=seed,
    )


def short_name(axes: Sequence[Axis], field: str) -> str:
    """Returns the last part of a field's path, or the whole path if two axes share that part."""
    last = field.rpartition(".")[2]
    unique = sum(axis.field.rpartition(".")[2] == last for axis in axes) == 1
    return last if unique else field


@dataclass(frozen=True)
class RatingConfig:
    """Options of launch/ladder.py for a study, which has one ladder for each game.

    Attributes:
        sims: budgets of every version: simulations a move; 0 is the raw network.
        versions: versions of each run that are rated, evenly spaced in log(version).
        players: more players, as for launch/ladder.py: random, rollouts?sims=100.
        anchor: the player at 0 Elo; if left out, the one that the ladder began with, and for a new
            ladder perfect play if it needs no extra, else random moves.
        until_stderr: the ladder ends when every standard error is below this, in Elo.
        max_games: no further round begins after this many games.
        opening_plies: random moves of every opening.
    """

    sims: tuple[int, ...] = (0, 64)
    versions: int = 6
    players: tuple[str, ...] = ()
    anchor: str | None = None
    until_stderr: float = 25.0
    max_games: int = 20_000
    opening_plies: int = 4

    def __post_init__(self) -> None:
        for name in ("versions", "until_stderr", "max_games"):
            if not getattr(self, name) > 0:
                text = name.replace("_", "-")
                raise ValueError(f"--{text} must be above 0, got {getattr(self, name)}")
        if not self.sims or min(self.sims) < 0:
            got = " ".join(map(str, self.sims)) or "none"
            raise ValueError(f"--sims takes one or more budgets, none below 0; got {got}")

    def flags(self) -> tuple[str, ...]:
        """Returns the flags of launch/ladder.py that set these options."""
        flags = ["--sims", *map(str, self.sims), "--versions", str(self.versions)]
        flags += ["--players", *self.players] if self.players else []
        flags += ["--anchor", self.anchor] if self.anchor else []
        limits = ["--until-stderr", str(self.until_stderr), "--max-games", str(self.max_games)]
        return (*flags, *limits, "--opening-plies", str(self.opening_plies))


@dataclass(frozen=True)
class StudyConfig:
    """A study: its runs, and how they are rated.

    Attributes:
        arms: presets, each with the grid around it.
        seeds: runs of every combination.
        first_seed: of these runs; a study that confirms what another chose has seeds of its own.
        rating: options of the ladders.
    """

    arms: tuple[Arm, ...]
    seeds: int = 3
    first_seed: int = 0
    rating: RatingConfig = field(default_factory=RatingConfig)
