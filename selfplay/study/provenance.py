"""Says where the numbers of a report come from: dates, code, versions and devices of its runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from selfplay.runs import manifest
from selfplay.runs.files import CorruptedFile, read_json

PACKAGES = ("oomzero", "jax", "jaxlib", "flax", "optax", "mctx", "numpy")  # those that compute
COMMIT_CHARACTERS = 10

Session = Mapping[str, object]  # one start of a run, as its manifest records it; nothing is certain


def sentences(sessions: Sequence[Session], today: datetime.date | None = None) -> list[str]:
    """Lists what the manifests of runs record, and which code writes this report.

    Args:
        sessions: the starts of the runs; whatever they lack is left out.
        today: of the report; the date in UTC when left out.
    """
    dates = sorted(str(session["created"])[:10] for session in sessions if session.get("created"))
    lines = []
    if dates:
        lines.append(f"Trained {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.")
    if codes := _distinct(_commit(session.get("git")) for session in sessions):
        lines.append(f"Code of the runs: {codes}.")
    versions = [
        f"{name} {numbers}"
        for name in PACKAGES
        if (numbers := _distinct(_value(session, "packages", name) for session in sessions))
    ]
    python = _distinct(session.get("python") for session in sessions)
    if python:
        versions.append(f"Python {python}")
    if versions:
        lines.append(f"Versions: {', '.join(versions)}.")
    if devices := _distinct(map(_device, sessions)):
        lines.append(f"Devices: {devices}.")
    day = today or datetime.datetime.now(datetime.UTC).date()
    commit = _commit(manifest.code_version(Path(__file__).resolve().parent))
    lines.append(f"This report: {day.isoformat()}{f', {commit}' if commit else ''}.")
    return lines


def read_sessions(run: Path) -> list[Session]:
    """Reads the starts of a run; returns none if its manifest is missing or damaged."""
    try:
        document = read_json(run / manifest.FILE)
    except (OSError, CorruptedFile):
        return []
    sessions = document.get("sessions") if isinstance(document, dict) else None
    if not isinstance(sessions, list):
        return []
    return [session for session in sessions if isinstance(session, dict)]


def published(session: Session) -> dict[str, object]:
    """Returns what `sentences` reads of a session, and nothing else: no environment, no flags."""
    wanted = {"git": ("commit", "dirty"), "packages": PACKAGES}
    wanted |= {"devices": ("kind", "count"), "host": ("cpu", "cores")}
    parts: dict[str, object] = {name: session.get(name) for name in ("created", "python")}
    for part, names in wanted.items():
        parts[part] = {name: _value(session, part, name) for name in names}
    return parts


def _value(session: Session, part: str, name: str) -> object:
    values = session.get(part)
    return values.get(name) if isinstance(values, dict) else None


def _commit(git: object) -> str:
    """Writes ``commit 943a8eedcd with local changes``; empty outside git."""
    commit = git.get("commit") if isinstance(git, dict) else None
    if not (isinstance(git, dict) and commit):
        return ""
    changes = " with local changes" if git.get("dirty") else ""
    return f"commit {str(commit)[:COMMIT_CHARACTERS]}{changes}"


def _device(session: Session) -> str:
    """Writes ``1 × NVIDIA H100 (Intel Xeon, 16 cores)``; empty if nothing is recorded."""
    kind, count = _value(session, "devices", "kind"), _value(session, "devices", "count")
    cpu, cores = _value(session, "host", "cpu"), _value(session, "host", "cores")
    host = f"{cpu}, {cores} cores" if cpu else ""
    if not kind:
        return host
    return f"{count} × {kind}{f' ({host})' if host else ''}"


def _distinct(values: Iterable[object]) -> str:
    """Joins the values of several runs, each once, without empty ones."""
    return " and ".join(dict.fromkeys(str(value) for value in values if value))
