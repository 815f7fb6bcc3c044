"""What self-play costs: the positions that its searches evaluate."""

from selfplay.acting.config import SelfPlayConfig
from selfplay.search.config import SearchConfig
from selfplay.search.make import evaluations_per_move


def evaluations_per_segment(search: SearchConfig, config: SelfPlayConfig) -> int:
    """Counts the positions that the network evaluates while a stream advances by a segment."""
    full, fast = config.full_plies, config.segment_length - config.full_plies
    plies = full * evaluations_per_move(search)
    if fast:
        plies += fast * evaluations_per_move(search.for_evaluation(config.fast_simulations))
    return config.batch_size * plies
