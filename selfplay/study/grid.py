"""Which runs a study has: the cells of a grid over config fields, each with several seeds."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_FIELD = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")  # in the name of a folder
SEEDED = "seed"


@dataclass(frozen=True)
class Axis:
    """A config field and the values it takes, as text."""

    field: str  # as on the command line: search.num-simulations
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """From ``FIELD=VALUE,VALUE,…``.

        Raises:
            ValueError: not of that form, a value twice, or the field `seed`.
        """
        left, equals, right = text.partition("=")
        name, values = left.removeprefix("--").replace("_", "-"), tuple(right.split(","))
        if not (equals and _FIELD.fullmatch(name) and all(values)):
            raise ValueError(
                f"--grid {text!r} is not FIELD=VALUE,VALUE,… as in network.width=8,32,128"
            )
        if name == SEEDED:
            raise ValueError("--grid seed=…: use --seeds N, which takes the seeds 0 to N − 1")
        if len(set(values)) < len(values):
            raise ValueError(f"--grid {text!r} names a value twice")
        return cls(name, values)

    def flags(self, value: str) -> tuple[str, ...]:
        """What launch/train.py takes for the field to have this value."""
        if value.lower() in ("true", "false"):
            section, dot, name = self.field.rpartition(".")
            return (f"--{section}{dot}{'' if value.lower() == 'true' else 'no-'}{name}",)
        return (f"--{self.field}", value)


@dataclass(frozen=True)
class Arm:
    """A preset of launch/train.py, with flags for it, and the grid around it.

    Attributes:
        preset: its name.
        flags: for launch/train.py, of every run.
        axes: of the grid.
        name: what this part of the study is called; the preset's name when left out.
        seeds: at most so many, where runs are long.
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
    """One run of a study."""

    name: str  # of its folder
    arm: str
    preset: str
    flags: tuple[str, ...]  # for launch/train.py, the seed included
    settings: tuple[tuple[str, str], ...]  # (field, value) of every axis
    seed: int

    @property
    def label(self) -> str:
        """What it is, but for the seed."""
        settings = ", ".join(f"{field} {value}" for field, value in self.settings)
        return f"{self.arm}: {settings}" if settings else self.arm


def cells(arms: Iterable[Arm], seeds: int) -> list[RunSpec]:
    """Every run, seed by seed, so that a study that was stopped has whole replicates.

    Raises:
        ValueError: no seeds, or two cells that are the same.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    arms = list(arms)
    found: dict[str, RunSpec] = {}
    for seed in range(seeds):
        for arm in (arm for arm in arms if seed < arm.seeds):
            title = arm.name or arm.preset
            for values in itertools.product(*(axis.values for axis in arm.axes)):
                chosen = list(zip(arm.axes, values, strict=True))
                parts = [f"{short(arm.axes, axis.field)}-{value}" for axis, value in chosen]
                parts = [*([title] if len(arms) > 1 or not parts else []), *parts, f"seed-{seed}"]
                name = _UNSAFE.sub("-", "_".join(parts))
                flags = [flag for axis, value in chosen for flag in axis.flags(value)]
                given = (*arm.flags, *flags, "--seed", str(seed))
                settings = tuple((axis.field, value) for axis, value in chosen)
                if name in found:
                    raise ValueError(f"two runs of the study would be called {name}")
                found[name] = RunSpec(name, title, arm.preset, given, settings, seed)
    return list(found.values())


def short(axes: Sequence[Axis], field: str) -> str:
    """The field's last name, unless another axis has the same."""
    last = field.rpartition(".")[2]
    alone = sum(axis.field.rpartition(".")[2] == last for axis in axes) == 1
    return last if alone else field


@dataclass(frozen=True)
class Rating:
    """How the runs of a study are rated, a ladder for each game; as launch/ladder.py's options.

    Attributes:
        sims: budgets of every version: simulations a move; 0 is the raw network.
        versions: versions of each run that are rated, evenly spaced in log(version).
        players: more players, as for launch/ladder.py: random, rollouts?sims=100.
        anchor: who is at 0 Elo; perfect play where there is any, else random, when left out.
        until_stderr: the ladder ends when every standard error is below this, in Elo.
        max_games: no further round begins with so many played.
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
        """For launch/ladder.py."""
        flags = ["--sims", *map(str, self.sims), "--versions", str(self.versions)]
        flags += ["--players", *self.players] if self.players else []
        flags += ["--anchor", self.anchor] if self.anchor else []
        limits = ["--until-stderr", str(self.until_stderr), "--max-games", str(self.max_games)]
        return (*flags, *limits, "--opening-plies", str(self.opening_plies))


@dataclass(frozen=True)
class StudyConfig:
    """A study: its runs and how they are rated.

    Attributes:
        arms: a preset each, with the grid around it.
        seeds: of every combination.
        rating: how all of them meet.
    """

    arms: tuple[Arm, ...]
    seeds: int = 3
    rating: Rating = field(default_factory=Rating)
