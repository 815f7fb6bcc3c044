"""The statistics of scaling against planted truth: how often their 95 % intervals hold it.

    python -m benchmarks.scaling_coverage                       # minutes on one core
    python -m benchmarks.scaling_coverage --replicates 2000     # a quick look: chance is ± 0.5 %

Draws studies with known truth (tests/simulation: `studies.py` holds them, `planted.py` draws their
ratings) for 3, 4, 5 and 8 seeds of each recipe. The first table covers every estimate in
`selfplay/scaling`. The second says how often the tests for a take-off, for saturation and for lack
of fit reject, for every shape of the curve, without and with effects of pairings. The third
compares three intervals for the slope: Student's t over runs, as in the package, and bootstraps
over whole runs, of the ratings alone and with new ratings' errors.
"""

import argparse

from rich.console import Console
from rich.table import Table

from tests.simulation.planted import coverage
from tests.simulation.scaling_coverage import (
    LUCK,
    PAIR_EFFECTS,
    SHAPES,
    STUDIES,
    against_bootstrap,
    rejections,
)

SEEDS = (3, 4, 5, 8)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=20_000, help="of each study [20000]")
    replicates = parser.parse_args().replicates
    console = Console(soft_wrap=True, highlight=False)
    table = Table("coverage, %", *(f"{seeds} seeds" for seeds in SEEDS))
    for study in STUDIES:
        columns = [
            {name: coverage(*pair) for name, pair in study(seeds, replicates).items()}
            for seeds in SEEDS
        ]
        for names in zip(*columns, strict=True):
            shares = (column[name] for column, name in zip(columns, names, strict=True))
            table.add_row(names[-1], *(f"{100 * share:.1f}" for share in shares))
    console.print(table)
    table = Table(
        "curve", "pair effects", "seeds", "take-off, %", "saturation, %", "lack of fit, %"
    )
    for shape in SHAPES:
        for effect, ladder in (("none", {}), ("80 Elo", PAIR_EFFECTS)):
            for seeds in SEEDS[:3:2]:
                shares = rejections(shape, seeds, replicates, **ladder)
                table.add_row(shape, effect, f"{seeds}", *(f"{100 * s:.1f}" for s in shares))
    console.print(table)
    table = Table("the slope", "seeds", "Student's t", "bootstrap", "with the ratings' errors")
    for name, (luck, openings) in LUCK.items():
        for seeds in SEEDS:
            shares = against_bootstrap(seeds, luck, openings, replicates // 4)
            table.add_row(name, f"{seeds}", *(f"{100 * share:.1f}" for share in shares))
    console.print(table)


if __name__ == "__main__":
    main()
