"""What each change of a screening study is worth: many changes at once, each in half of the runs.

    python -m benchmarks.screening studies/screening

Every run's name lists its changes, as in ``quiet+fresh_seed-0``. A linear model without
interactions is fitted to the last grades of the exam, raw and with search, and to the Elo of the
last versions, if the study has a ladder. An effect is what a change adds, with its standard error
from the residuals. Prints Markdown.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfplay.ladder import database
from selfplay.players.specs import split_stored
from selfplay.runs import metrics
from selfplay.runs.metrics_row import SelfPlayRow
from selfplay.runs.run import read_config
from selfplay.scaling import from_ladder
from selfplay.study.folder import Study

Floats = NDArray[np.float64]


class Effects(NamedTuple):
    """Effects of changes, with their standard errors and the degrees of freedom of these."""

    effect: Floats  # [changes]
    stderr: Floats  # [changes]
    freedom: int


def changes_of(name: str) -> frozenset[str]:
    """Returns the changes in the name of a run."""
    return frozenset(name.rpartition("_seed-")[0].split("+")) - {"none"}


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
    return {budget: 100 * scores["kept"] for budget, scores in graded[-1].items()}


def ratings(ladder: Path) -> dict[tuple[str, str], float]:
    """Returns the Elo of each run's newest rated version, by the run's folder and budget."""
    state = from_ladder.read_state(ladder / database.FILE)
    newest = dict[tuple[str, str], tuple[int, float]]()
    for entry, elo in zip(state.entries, state.ratings.elo, strict=True):
        run, options = split_stored(entry.spec)
        folder, at, number = run.rpartition("@")
        if at and number.isdecimal():
            key = Path(folder).name, options
            newest[key] = max(newest.get(key, (-1, 0.0)), (int(number), float(elo)))
    return {key: elo for key, (_, elo) in newest.items()}


def table(names: Sequence[str], responses: dict[str, Floats]) -> str:
    """Writes the effects on all responses as Markdown."""
    runs = [changes_of(name) for name in names]
    changes = sorted(frozenset[str]().union(*runs))
    fits = {title: fit(runs, changes, response) for title, response in responses.items()}
    lines = [f"| change | {' | '.join(fits)} |", "|---" * (1 + len(fits)) + "|"]
    for k, change in enumerate(changes):
        cells = [f"{each.effect[k]:+.1f} ± {each.stderr[k]:.1f}" for each in fits.values()]
        lines.append(f"| {change} | {' | '.join(cells)} |")
    freedom = min(each.freedom for each in fits.values())
    lines.append(f"\n{len(names)} runs; ± is one standard error, {freedom} degrees of freedom.")
    return "\n".join(lines)


def main() -> None:
    """Prints what the changes of a study are worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, help="folder of the study")
    study = Study.read(parser.parse_args().study)
    graded = {spec.name: grades(study.run_folder(spec)) for spec in study.runs}
    names = [name for name, scores in graded.items() if scores]
    if not names:
        raise SystemExit(f"{study.folder} has no complete run with an exam")
    budgets = sorted(set.intersection(*(set(graded[name]) for name in names)))
    responses = {
        f"exam, {budget.removeprefix('sims')} simulations": np.array(
            [graded[name][budget] for name in names]
        )
        for budget in budgets
    }
    for ladder in sorted((study.folder / "ladder").glob("*/")):
        rated = ratings(ladder)
        for options in sorted({options for _, options in rated}):
            if all((name, options) in rated for name in names):
                elo = np.array([rated[name, options] for name in names])
                responses[f"Elo, {options.removeprefix('sims=')} simulations"] = elo
    print(table(names, responses))


if __name__ == "__main__":
    main()
