"""What each change of a screening study is worth: many changes at once, each in half of the runs.

    python launch/ablate.py screening_hex
    python -m benchmarks.screening studies/screening_hex
    python -m benchmarks.screening docs/results/screening_hex --plot savings.png

Every recipe's name lists its changes, as in ``quiet+fresh``. A linear model without interactions is
fitted to the exam's last grades, if the runs took it: an effect is what a change adds, with its
standard error from the residuals. Prints Markdown.

From the study's ladder a second table has what each change saves: training FLOPs and seconds
without it, over those with it, for equal Elo at the end of the runs. Elo is turned into compute by
one slope, Elo per OOM within runs over their last two rated versions. Intervals are 95 %, from the
residuals of whole runs; they leave out the error of the slope, which scales all logarithms alike.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from selfplay.report import report_data
from selfplay.report.study_report import ReportInputs, labeled, read_inputs
from selfplay.runs import metrics
from selfplay.runs.metrics_row import SelfPlayRow
from selfplay.runs.run import read_config
from selfplay.scaling import from_ladder
from selfplay.scaling.rated_versions import RatedVersions, by_budget

Floats = NDArray[np.float64]
COLORS = ("#0072b2", "#d55e00", "#009e73")


class Effects(NamedTuple):
    """Effects of changes, with their standard errors and the degrees of freedom of these."""

    effect: Floats  # [changes]
    stderr: Floats  # [changes]
    freedom: int


def changes_of(label: str) -> frozenset[str]:
    """Returns the changes in the name of a recipe."""
    return frozenset(label.split("+")) - {"none"}


def fit(runs: Sequence[frozenset[str]], changes: Sequence[str], response: Floats) -> Effects:
    """Fits the effects of changes, bool [runs, changes], to a response, float [runs].

    Raises:
        ValueError: there are too few runs for the changes and an error.
    """
    with_change = np.array([[change in run for change in changes] for run in runs], float)
    design = np.column_stack([np.ones(len(runs)), with_change - 0.5])
    freedom = len(runs) - np.linalg.matrix_rank(design)
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(f"{len(runs)} runs do not tell {len(changes)} changes apart")
    effects: Floats = np.linalg.lstsq(design, response, rcond=None)[0].astype(np.float64)
    residual = response - design @ effects
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / freedom
    return Effects(effects[1:], np.sqrt(np.diag(covariance))[1:], int(freedom))


def grades(folder: Path) -> dict[str, float]:
    """Returns a complete run's last grades in per cent, by search budget: "sims0"; else {}."""
    rows = metrics.read_rows(folder) if (folder / metrics.FILE).exists() else []
    if not rows or rows[-1].iteration < read_config(folder)["iterations"]:
        return {}
    graded = [row.exam for row in rows if isinstance(row, SelfPlayRow) and row.exam]
    last = graded[-1] if graded else {}
    return {budget: 100 * scores["kept"] for budget, scores in last.items()}


class Savings(NamedTuple):
    """What changes save, for one search budget: factors, and the slope that they rest on."""

    changes: tuple[str, ...]
    factor: Floats  # [changes]
    interval: Floats  # [changes, 2], 95 %
    slope: float  # Elo per OOM


def savings(versions: RatedVersions, compute: Floats) -> Savings:
    """Computes what changes save, from rated versions with one search budget.

    Args:
        versions: at least two of each run; each run has a recipe of its own, whose name lists its
            changes.
        compute: log10 of what each version cost.

    Raises:
        ValueError: a run has one version, Elo does not grow, or there are too few runs.
    """
    names = sorted(set(versions.recipe))
    last, rise, spread = list[tuple[float, float]](), 0.0, 0.0
    for name in names:
        at = np.flatnonzero(versions.recipe == name)
        at = at[np.argsort(compute[at])][-2:]
        if len(at) < 2:
            raise ValueError(f"{name} has one rated version, and a slope needs two")
        more_compute, more_elo = np.diff(compute[at])[0], np.diff(versions.elo[at])[0]
        rise, spread = rise + more_compute * more_elo, spread + more_compute**2
        last.append((float(compute[at[-1]]), float(versions.elo[at[-1]])))
    if rise <= 0:
        raise ValueError("Elo does not grow with training, so that it buys no compute")
    slope = rise / spread
    runs = [changes_of(name) for name in names]
    changes = tuple(sorted(frozenset[str]().union(*runs)))
    spent, elo = np.array(last).T
    fitted = fit(runs, changes, elo / slope - spent)
    half = student_t.ppf(0.975, fitted.freedom) * fitted.stderr
    interval = np.stack([fitted.effect - half, fitted.effect + half], axis=1)
    return Savings(changes, 10**fitted.effect, 10**interval, slope)


def all_savings(inputs: ReportInputs) -> Iterator[tuple[str, Savings]]:
    """Yields the savings in FLOPs and in seconds for each search budget, ladder by ladder."""
    for ladder in inputs.ladders.values():
        state = from_ladder.read_state(ladder)
        versions = from_ladder.read_versions(state, inputs.root, read_run=inputs.read_run)
        for budget, chosen in by_budget(labeled(versions, inputs)).items():
            seconds = chosen.require("seconds")
            yield f"FLOPs, {budget:g} simulations", savings(chosen, chosen.training)
            yield f"seconds, {budget:g} simulations", savings(chosen, seconds)


def savings_table(columns: Sequence[tuple[str, Savings]]) -> str:
    """Writes factors with their intervals as Markdown, with the slopes behind them."""
    lines = [
        f"| change | {' | '.join(title for title, _ in columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for k, change in enumerate(columns[0][1].changes):
        cells = [
            f"{each.factor[k]:.2f} ({each.interval[k, 0]:.2f} to {each.interval[k, 1]:.2f})"
            for _, each in columns
        ]
        lines.append(f"| {change} | {' | '.join(cells)} |")
    slopes = ", ".join(f"{each.slope:.0f} ({title})" for title, each in columns)
    lines.append(f"\nElo per OOM at the end of the runs: {slopes}.")
    return "\n".join(lines)


def plot(columns: Sequence[tuple[str, Savings]], file: Path) -> None:
    """Draws what each change saves, with intervals; the most useful one is at the top."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    mean = np.exp(np.mean([np.log(each.factor) for _, each in columns], axis=0))
    order = np.argsort(mean)
    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.32 * len(order)), constrained_layout=True)
    for k, (title, each) in enumerate(columns):
        shift = 0.3 * (k - (len(columns) - 1) / 2) / max(1, len(columns) - 1)
        middle, (low, high) = each.factor[order], each.interval[order].T
        axes.errorbar(
            middle,
            np.arange(len(order)) - shift,
            xerr=(middle - low, high - middle),
            fmt="o",
            markersize=5,
            color=COLORS[k % len(COLORS)],
            label=title,
        )
    names = columns[0][1].changes
    axes.set_yticks(range(len(order)), [names[k].replace("-", " ") for k in order])
    axes.axvline(1, color="grey", linewidth=1)
    axes.set(xscale="log", xlabel="training saved: FLOPs without the change over those with it")
    axes.xaxis.set_major_locator(ticker.FixedLocator([0.5, 0.7, 1, 1.4, 2]))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def exam_table(graded: Mapping[str, Mapping[str, float]]) -> str:
    """Writes the effects on the exam's last grades, of each run and budget, as Markdown."""
    runs = [changes_of(label) for label in graded]
    changes = sorted(frozenset[str]().union(*runs))
    fits = {
        budget: fit(runs, changes, np.array([scores[budget] for scores in graded.values()]))
        for budget in sorted(frozenset.intersection(*(frozenset(s) for s in graded.values())))
    }
    titles = [f"exam, {budget.removeprefix('sims')} simulations" for budget in fits]
    lines = [f"| change | {' | '.join(titles)} |", "|---" * (1 + len(fits)) + "|"]
    for k, change in enumerate(changes):
        cells = [f"{each.effect[k]:+.1f} ± {each.stderr[k]:.1f}" for each in fits.values()]
        lines.append(f"| {change} | {' | '.join(cells)} |")
    freedom = min(each.freedom for each in fits.values())
    lines.append(f"\n{len(runs)} runs; ± is one standard error, {freedom} degrees of freedom.")
    return "\n".join(lines)


def main() -> None:
    """Prints what the changes of a study are worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, help="folder of the study or of its report")
    parser.add_argument("--plot", type=Path, help="a picture of what changes save in FLOPs")
    options = parser.parse_args()
    folder: Path = options.study
    if data := report_data.find([folder]):
        inputs = report_data.read(data)
    else:
        inputs = read_inputs([folder])
        graded = {run.label: grades(run.folder) for run in inputs.runs.values()}
        graded = {label: scores for label, scores in graded.items() if scores}
        if graded:
            print(exam_table(graded))
    if inputs.ladders:
        columns = list(all_savings(inputs))
        print("", savings_table(columns), sep="\n")
        if options.plot:
            plot([column for column in columns if column[0].startswith("FLOPs")], options.plot)


if __name__ == "__main__":
    main()
