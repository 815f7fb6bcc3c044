"""Error rates over minutes, ours against the other side's: table, ratios, plot, JSON.

The ratio at a moment is ours / the other's, taken seed by seed; its mean is geometric, and the
95 % interval is Student's t over the seeds' log ratios; a single seed has no interval.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks.grades import BUDGETS, Row

Curve = Mapping[float, Mapping[int, Row]]  # minutes → simulations → grade
Curves = Mapping[tuple[str, int], Curve]  # (side, seed) → curve


class Other(NamedTuple):
    """A side that ours is compared with: its name in print, color, and the ratios to stay below."""

    name: str
    color: str
    targets: Mapping[float, Mapping[int, float]]  # minutes → simulations → ours / the other's


OTHERS = {
    "baseline": Other("baseline", "#555555", {10.0: {64: 0.62, 0: 0.67}, 30.0: {64: 0.6, 0: 0.67}}),
    "peer": Other("pgx's example", "#d55e00", {10.0: {64: 0.55, 0: 0.6}, 30.0: {64: 0.4, 0: 0.45}}),
}
NAMES = {64: "64 simulations", 0: "raw network"}


class Ratio(NamedTuple):
    """The ratio of ours to the other's; the interval is None for a single seed."""

    mean: float
    interval: tuple[float, float] | None
    seeds: tuple[int, ...]

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.mean:.0%} [1 seed]"
        return f"{self.mean:.0%} [{self.interval[0]:.0%}, {self.interval[1]:.0%}]"


def rows_at(curves: Curves, side: str, minutes: float, sims: int) -> dict[int, Row]:
    """Selects a side's grades at a moment: ``{seed: grade}``."""
    rows = {
        seed: curve.get(minutes, {}).get(sims) for (s, seed), curve in curves.items() if s == side
    }
    return {seed: row for seed, row in sorted(rows.items()) if row is not None}


def ratio(curves: Curves, minutes: float, sims: int) -> Ratio | None:
    """Computes the ratio over the seeds that both sides have; None without such seeds."""
    ours, theirs = (rows_at(curves, side, minutes, sims) for side in ("ours", other_side(curves)))
    seeds = tuple(seed for seed in ours if seed in theirs)
    if not seeds:
        return None
    logs = [ours[seed].log_errors - theirs[seed].log_errors for seed in seeds]
    mean = fmean(logs)
    if len(logs) < 2:
        return Ratio(math.exp(mean), None, seeds)
    from scipy.stats import t  # slow to import

    half = float(t.ppf(0.975, len(logs) - 1)) * stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), (math.exp(mean - half), math.exp(mean + half)), seeds)


def other_side(curves: Curves) -> str:
    """Returns the side that ours is compared with; "" if nothing of it is graded."""
    return next((side for side, _ in curves if side != "ours"), "")


def moments_of(curves: Curves) -> list[float]:
    """Lists the moments with a grade."""
    return sorted({minutes for curve in curves.values() for minutes in curve})


def table(curves: Curves, sims: int) -> Table:
    """Makes a table of errors, seed by seed, and ratios at every moment for one budget."""
    grid = Table(
        title=f"{NAMES[sims]}: moves that lose the result, % of questions, seed by seed",
        caption="ratio: ours / the other's, geometric mean and 95 % interval over seeds",
    )
    other = other_side(curves)
    for name in ("minutes", "ours", OTHERS[other].name if other else "the other", "ratio"):
        grid.add_column(name, justify="right", no_wrap=True)
    for minutes in moments_of(curves):
        cells = []
        for side in ("ours", other):
            rows = rows_at(curves, side, minutes, sims).values()
            cells.append("  ".join(f"{100 * row.errors:5.2f}" for row in rows) or "-")
        grid.add_row(f"{minutes:g}", *cells, str(ratio(curves, minutes, sims) or "-"))
    return grid


def verdicts(curves: Curves) -> Table:
    """Makes a table of the ratios at the moments with a target."""
    grid = Table(title="Targets", caption="held: the whole interval lies below the target")
    for name in ("minutes", "budget", "ratio", "target", ""):
        grid.add_column(name, justify="right")
    other = other_side(curves)
    for minutes, targets in OTHERS[other].targets.items() if other else ():
        for sims, target in targets.items():
            result = ratio(curves, minutes, sims)
            if result is None:
                verdict = "not measured"
            elif result.mean > target:
                verdict = "[red]fail"
            elif result.interval is None or result.interval[1] > target:
                verdict = "[green]pass"
            else:
                verdict = "[green]pass, held"
            grid.add_row(
                f"{minutes:g}", NAMES[sims], str(result or "-"), f"≤ {target:.0%}", verdict
            )
    return grid


def summary(curves: Curves, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Collects all measurements as JSON values."""
    ratios, other = [], other_side(curves)
    for minutes in moments_of(curves):
        for sims in BUDGETS:
            result = ratio(curves, minutes, sims)
            if result is not None:
                target = OTHERS[other].targets.get(minutes, {}).get(sims)
                at = {"minutes": minutes, "sims": sims, "target": target}
                ratios.append({**at, **result._asdict()})
    trainings = [
        {
            "side": side,
            "seed": seed,
            "grades": [
                {"minutes": minutes, **vars(row)}
                for minutes, rows in curve.items()
                for row in rows.values()
            ],
        }
        for (side, seed), curve in curves.items()
    ]
    return {"settings": settings, "ratios": ratios, "trainings": trainings}


def plot(curves: Curves, file: Path, chance: float) -> None:
    """Plots errors over minutes on logarithmic axes: thin lines are seeds, thick lines their mean.

    A seed's points are at the time when the network was saved, the mean's at the nominal moment.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(8, 5), constrained_layout=True)
    looks = {"ours": ("#0072b2", "ours")}
    if other := other_side(curves):
        looks[other] = (OTHERS[other].color, OTHERS[other].name)
    styles = {64: "-", 0: "--"}
    for side, (color, name) in looks.items():
        for sims in BUDGETS:
            seeds = [seed for s, seed in curves if s == side]
            lines = [_line(curves[side, seed], sims) for seed in seeds]
            look: dict[str, Any] = {"color": color, "linestyle": styles[sims]}
            for xs, ys in lines:
                single: dict[str, Any] = {
                    "linewidth": 1.0,
                    "alpha": 0.45,
                    "marker": ".",
                    "markersize": 4,
                }
                axes.plot(xs, ys, **look, **single)
            middle = [
                (minutes, 100 * math.exp(fmean(row.log_errors for row in rows.values())))
                for minutes in moments_of(curves)
                if len(rows := rows_at(curves, side, minutes, sims)) == len(seeds) > 0
            ]
            if middle:
                label = f"{name}, {NAMES[sims]}"
                axes.plot(*zip(*middle, strict=True), **look, linewidth=2.2, label=label)
    axes.axhline(100 * chance, color="grey", linewidth=1, linestyle=":", label="random moves")
    axes.set(xscale="log", yscale="log", xlabel="minutes of training, compilation left out")
    axes.set_ylabel("moves that lose the result, % of questions")
    moments = moments_of(curves)
    if moments:
        axes.set_xticks(moments, [f"{minutes:g}" for minutes in moments])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def _line(curve: Curve, sims: int) -> tuple[Sequence[float], Sequence[float]]:
    """Returns a seed's points: minutes trained when it was saved, and errors in %."""
    rows = [curve[minutes][sims] for minutes in sorted(curve) if sims in curve[minutes]]
    rows = [row for row in rows if row.seconds > 0]
    return [row.seconds / 60 for row in rows], [100 * math.exp(row.log_errors) for row in rows]
