"""Where the numbers of a report come from: dates, code, versions and devices of its runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from selfplay.runs import manifest
from selfplay.runs.files import CorruptedFile, read_json

SHOWN = ("oomzero", "jax", "jaxlib", "flax", "optax", "mctx", "numpy")  # packages that make numbers
COMMIT = 10  # characters of it


def sentences(runs: Sequence[Path], today: datetime.date | None = None) -> list[str]:
    """Returns what the runs' manifests and this program's folder say, a sentence each.

    Args:
        runs: their folders; what a manifest does not say is left out.
        today: of the report; the date in UTC when left out.
    """
    sessions = [session for run in runs for session in _sessions(run)]
    dates = sorted(str(one["created"])[:10] for one in sessions if one.get("created"))
    said = []
    if dates:
        said.append(f"Trained {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.")
    if codes := _distinct(_commit(one.get("git")) for one in sessions):
        said.append(f"Code of the runs: {codes}.")
    versions = [
        f"{name} {found}"
        for name in SHOWN
        if (found := _distinct(_of(one, "packages", name) for one in sessions))
    ]
    python = _distinct(one.get("python") for one in sessions)
    if python:
        versions.append(f"Python {python}")
    if versions:
        said.append(f"Versions: {', '.join(versions)}.")
    if devices := _distinct(map(_device, sessions)):
        said.append(f"Devices: {devices}.")
    day = today or datetime.datetime.now(datetime.UTC).date()
    own = _commit(manifest.code_version(Path(__file__).resolve().parent))
    said.append(f"This report: {day.isoformat()}{f', {own}' if own else ''}.")
    return said


def _sessions(run: Path) -> list[dict[str, Any]]:
    """Returns the starts of a run; none where its manifest is missing or damaged."""
    try:
        document = read_json(run / manifest.FILE)
    except (OSError, CorruptedFile):
        return []
    listed = document.get("sessions") if isinstance(document, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _of(session: dict[str, Any], part: str, name: str) -> Any:
    values = session.get(part)
    return values.get(name) if isinstance(values, dict) else None


def _commit(git: Any) -> str:
    """Returns ``commit 943a8eed with local changes``; empty outside git."""
    commit = git.get("commit") if isinstance(git, dict) else None
    if not commit:
        return ""
    return f"commit {str(commit)[:COMMIT]}{' with local changes' if git.get('dirty') else ''}"


def _device(session: dict[str, Any]) -> str:
    """Returns ``1 × NVIDIA H100 (Intel Xeon, 16 cores)``."""
    kind, count = _of(session, "devices", "kind"), _of(session, "devices", "count")
    cpu, cores = _of(session, "host", "cpu"), _of(session, "host", "cores")
    host = f"{cpu}, {cores} cores" if cpu else ""
    if not kind:
        return host
    return f"{count} × {kind}{f' ({host})' if host else ''}"


def _distinct(values: Iterable[Any]) -> str:
    """Returns what several runs have, each once."""
    return " and ".join(dict.fromkeys(str(value) for value in values if value))
