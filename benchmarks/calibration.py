"""Ratings against the truth: how often the 95 % intervals cover it, and what pairing saves.

    python -m benchmarks.calibration --jobs 2              # many hours; may be interrupted
    python -m benchmarks.calibration --ladders 40 --published 4 --races 2     # a quick look

Simulates 2 000 ladders with fixed seeds (tests/simulation/ladders.py says how they are drawn) for
each spread σ of independent pair effects and each way to pair, and 200 ladders with the data of a
published one for each pattern of deviations. *Coverage* is the fraction of players, ladder by
ladder, whose interval relative to the anchor holds their true rating; *differences* is the same for
any two players, and *ends* for the strongest and the weakest one. ± is one standard error over
ladders, because the intervals of one ladder share their errors. *Plain* is the coverage of
ratings without pair effects, from the same games; *wider* is the mean standard error divided by
theirs.

Results are kept in a folder, a file for each cell with a line for each ladder; a run that was
interrupted continues there. The folder must be empty after a change of the ratings.

Then 30 players play until each is known to ±40 Elo: the games of adaptive pairing over those of a
round-robin that stops as soon as it gets there. Last, ratings are compared with evalica's where the
two models are the same: no advantage of the first move, openings that do not matter, with and
without draws.
"""

import argparse
import gzip
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from selfplay.ratings.goodness_of_fit import P_REJECT
from tests.simulation.calibration import (
    CELLS,
    LADDERS,
    SAVED,
    TARGET,
    Cell,
    PValues,
    SimulatedLadder,
    against_evalica,
    share,
    simulate,
    until,
)
from tests.simulation.ladders import ANCHORS, OPENINGS
from tests.simulation.planted import BAND

CHUNK = 10  # ladders that a process simulates at a time; half of it for those of published size
PUBLISHED_LADDERS = 200
LEVEL = 0.05
STRUCTURED_COVERAGE = 0.9  # the least, where pairings do not deviate independently

Ladders = dict[str, list[SimulatedLadder]]  # by the names of cells


class Chunk(NamedTuple):
    """Ladders of one cell."""

    cell: str
    numbers: tuple[int, ...]


def path(folder: Path, cell: str) -> Path:
    """Returns the path of a cell's results."""
    return folder / f"{cell.replace(' ', '-')}.jsonl.gz"


def read(folder: Path, cell: str) -> dict[int, SimulatedLadder]:
    """Reads the ladders of a cell by their numbers; none if there is no file."""
    file = path(folder, cell)
    if not file.exists():
        return {}
    lines = map(json.loads, gzip.decompress(file.read_bytes()).splitlines())
    return {values.pop("number"): SimulatedLadder.from_json(values) for values in lines}


def write(folder: Path, cell: str, ladders: dict[int, SimulatedLadder]) -> None:
    """Writes the ladders of a cell, in the order of their numbers."""
    lines = [
        json.dumps({"number": number, **rounded(ladders[number].to_json())}) + "\n"
        for number in sorted(ladders)
    ]
    file = path(folder, cell)
    partial = file.with_suffix(".partial")
    partial.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    partial.rename(file)


def rounded(value: Any) -> Any:
    """Rounds all floats in JSON values to five significant digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def chunks(missing: dict[str, list[int]]) -> list[Chunk]:
    """Divides ladders, by cell, into chunks, in an order in which all cells grow at one rate."""
    result = []
    for cell, numbers in missing.items():
        size = CHUNK // 2 if CELLS[cell].published else CHUNK
        for start in range(0, len(numbers), size):
            result.append(Chunk(cell, tuple(numbers[start : start + size])))
    return sorted(result, key=lambda chunk: chunk.numbers)


def simulate_all(chunk: Chunk) -> list[SimulatedLadder]:
    """Simulates the ladders of a chunk."""
    return [simulate(CELLS[chunk.cell], number) for number in chunk.numbers]


def run(todo: list[Chunk], folder: Path, jobs: int) -> Iterator[Chunk]:
    """Simulates chunks in processes with one thread each, and stores each as soon as it is done."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    done = {chunk.cell: read(folder, chunk.cell) for chunk in todo}
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(simulate_all, chunk): chunk for chunk in todo}
        for future in as_completed(futures):
            cell, numbers = futures[future]
            done[cell] |= dict(zip(numbers, future.result(), strict=True))
            write(folder, cell, done[cell])
            yield futures[future]


def percent(values: list[float]) -> str:
    """Formats the mean of fractions and its standard error."""
    middle, error = share(values)
    return f"{100 * middle:.1f} ± {100 * error:.1f}"


def grid(title: str, columns: str) -> Table:
    """Makes an empty table with columns separated by |."""
    table = Table(title=title)
    for number, name in enumerate(columns.split("|")):
        table.add_column(name, justify="right" if number else "left")
    return table


def verdict(cell: Cell, coverage: float) -> str:
    """Says whether a cell covers the truth as often as it must."""
    if cell.pattern == "independent":
        return "[green]pass" if BAND[0] <= coverage <= BAND[1] else "[red]fail"
    return "[green]pass" if coverage >= STRUCTURED_COVERAGE else "[red]fail"


def coverage_table(ladders: Ladders) -> Table:
    """Makes a table of coverage, a row for each cell."""
    columns = "σ|pairing|ladders|games|stderr|coverage|differences|ends||plain|differences|ends"
    table = grid("95 % intervals, %", f"{columns}|wider|estimated σ|its interval|CPU s")
    pattern = None
    for name, some in ladders.items():
        cell = CELLS[name]
        if pattern not in (None, (cell.pattern, cell.spread)):
            table.add_section()
        pattern = cell.pattern, cell.spread
        ours, plain = (
            [percent([getattr(model, part) for model in models]) for part in models[0]._fields]
            for models in ([x.covered for x in some], [x.plain for x in some])
        )
        table.add_row(
            f"{cell.spread:.0f}" if cell.pattern == "independent" else cell.pattern,
            cell.pairing,
            f"{len(some):,}",
            f"{median(x.games for x in some):,.0f}",
            f"{median(x.stderr for x in some):.0f}",
            *ours,
            verdict(cell, share(x.covered.anchor for x in some)[0]),
            *plain,
            "{:.3f} ± {:.3f}".format(*share(x.wider for x in some)),
            f"{mean(x.spread for x in some):.0f}",
            percent([x.spread_covered for x in some]) if cell.pattern == "independent" else "",
            f"{mean(x.seconds for x in some):.2f}",
        )
    return table


def group_table(ladders: Ladders) -> Table:
    """Makes a table of coverage by openings, anchor and draws, over all independent effects."""
    cells = [
        each
        for name, some in ladders.items()
        if CELLS[name].pattern == "independent" and not CELLS[name].published
        for each in some
    ]
    groups = {f"openings {n}": [x for x in cells if x.openings == n] for n in OPENINGS}
    groups |= {f"anchor {n}": [x for x in cells if x.anchored_at == n] for n in ANCHORS}
    groups |= {"no draws": [x for x in cells if not x.draws]}
    groups |= {"draws": [x for x in cells if x.draws], "all": cells}
    table = grid("By ladder, independent effects, %", "|ladders|coverage|differences|ends")
    for name, group in groups.items():
        if group:
            parts = [percent(list(part)) for part in zip(*(x.covered for x in group), strict=True)]
            table.add_row(name, f"{len(group):,}", *parts)
    return table


def fit_table(ladders: Ladders) -> Table:
    """Makes a table of how often the tests of fit reject."""
    names = "|".join(PValues._fields)
    title = f"Ladders with p < {LEVEL} (and < {P_REJECT}), %"
    table = grid(title, f"cell|ladders|{names}")
    for name, some in ladders.items():
        tested = [x.p_values for x in some if x.p_values]
        if not tested:
            continue
        row = []
        for values in zip(*tested, strict=True):
            strict = share(p < P_REJECT for p in values)[0]
            row.append(f"{percent([p < LEVEL for p in values])} ({100 * strict:.1f})")
        table.add_row(name, f"{len(tested):,}", *row)
    return table


def race_table(races: list[tuple[int, int]]) -> Table:
    """Makes a table of the games of adaptive pairing and of the round-robin, field by field."""
    table = grid(
        f"Games until 30 players are known to ±{TARGET:.0f} Elo", "|adaptive|round-robin|saved|"
    )
    for i, (adaptive, robin) in enumerate(races):
        table.add_row(f"field {i}", f"{adaptive:,}", f"{robin:,}", f"{1 - adaptive / robin:.0%}")
    saved = median(1 - adaptive / robin for adaptive, robin in races)
    passed = "[green]pass" if saved >= SAVED else "[red]fail"
    table.add_row("median", "", "", f"{saved:.0%}", f"≥ {SAVED:.0%} {passed}")
    return table


def parse() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ladders", type=int, default=LADDERS, help=f"of a cell [{LADDERS}]")
    parser.add_argument(
        "--published",
        type=int,
        default=PUBLISHED_LADDERS,
        help=f"of a cell with the data of a published ladder [{PUBLISHED_LADDERS}]",
    )
    parser.add_argument("--races", type=int, default=10, help="against round-robin [10]")
    parser.add_argument("--jobs", type=int, default=1, help="processes [1]")
    parser.add_argument("--out", type=Path, default=Path("studies/calibration"), help="the folder")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=[*CELLS], metavar="CELL")
    options = parser.parse_args()
    if options.jobs < 1 or min(options.ladders, options.published, options.races) < 0:
        parser.error("--jobs must be at least 1; --ladders, --published and --races at least 0")
    return options


def main() -> None:
    """Simulates the ladders and prints the tables."""
    options = parse()
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:  # a log file has no width: choose one
        console = Console(width=200, highlight=False)
    options.out.mkdir(parents=True, exist_ok=True)
    cells = [CELLS[name] for name in options.cells]
    planned = {c.name: options.published if c.published else options.ladders for c in cells}
    done = {name: read(options.out, name) for name in planned}
    todo = chunks(
        {name: [i for i in range(count) if i not in done[name]] for name, count in planned.items()}
    )
    filled = run(todo, options.out, options.jobs)
    for _ in track(filled, "chunks", len(todo), console=console, transient=True):
        pass
    ladders = {
        name: [each for i, each in sorted(read(options.out, name).items()) if i < count]
        for name, count in planned.items()
        if count
    }
    for table in (coverage_table(ladders), group_table(ladders), fit_table(ladders)):
        console.print(table)
    spent = sum(each.seconds for some in ladders.values() for each in some)
    console.print(f"{spent / 3600:.1f} CPU hours")
    if options.races:
        numbers = track(range(options.races), "races", console=console, transient=True)
        console.print(race_table([until(i) for i in numbers]))
        for draws in (0.0, 0.7):
            distance = max(against_evalica(seed, draws) for seed in range(5))
            console.print(
                f"evalica, {'with' if draws else 'no'} draws: at most {distance:.4f} Elo apart"
            )


if __name__ == "__main__":
    main()
