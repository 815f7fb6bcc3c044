"""Questions of one's own are answered after the others, and cannot stop a report."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from games import plugins
from selfplay.report.evidence import Evidence
from selfplay.report.findings import Finding
from selfplay.report.questions import Question, answer_all, load
from selfplay.report.study_questions import OF_BOARDS, OF_RUNS, OF_STUDY
from selfplay.report.table import Table
from selfplay.scaling.estimate import Estimate, InsufficientData
from tests.selfplay.report.test_findings import study
from tests.small_runs import ROOT

MODULE = """
from selfplay.report.findings import Finding
from selfplay.report.questions import Question
COUNT = Question("count", "How many?", lambda evidence: Finding([f"{len(evidence.points)}."]))
TAKEN = Question("training", "What?", lambda evidence: None)
NUMBER = 7
"""


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(study((4.3,), 4))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Writes a module into the working directory, and trusts what it names."""
    (tmp_path / "asks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(
        plugins._Trust, "paths", {f"asks:{n}" for n in ("COUNT", "TAKEN", "NUMBER")}
    )
    monkeypatch.setattr(plugins._Trust, "followed", {})
    monkeypatch.delitem(sys.modules, "asks", raising=False)
    return "asks"


def broken(evidence: Evidence) -> Finding:
    raise KeyError("width")


def undecided(evidence: Evidence) -> Finding:
    raise InsufficientData("One seed only")


def test_failing_question_says_so_and_stops_no_other(evidence: Evidence) -> None:
    own = [
        Question("broken", "Why?", broken),
        Question("wrong", "What?", lambda evidence: 7),  # pyright: ignore
        Question("ragged", "Which?", lambda e: Finding(["."], table=Table(("a",), [(1, 2)]))),
        Question("none", "None?", lambda evidence: None),
        Question("fine", "How?", lambda evidence: Finding(["So."])),
    ]
    findings = {finding.name: finding for finding in answer_all(evidence, (), own)}
    kinds = {name: [type(r) for r in finding.results] for name, finding in findings.items()}
    assert kinds == {
        "broken": [KeyError], "wrong": [ValueError], "ragged": [ValueError], "fine": []
    }  # fmt: skip
    assert "`KeyError`: 'width'" in findings["broken"].sentences[0]
    assert findings["broken"].title == "Why?" and findings["fine"].sentences == ["So."]


def test_failing_question_raises_for_its_author(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMZERO_TRACEBACK", "1")
    with pytest.raises(KeyError):
        answer_all(evidence, (), [Question("broken", "Why?", broken)])


def test_question_without_enough_data_gives_the_reason(evidence: Evidence) -> None:
    (finding,) = answer_all(evidence, [Question("seeds", "Which?", undecided)])
    assert list(finding.sentences) == ["Not answered: one seed only."]
    assert [type(result) for result in finding.results] == [InsufficientData]


def test_load_imports_questions_that_were_typed(module: str, evidence: Evidence) -> None:
    (question,) = load([f"{module}:COUNT"], OF_STUDY)
    (finding,) = answer_all(evidence, (), [question])
    assert (finding.name, finding.title) == ("count", "How many?")
    assert finding.sentences == [f"{len(evidence.points)}."]


@pytest.mark.parametrize(
    ("name", "message"),
    [("NUMBER", "expected a Question"), ("TAKEN", "already has a question named 'training'")],
)
def test_load_rejects_other_things_and_taken_names(module: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load([f"{module}:{name}"], OF_STUDY)


def test_load_follows_no_path_that_nobody_typed(module: str) -> None:
    with pytest.raises(ValueError, match="nobody typed"):
        load([f"{module}:OTHER"], ())
    assert module not in sys.modules
    with pytest.raises(ValueError, match="already has a question named 'count'"):
        load([f"{module}:COUNT"] * 2, ())


@pytest.mark.parametrize("name", ["", "a b", "../a", "a.csv"])
def test_question_has_the_name_of_a_file(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be named"):
        Question(name, "What?", undecided)


def test_names_of_questions_are_distinct_but_for_the_missing_map() -> None:
    names = [question.name for question in (*OF_RUNS, *OF_BOARDS)]
    assert names.count("map") == 2 and len(names) == len({*names}) + 1


def test_finding_rejects_a_single_text() -> None:
    with pytest.raises(ValueError, match="list of sentences"):
        Finding("This.")


def test_example_recovers_elo_per_time(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    example = importlib.import_module("my_question")
    points = evidence.points
    timed = {**points.covariates, "seconds": points.training - 8}
    (finding,) = answer_all(Evidence(replace(points, covariates=timed)), [example.TIME])
    (slope,) = finding.results
    assert isinstance(slope, Estimate) and slope.covers(400) and finding.figure
    assert float(slope.value) == pytest.approx(400, abs=40)
    assert len(finding.figure.table.rows) == len(evidence.at_budget)
