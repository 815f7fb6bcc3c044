"""Published data of a report: a small folder from which the report can be written again.

report.json     title, commands, recipes: what the report says beside its numbers
study.json      of a study: its grid, with the flags of every run
runs.json.gz    of every run: config, size, starts, and what its rated versions cost
LADDER/         for each ladder the table of its games; see `ladder.game_table`

Nothing here needs a run's folder, a ladder's database, a solver or a game's code. Equal studies
give equal bytes, and what was read is written again as it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from selfplay.ladder import database, game_table
from selfplay.ladder.game_table import FOLDER, MAX_BYTES, GameTable, check_size, is_printable
from selfplay.model.flops import Ledger
from selfplay.players.specs import split_stored
from selfplay.report.rated_runs import RatedRuns
from selfplay.report.study_report import ReportedRun, ReportInputs
from selfplay.runs.codec import Json, JsonObject
from selfplay.runs.files import (
    CorruptedFile,
    read_gzip,
    read_json,
    reject_links,
    write_bytes,
    write_gzip,
    write_json,
)
from selfplay.runs.renamed import with_today_names
from selfplay.runs.run import CONFIG
from selfplay.scaling.from_ladder import run_of
from selfplay.scaling.run_record import Cost, RunRecord, Size
from selfplay.study import provenance
from selfplay.study.folder import STUDY, folder_name
from selfplay.study.provenance import Session

FORMAT_VERSION = 1
REPORT, RUNS = "report.json", "runs.json.gz"
LARGEST = 1e100  # FLOPs, seconds or parameters
NOT_PUBLISHED = ("cluster", "store")  # sections of a config that change no result

T = TypeVar("T")


@dataclass(frozen=True)
class _Run:
    """A run as runs.json.gz has it."""

    record: RunRecord
    sessions: Sequence[Session]


def find(paths: Sequence[Path]) -> Path | None:
    """Returns the data that a user names: the folder, or the report's with the data in it."""
    if len(paths) != 1:
        return None
    (path,) = paths
    if (path / REPORT).is_file():
        return path
    is_source = any((path / name).exists() for name in (STUDY, database.FILE, CONFIG))
    return path / FOLDER if (path / FOLDER / REPORT).is_file() and not is_source else None


def write(inputs: ReportInputs, folder: Path) -> None:
    """Writes the data of a report.

    Args:
        inputs: what is reported on; every ladder is readable, as after `build_page`.
        folder: of the data; it is created if needed, and other files in it stay.
    """
    tables = {game: game_table.read(path) for game, path in inputs.ladders.items()}
    for game, table in tables.items():
        game_table.write(table, folder / folder_name(game))
    if (inputs.root / STUDY).is_file():
        write_bytes(folder / STUDY, (inputs.root / STUDY).read_bytes())
    names = _names(inputs, tables)
    document = {
        "format_version": FORMAT_VERSION,
        "title": inputs.title,
        "commands": list(inputs.commands),
        "missing": list(inputs.missing),
        "ladders": list(inputs.ladders),
        "runs": {key: {"run": names[key], "recipe": run.label} for key, run in inputs.runs.items()},
        "baselines": dict(inputs.baselines),
        "varied": list(inputs.varied),
        "arms": dict(inputs.arms),
        "compared": dict(inputs.rated.labels) if inputs.rated else None,
    }
    write_json(folder / REPORT, document)
    runs = json.dumps(_runs(inputs, tables, names), indent=0, allow_nan=False)
    write_gzip(folder / RUNS, runs.encode())


def _names(inputs: ReportInputs, tables: Mapping[str, GameTable]) -> dict[str, str]:
    """Maps the runs of a report to their names on the ladder, or to paths of the same kind."""
    rated = {(inputs.root / run).absolute(): run for run in _rated(inputs, tables)}
    root = inputs.root.absolute()
    return {
        key: rated.get(run.folder.absolute()) or os.path.relpath(run.folder.absolute(), root)
        for key, run in inputs.runs.items()
    }


def _rated(inputs: ReportInputs, tables: Mapping[str, GameTable]) -> dict[str, set[int]]:
    """Maps the runs that the report reads from its ladders to their rated versions."""
    rated: dict[str, set[int]] = {}
    for table in tables.values():
        played = {i for pair in table.pairs for i in pair[:2]}
        for entry in (table.entries[i] for i in sorted(played)):
            if (run := run_of(entry)) and (inputs.rated is None or run in inputs.rated.labels):
                number = int(split_stored(entry.spec)[0].rpartition("@")[2])
                rated.setdefault(run, set()).add(number)
    return rated


def _runs(
    inputs: ReportInputs, tables: Mapping[str, GameTable], names: Mapping[str, str]
) -> JsonObject:
    """Describes every run of the report and of its ladders, by its name on the ladder."""
    rated = _rated(inputs, tables)
    reported = {names[key]: run for key, run in inputs.runs.items()}
    documents: JsonObject = {}
    for name in sorted({*rated, *reported}):
        run = reported.get(name)
        record = inputs.record(name) if name in rated or run is None else run.record
        versions = sorted(record.costs.keys() & {*rated.get(name, ()), record.last})
        documents[name] = {
            "config": {k: v for k, v in record.config.items() if k not in NOT_PUBLISHED},
            "size": asdict(record.size) if record.size else None,
            "versions": {
                str(version): asdict(record.costs[version].ledger)
                | {"seconds": record.costs[version].seconds}
                for version in versions
            },
            "sessions": [provenance.published(session) for session in run.sessions] if run else [],
        }
    return documents


def read(folder: Path) -> ReportInputs:
    """Reads the data of a report, which may come from an untrusted source.

    No import path in it is followed, and no file outside the folder is read.

    Raises:
        ValueError: the folder contains links, or data of another format.
        CorruptedFile: a file is missing, damaged or too large.
    """
    reject_links(folder)
    path = folder / REPORT
    document = read_json(check_size(path))
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"{path} has format {version}, this program reads {FORMAT_VERSION}")
    runs = _read_runs(folder / RUNS)

    def read_run(name: str) -> RunRecord:
        if name not in runs or runs[name].record.size is None:
            raise CorruptedFile(folder / RUNS, f"it does not describe the rated run {name!r}")
        return runs[name].record

    def texts(name: str) -> list[str]:
        return [_text(path, name, value) for value in _get(path, document, name, list)]

    def mapping(name: str) -> dict[str, str]:
        return {k: _text(path, name, v) for k, v in _get(path, document, name, dict).items()}

    reported: dict[str, ReportedRun] = {}
    for key, row in _get(path, document, "runs", dict).items():
        if not isinstance(row, dict):
            raise CorruptedFile(path, f"its run {key!r} has no recipe")
        name, label = (_text(path, "runs", row.get(field)) for field in ("run", "recipe"))
        if name not in runs:
            raise CorruptedFile(folder / RUNS, f"it does not describe the run {name!r}")
        reported[key] = ReportedRun(folder / name, label, runs[name].record, runs[name].sessions)
    ladders = {game: folder / folder_name(game) for game in texts("ladders")}
    for game, place in ladders.items():
        if game_table.read(place).game != game:
            raise CorruptedFile(place / game_table.HEADER, f"it is not a ladder of {game}")
    rated = None
    if document.get("compared") is not None:
        if len(ladders) != 1:
            raise CorruptedFile(path, f"it compares runs on {len(ladders)} ladders, expected one")
        ((game, ladder),) = ladders.items()
        rated = RatedRuns(ladder, game, folder, mapping("compared"))
    return ReportInputs(
        title=_text(path, "title", document.get("title")),
        runs=reported,
        ladders=ladders,
        missing=texts("missing"),
        commands=texts("commands"),
        root=folder,
        baselines=mapping("baselines"),
        varied=texts("varied"),
        arms=mapping("arms"),
        rated=rated,
        read_run=read_run,
    )


def _get(path: Path, document: JsonObject, name: str, kind: type[T]) -> T:
    """Returns a value of a document; CorruptedFile if it has another type."""
    value = document.get(name)
    if not isinstance(value, kind):
        raise CorruptedFile(path, f"its {name!r} is not of the type that JSON calls {kind}")
    return value


def _text(path: Path, name: str, value: Json) -> str:
    if not is_printable(value):
        raise CorruptedFile(path, f"its {name!r} contains {value!r}, which is not a printable text")
    return value


def _read_runs(path: Path) -> dict[str, _Run]:
    data = read_gzip(path, MAX_BYTES)
    name = ""
    try:
        runs = {}
        for name, document in json.loads(data).items():
            runs[name] = _parse_run(document)
        return runs
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        where = f"the run {name!r}" if name else "its JSON"
        raise CorruptedFile(path, f"{where} cannot be read ({error!r})") from error


def _parse_run(document: Any) -> _Run:
    """Parses a run; raises ValueError, TypeError, KeyError or AttributeError if it is damaged."""
    config = with_today_names(document["config"])
    for name, kind in (("game", str), ("seed", int), ("iterations", int), ("network", dict)):
        if not isinstance(config[name], kind):
            raise ValueError(f"config.{name} is {config[name]!r}")
    _number(config["search"]["num_simulations"], int)
    costs = {int(version): _cost(row) for version, row in document["versions"].items()}
    if not costs:
        raise ValueError("it has no version")
    size = document["size"]
    if size is not None:
        size = Size(_number(size["parameters"], int, 1), _number(size["rows"], int, 1))
    sessions = [session for session in document["sessions"] if isinstance(session, dict)]
    return _Run(RunRecord(config, costs, size), sessions)


def _cost(row: JsonObject) -> Cost:
    parts = {name: _number(row[name], int) for name in ("imitation", "selfplay", "learning")}
    return Cost(Ledger(**parts), _number(row["seconds"], float))


def _number(value: Any, kind: type[T], least: int = 0) -> T:
    """Returns a number of a kind; a float may be written as an integer."""
    if type(value) not in (int, kind) or not least <= value < LARGEST:
        raise ValueError(f"{value!r} is not a number from {least} to {LARGEST:g}")
    return kind(value)  # pyright: ignore[reportCallIssue]
