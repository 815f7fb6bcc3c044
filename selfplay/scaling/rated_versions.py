"""Rated versions: the data points of all statistics of scaling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag

from selfplay.scaling.estimate import Floats, InsufficientData

Labels = NDArray[np.str_]
Ints = NDArray[np.int64]

QUANTITIES = ("training", "search", "parameters")


@dataclass(frozen=True, eq=False)
class RatedVersions:
    """N rated versions, each a network with a search budget, all on one ladder.

    Unknown values are NaN; fits that need them raise. Use `RatedVersions.of` to make them: it
    checks the values.

    Attributes:
        elo: float[..., N]. Leading axes are replicates of one design, for calibration.
        covariance: float[N, N], of the ratings' errors, Elo².
        run: str[N]. Versions of one run are correlated; runs only through their ratings' errors.
        recipe: str[N], the name of the run's config without its seed.
        seed: int[N], of the run.
        training: float[N], log10 of the FLOPs that made the version.
        search: float[N], log10 of the FLOPs per move.
        parameters: float[N], log10 of the network's number of parameters.
        covariates: name → float[N], other quantities that were varied, such as the board's size.
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
        """Makes rated versions from sequences; see the attributes for shapes and units.

        Raises:
            ValueError: the shapes do not match, a rating is not finite, or the covariance is not
                finite, symmetric and positive semidefinite.
        """
        rated = np.asarray(elo, np.float64)
        count = rated.shape[-1] if rated.ndim else 0

        def floats(values: ArrayLike | None) -> Floats:
            return np.full(count, np.nan) if values is None else np.asarray(values, np.float64)

        versions = cls(
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
        versions._check()
        return versions

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

    def _columns(self) -> Mapping[str, NDArray[np.generic]]:
        """Collects the arrays of shape [N] by name, covariates included."""
        names = [field.name for field in fields(self)]
        names = [name for name in names if name not in ("elo", "covariance", "covariates")]
        return {name: getattr(self, name) for name in names} | dict(self.covariates)

    @property
    def runs(self) -> list[str]:
        """The labels of the runs, sorted."""
        return np.unique(self.run).tolist()

    @property
    def run_index(self) -> Ints:
        """Each version's run as an index into `runs`, int[N]."""
        return indices(self.run)

    @property
    def network_index(self) -> Ints:
        """An index of networks, int[N]: equal for versions of one run after the same training."""
        spent = self.require("training")
        return indices(np.stack([self.run_index, indices(spent)]), axis=1)

    def require(self, name: str) -> Floats:
        """Returns a quantity or a covariate, float[N], if it is known of all versions.

        Raises:
            ValueError: there is no such name.
            InsufficientData: it is unknown of some versions.
        """
        if name not in QUANTITIES and name not in self.covariates:
            choices = ", ".join((*QUANTITIES, *self.covariates))
            raise ValueError(f"these versions have no quantity {name!r}; choose from {choices}")
        values: Floats = self.covariates[name] if name in self.covariates else getattr(self, name)
        unknown = ~np.isfinite(values)
        if unknown.any():
            first = self.run[unknown][0]
            raise InsufficientData(
                f"{name} is not known of {unknown.sum()} versions, the first of them of run {first}"
            )
        return values

    def select(self, which: ArrayLike) -> "RatedVersions":
        """Selects versions by a mask bool[N] (True = selected), or by indices, in their order.

        Raises:
            InsufficientData: none is selected.
        """
        selection = np.asarray(which)
        mask = selection.dtype == bool
        at = np.flatnonzero(selection) if mask else selection.astype(np.int64)
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
        """Returns itself if it is not a batch of replicates.

        Raises:
            ValueError: it is a batch.
        """
        if self.elo.ndim != 1:
            raise ValueError(f"this takes one set of ratings, got a batch {self.elo.shape[:-1]}")
        return self


def indices(values: NDArray[np.generic], axis: int | None = None) -> Ints:
    """Returns each value's index among the sorted distinct values, int[N]."""
    return np.unique(values, axis=axis, return_inverse=True)[1].ravel().astype(np.int64)


def join_ladders(parts: Sequence[RatedVersions]) -> RatedVersions:
    """Joins the versions of several ladders, whose ratings' errors are independent.

    Covariates that are not on every ladder are dropped.

    Raises:
        ValueError: a run is on two ladders.
    """
    runs = [run for part in parts for run in part.runs]
    repeated = sorted({run for run in runs if runs.count(run) > 1})
    if repeated:
        raise ValueError(f"run {repeated[0]} is on two ladders")
    shared = [n for n in parts[0].covariates if all(n in part.covariates for part in parts)]

    names = ("run", "recipe", "seed", *QUANTITIES)
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(
        parts[0],
        elo=np.concatenate([part.require_single().elo for part in parts]),
        covariance=np.asarray(block_diag(*(part.covariance for part in parts)), np.float64),
        covariates={n: np.concatenate([part.covariates[n] for part in parts]) for n in shared},
        **columns,
    )


def by_budget(points: RatedVersions) -> dict[float, RatedVersions]:
    """Groups versions by their search budget, in simulations."""
    spent = points.require("simulations")
    return {float(budget): points.select(spent == budget) for budget in np.unique(spent)}


def most_rated_budget(points: RatedVersions) -> float:
    """Returns the search budget at which most versions were rated; the largest of several."""
    values, counts = np.unique(points.require("simulations"), return_counts=True)
    return float(values[counts == counts.max()].max())
