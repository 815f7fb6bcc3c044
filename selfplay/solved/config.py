"""Settings of the exam during training (section `exam`)."""

from dataclasses import dataclass

from selfplay.ranges import check_at_least, check_budgets


@dataclass(frozen=True)
class ExamConfig:
    """Settings of the exam, for games that have one.

    Attributes:
        every: iterations between exams; 0 grades only the last version.
        budgets: simulations a move; 0 is the raw network. Without budgets there is no exam.
        positions: positions of each suite during training, evenly spaced; the last version is
            graded on all of them.
    """

    every: int = 10
    budgets: tuple[int, ...] = (0, 64)
    positions: int = 512

    def __post_init__(self) -> None:
        check_at_least(self, "exam", 0, "every")
        check_at_least(self, "exam", 1, "positions")
        check_budgets(self, "exam", "budgets")
