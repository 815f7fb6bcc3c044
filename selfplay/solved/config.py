"""Settings of the exam during training (section `exam`)."""

from dataclasses import dataclass

from selfplay.ranges import check_at_least, check_budgets


@dataclass(frozen=True)
class ExamConfig:
    """When training takes the game's exam, for games that have one.

    Attributes:
        every: iterations between exams; 0 takes only the last version's.
        budgets: simulations a move; 0 is the raw network. None: no exam.
        positions: questions asked during training, evenly from the whole exam; the last version
            answers all of them.
    """

    every: int = 10
    budgets: tuple[int, ...] = (0, 64)
    positions: int = 512

    def __post_init__(self) -> None:
        check_at_least(self, "exam", 0, "every")
        check_at_least(self, "exam", 1, "positions")
        check_budgets(self, "exam", "budgets")
