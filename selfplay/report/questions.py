"""Questions of a report: what each one is called, and who answers it.

A report is a list of questions. Each answer has a section with its sentences, its figure and its
table, and its numbers as CSV; see `study_questions` for those that every report asks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from games import plugins
from games.plugins import Kind
from selfplay.report.evidence import Evidence
from selfplay.report.findings import Finding, not_answered
from selfplay.scaling.estimate import InsufficientData

Ask: TypeAlias = Callable[[Evidence], Finding | None]

KIND: Final = Kind("question", "oomzero.questions", ())


@dataclass(frozen=True)
class Question:
    """A question to the rated versions of a game.

    Attributes:
        name: of its CSV and its figure, without a suffix: letters, digits, "_" and "-".
        heading: of its section.
        ask: answers it; returns None where it makes no sense, and the report leaves it out. It may
            raise `InsufficientData` where the data do not support an answer.

    Raises:
        ValueError: the name cannot be that of a file.
    """

    name: str
    heading: str
    ask: Ask

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]+", self.name):
            raise ValueError(
                f"a question cannot be named {self.name!r}: its files have that name, so use "
                'letters, digits, "_" and "-"'
            )


def answer(question: Question, evidence: Evidence) -> Finding | None:
    """Answers a question; if the data do not support an answer, the finding says why.

    Raises:
        ValueError: what the question returns is not a finding.
    """
    try:
        finding = question.ask(evidence)
    except InsufficientData as reason:
        finding = Finding([not_answered(reason)], results=[reason])
    if finding is None:
        return None
    if not isinstance(finding, Finding):
        raise ValueError(f"it returned {finding!r}, and must return a Finding or None")
    return replace(finding, name=question.name, title=finding.title or question.heading)


def answer_or_say_why(question: Question, evidence: Evidence) -> Finding | None:
    """Answers a question of the user; if it fails, the finding says how.

    With OOMZERO_TRACEBACK set, the error is raised instead.
    """
    try:
        return answer(question, evidence)
    except Exception as error:
        if os.environ.get("OOMZERO_TRACEBACK"):
            raise
        sentence = f"This question failed with `{type(error).__name__}`: {error}"
        return Finding(
            [f"{sentence.rstrip('.')}."],
            results=[error],
            name=question.name,
            title=question.heading,
        )


def answer_all(
    evidence: Evidence, questions: Sequence[Question], extra_questions: Sequence[Question] = ()
) -> list[Finding]:
    """Answers the questions of a report in their order, then those of the user."""
    findings = [
        *(answer(question, evidence) for question in questions),
        *(answer_or_say_why(question, evidence) for question in extra_questions),
    ]
    return [finding for finding in findings if finding]


def load(specs: Sequence[str], taken: Sequence[Question]) -> list[Question]:
    """Imports the user's questions.

    Args:
        specs: import paths, or names that installed packages register.
        taken: questions whose names are not free.

    Raises:
        ValueError: a spec is not trusted, cannot be imported or names no `Question`, or two
            questions have one name.
    """
    questions = list(taken)
    for spec in specs:
        question = plugins.load(
            KIND,
            spec,
            lambda thing: isinstance(thing, Question),
            "a Question of selfplay.report.questions",
        )
        if question.name in {other.name for other in questions}:
            raise ValueError(
                f"{spec}: a report already has a question named {question.name!r}, and its files "
                "would be overwritten; give this one another name"
            )
        questions.append(question)
    return questions[len(taken) :]
