"""What self-play costs: the positions that its searches evaluate."""

from selfplay.acting.config import SelfPlayConfig
from selfplay.search.config import SearchConfig
from selfplay.search.make import evaluations_per_move


def evaluations_per_segment(search: SearchConfig, config: SelfPlayConfig) -> int:
    """Counts the positions that the network evaluates while a stream advances by a segment.

    `search` is that of the fully searched plies (`SelfPlayConfig.search_at`).
    """
    full, fast = config.full_plies, config.segment_length - config.full_plies
    plies = full * evaluations_per_move(search)
    if fast:
        plies += fast * evaluations_per_move(search.for_evaluation(config.fast_simulations))
    return config.batch_size * plies


def mean_evaluations(search: SearchConfig, config: SelfPlayConfig, iterations: int) -> float:
    """Averages `evaluations_per_segment` over the iterations of a run, whose budget may grow."""
    numbers = range(1, max(iterations, 1) + 1)
    searches = [config.search_at(search, number) for number in numbers]
    return sum(evaluations_per_segment(each, config) for each in searches) / len(searches)
