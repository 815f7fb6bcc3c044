"""Provenance lists dates, code, versions and devices from the manifests of the runs."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from selfplay.study import provenance

DAY = datetime.date(2026, 11, 26)
SESSION: dict[str, Any] = {
    "created": "2026-11-24T18:25:17+00:00",
    "git": {"commit": "943a8eedcddc216306347e5cf07d8383ffdb3ede", "dirty": True},
    "python": "3.11.7",
    "packages": {"oomzero": "0.1.0", "jax": "0.10.2", "ray": "2.60.0"},
    "devices": {"platform": "cpu", "kind": "cpu", "count": 1},
    "host": {"cores": 2, "cpu": "EPYC", "os": "Linux"},
}


def sentences(*folders: Path) -> list[str]:
    """Returns the sentences of runs, which published sessions give as well."""
    sessions = [session for folder in folders for session in provenance.read_sessions(folder)]
    lines = provenance.sentences(sessions, DAY)
    assert provenance.sentences([*map(provenance.published, sessions)], DAY) == lines
    return lines


def run(folder: Path, *sessions: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"sessions": list(sessions)}))
    return folder


def test_sentences_list_dates_code_versions_and_devices(tmp_path: Path) -> None:
    later = {**SESSION, "created": "2026-11-25T01:00:00+00:00"}
    *lines, this_report = sentences(run(tmp_path / "a", SESSION, later))
    assert lines == [
        "Trained 2026-11-24 to 2026-11-25.",
        "Code of the runs: commit 943a8eedcd with local changes.",
        "Versions: oomzero 0.1.0, jax 0.10.2, Python 3.11.7.",
        "Devices: 1 × cpu (EPYC, 2 cores).",
    ]
    assert this_report.startswith("This report: 2026-11-26")


def test_sentences_list_every_distinct_value(tmp_path: Path) -> None:
    other = {
        **SESSION,
        "packages": {"jax": "0.11.0"},
        "git": {"commit": "f" * 40, "dirty": False},
        "devices": {"kind": "NVIDIA H100", "count": 8},
    }
    text = " ".join(sentences(run(tmp_path / "a", SESSION), run(tmp_path / "b", other)))
    assert "Trained 2026-11-24." in text
    assert "commit 943a8eedcd with local changes and commit ffffffffff." in text
    assert "jax 0.10.2 and 0.11.0" in text
    assert "1 × cpu (EPYC, 2 cores) and 8 × NVIDIA H100 (EPYC, 2 cores)" in text


@pytest.mark.parametrize("content", [None, "{", "[]", '{"sessions": 3}', '{"sessions": [1, {}]}'])
def test_sentences_ignore_missing_and_damaged_manifests(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    (line,) = sentences(tmp_path)
    assert line.startswith("This report: 2026-11-26")
    odd = {name: "text" for name in SESSION}
    assert len(sentences(run(tmp_path / "odd", odd))) >= 1


def test_published_sessions_have_nothing_but_what_sentences_read() -> None:
    secret = {"environment": {"XLA_FLAGS": "s"}, "flags": {"a": "s"}, "host": {"os": "s"}}
    assert "'s'" not in str(provenance.published({**SESSION, **secret}))
