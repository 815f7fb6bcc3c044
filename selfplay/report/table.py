"""Tables of a report: their CSV, and the columns that are worth showing."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | float
Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class Table:
    """A header, and rows with a value for each of its columns.

    Raises:
        ValueError: a row has more or fewer values than the header has columns.
    """

    header: tuple[str, ...]
    rows: Sequence[Row]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"the table has the columns {', '.join(self.header)}, and a row with "
                    f"{len(row)} values: {row}"
                )

    def to_csv(self) -> bytes:
        """Writes the table as CSV, in UTF-8."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue().encode()

    def without_constant_columns(self) -> tuple[Table, str]:
        """Drops the columns whose values are all equal.

        Returns:
            The narrower table, and a sentence with the dropped values; the table itself and an
            empty sentence if no column is constant, or all are, or there are fewer than two rows.
        """
        if len(self.rows) < 2:
            return self, ""
        columns = list(zip(*self.rows, strict=True))
        varied = [i for i, column in enumerate(columns) if len(set(map(str, column))) > 1]
        constant = [
            f"{name} {column[0]}"
            for i, (name, column) in enumerate(zip(self.header, columns, strict=True))
            if i not in varied
        ]
        if not varied or not constant:
            return self, ""
        header = tuple(self.header[i] for i in varied)
        narrow = Table(header, [tuple(row[i] for i in varied) for row in self.rows])
        return narrow, f"In every row: {', '.join(constant)}."
