"""Rated versions, as the statistics of scaling see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag

from selfplay.scaling.estimate import Floats, InsufficientData

Labels = NDArray[np.str_]
Ints = NDArray[np.int64]

QUANTITIES = ("training", "search", "parameters")


@dataclass(frozen=True, eq=False)
class RatedVersions:
    """N rated versions: a network behind a search at a budget, each on one ladder with all others.

    What is not known is NaN, and only a fit that needs it minds. Make them by `RatedVersions.of`,
    which checks them.

    Attributes:
        elo: float[..., N]. Leading axes are replicates of the same design, for calibration.
        covariance: float[N, N], of the ratings' errors, in Elo².
        run: str[N]. Versions of one run are correlated; runs are not, but for their ratings.
        recipe: str[N]: which config made it, but for the seed.
        seed: int[N], of the run.
        training: float[N], log10 of the FLOPs that made it.
        search: float[N], log10 of the FLOPs that one of its moves costs.
        parameters: float[N], log10 of how many the network has.
        covariates: name → float[N]: whatever else was varied, such as the size of the board.
    """

    elo: Floats
    covariance: Floats
    run: Labels
    recipe: Labels
    seed: Ints
    training: Floats
    search: Floats
    parameters: Floats
    covariates: Mapping[str, Floats]

    @classmethod
    def of(
        cls,
        elo: ArrayLike,
        covariance: ArrayLike,
        run: ArrayLike,
        training: ArrayLike | None = None,
        *,
        search: ArrayLike | None = None,
        parameters: ArrayLike | None = None,
        recipe: ArrayLike | None = None,
        seed: ArrayLike | None = None,
        covariates: Mapping[str, ArrayLike] | None = None,
    ) -> "RatedVersions":
        """From sequences; see the attributes for shapes and units.

        Raises:
            ValueError: shapes that do not fit, a rating that is not finite, or a covariance that
                is none.
        """
        rated = np.asarray(elo, np.float64)
        count = rated.shape[-1] if rated.ndim else 0

        def floats(given: ArrayLike | None) -> Floats:
            return np.full(count, np.nan) if given is None else np.asarray(given, np.float64)

        made = cls(
            elo=rated,
            covariance=np.asarray(covariance, np.float64),
            run=np.asarray(run, np.str_),
            recipe=np.full(count, "", np.str_) if recipe is None else np.asarray(recipe, np.str_),
            seed=np.zeros(count, np.int64) if seed is None else np.asarray(seed, np.int64),
            training=floats(training),
            search=floats(search),
            parameters=floats(parameters),
            covariates={name: floats(values) for name, values in (covariates or {}).items()},
        )
        made._check()
        return made

    def _check(self) -> None:
        count = len(self)
        if not count:
            raise ValueError("there are no rated versions to fit")
        for name, array in self._columns().items():
            if array.shape != (count,):
                raise ValueError(f"{name} has shape {array.shape}, the ratings make it ({count},)")
        if self.covariance.shape != (count, count):
            raise ValueError(
                f"the covariance has shape {self.covariance.shape}, "
                f"the ratings make it ({count}, {count})"
            )
        if not np.isfinite(self.elo).all():
            raise ValueError(f"{(~np.isfinite(self.elo)).sum()} ratings are not finite")
        matrix = self.covariance
        scale = np.abs(matrix).max()  # NaN passes through to the next line
        if not np.isfinite(scale) or not np.allclose(matrix, matrix.T, rtol=0, atol=1e-8 * scale):
            raise ValueError("the covariance of the ratings is not finite and symmetric")
        least = np.linalg.eigvalsh(matrix)[0] if scale else 0.0
        if least < -1e-6 * scale:
            raise ValueError(
                f"the covariance of the ratings has the eigenvalue {least:.3g}; none is below 0"
            )

    def __len__(self) -> int:
        return self.elo.shape[-1] if self.elo.ndim else 0

    def _columns(self) -> dict[str, NDArray[Any]]:
        """All that has shape [N]."""
        names = [field.name for field in fields(self)]
        own = {n: getattr(self, n) for n in names if n not in ("elo", "covariance", "covariates")}
        return {**own, **self.covariates}

    @property
    def runs(self) -> list[str]:
        """The runs' labels, sorted."""
        return np.unique(self.run).tolist()

    @property
    def run_index(self) -> Ints:
        """int[N]: each version's run, an index into `runs`."""
        return indices(self.run)

    @property
    def network_index(self) -> Ints:
        """int[N]: equal where run and training are: the same parameters, at whatever budget."""
        spent = self.require("training")
        return indices(np.stack([self.run_index, indices(spent)]), axis=1)

    def require(self, name: str) -> Floats:
        """float[N]: a quantity or a covariate, all of it known.

        Raises:
            ValueError: no such name.
            InsufficientData: versions of which it is not known.
        """
        if name not in QUANTITIES and name not in self.covariates:
            choices = ", ".join((*QUANTITIES, *self.covariates))
            raise ValueError(f"{name!r} is no quantity of these versions; choose from {choices}")
        values: Floats = self._columns()[name]
        unknown = ~np.isfinite(values)
        if unknown.any():
            first = self.run[unknown][0]
            raise InsufficientData(
                f"{name} is not known of {unknown.sum()} versions, the first of them of run {first}"
            )
        return values

    def select(self, which: ArrayLike) -> "RatedVersions":
        """Some of them, by bool[N] (True = taken) or by indices, in that order.

        Raises:
            InsufficientData: none is taken.
        """
        taken = np.asarray(which)
        at = np.flatnonzero(taken) if taken.dtype == bool else taken.astype(np.int64)
        if not len(at):
            raise InsufficientData(f"none of the {len(self)} versions is selected")
        columns = {name: array[at] for name, array in self._columns().items()}
        covariates = {name: columns.pop(name) for name in self.covariates}
        return replace(
            self,
            elo=self.elo[..., at],
            covariance=self.covariance[np.ix_(at, at)],
            covariates=covariates,
            **columns,
        )

    def require_single(self) -> "RatedVersions":
        """Itself, if it is no batch of replicates; ValueError otherwise."""
        if self.elo.ndim != 1:
            raise ValueError(f"this takes one set of ratings, got a batch {self.elo.shape[:-1]}")
        return self


def indices(values: NDArray[Any], axis: int | None = None) -> Ints:
    """int[N]: which of the sorted distinct values each is."""
    return np.unique(values, axis=axis, return_inverse=True)[1].ravel().astype(np.int64)


def join_ladders(parts: Sequence[RatedVersions]) -> RatedVersions:
    """Versions of several ladders: no rating of one has anything in common with one of another.

    Covariates that not all of them have are left out.

    Raises:
        ValueError: a run that is in two of them.
    """
    runs = [run for part in parts for run in part.runs]
    twice = sorted({run for run in runs if runs.count(run) > 1})
    if twice:
        raise ValueError(f"run {twice[0]} is on two ladders")
    shared = [n for n in parts[0].covariates if all(n in part.covariates for part in parts)]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return RatedVersions(
        elo=np.concatenate([part.require_single().elo for part in parts]),
        covariance=np.asarray(block_diag(*(part.covariance for part in parts)), np.float64),
        covariates={n: np.concatenate([part.covariates[n] for part in parts]) for n in shared},
        **{name: column(name) for name in ("run", "recipe", "seed", *QUANTITIES)},
    )


def by_budget(points: RatedVersions) -> dict[float, RatedVersions]:
    """Search budget → the versions that were rated at it."""
    spent = points.require("simulations")
    return {float(budget): points.select(spent == budget) for budget in np.unique(spent)}
