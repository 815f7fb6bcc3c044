"""What self-play costs: the positions that its searches evaluate."""

from selfplay.acting.config import SelfPlayConfig
from selfplay.search.config import SearchConfig
from selfplay.search.make import evaluations_per_move


def evaluations_per_segment(
    search: SearchConfig, config: SelfPlayConfig, iteration: int = 1
) -> int:
    """Counts the positions that the network evaluates while a stream advances by a segment."""
    full, fast = config.full_plies, config.segment_length - config.full_plies
    plies = full * evaluations_per_move(config.search_at(search, iteration))
    if fast:
        plies += fast * evaluations_per_move(search.for_evaluation(config.fast_simulations))
    return config.batch_size * plies


def mean_evaluations(search: SearchConfig, config: SelfPlayConfig, iterations: int) -> float:
    """Averages `evaluations_per_segment` over the iterations of a run."""
    numbers = range(1, max(iterations, 1) + 1)
    total = sum(evaluations_per_segment(search, config, number) for number in numbers)
    return total / len(numbers)
