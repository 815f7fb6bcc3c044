"""Findings: answers to the questions of a report, in sentences with figures and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from selfplay.report.figures import ReportFigure
from selfplay.report.table import Table
from selfplay.scaling.estimate import InsufficientData

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """What the data say about a question.

    Attributes:
        sentences: the answers, each with its interval.
        figure: with its numbers, if there is one.
        table: of results, if there are many.
        data: numbers that are too many to be shown; only the CSV has them.
        note: which versions the finding is about.
        results: the estimates behind the sentences, in order; an `InsufficientData` where the data
            could not support one.
        name: of its files; the question's name if left out.
        title: above it; the question's heading if left out.

    Raises:
        ValueError: `sentences` is a single text.
    """

    sentences: Sequence[str]
    figure: ReportFigure | None = None
    table: Table | None = None
    note: str = ""
    data: Table | None = None
    results: Sequence[object] = ()
    name: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.sentences, str):
            raise ValueError(f"a finding has a list of sentences, got the text {self.sentences!r}")

    @property
    def numbers(self) -> Table | None:
        """Table of the figure, or else the finding's data or table."""
        return self.figure.table if self.figure else self.data or self.table


def not_answered(reason: InsufficientData, context: str = "") -> str:
    """Writes a sentence on why the data do not answer a question."""
    text = str(reason)
    return f"Not answered{context}: {text[:1].lower()}{text[1:]}."


@dataclass
class Answers:
    """Collector of the estimates that answer one question.

    Attributes:
        sentences: one for each estimate, and remarks.
        results: an estimate or an `InsufficientData` for each sentence that is not a remark.
    """

    sentences: list[str] = field(default_factory=list)
    results: list[object] = field(default_factory=list)

    def add(
        self,
        estimate: Callable[[], T],
        describe: Callable[[T], str] = str,
        context: str = "",
    ) -> T | None:
        """Estimates something and adds a sentence with the result, or with the reason for none.

        Args:
            estimate: makes the result, or raises `InsufficientData`.
            describe: writes the result as a sentence without its period.
            context: begins the sentence, such as " at 8 simulations".

        Returns:
            The result; None if the data cannot support it.
        """
        try:
            result = estimate()
        except InsufficientData as reason:
            self.sentences.append(not_answered(reason, context))
            self.results.append(reason)
            return None
        text = f"{context}: {describe(result)}".strip() if context else describe(result)
        self.sentences.append(f"{text[:1].upper()}{text[1:]}.")
        self.results.append(result)
        return result

    def finding(
        self, figure: ReportFigure | None = None, table: Table | None = None, note: str = ""
    ) -> Finding:
        """Makes a finding of the answers."""
        return Finding(self.sentences, figure, table, note, results=self.results)
