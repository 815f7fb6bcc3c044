"""An optimizer of one's own: Lion (Chen et al. 2023) as optax has it.

oomzero train small --learner.optimizer 'my_optimizer:lion?b2=0.98' --learner.learning-rate 3e-4
"""

import optax

from selfplay.learning.config import LearnerConfig
from selfplay.learning.optimizer import Optimizer


@Optimizer
def lion(
    config: LearnerConfig, schedule: optax.Schedule, *, b2: float = 0.99
) -> optax.GradientTransformation:
    """Builds Lion for a learning-rate schedule; `b2` is the decay of the momentum."""
    return optax.lion(schedule, b2=b2, weight_decay=config.weight_decay)
