"""What a gradient step costs: the network's evaluations, its auxiliary heads, and the optimizer."""

from __future__ import annotations

import jax

from games.game import Game
from selfplay.learning import loss_terms, optimizer
from selfplay.learning.config import LearnerConfig
from selfplay.model import flops, network
from selfplay.model.config import NetworkConfig


def step_flops(game: Game, config: NetworkConfig, learner: LearnerConfig) -> int:
    """Counts the FLOPs of one gradient step of a learner; see `selfplay.model.flops`."""
    heads = loss_terms.heads(learner.losses)
    params = network.shapes(network.make(game, config, heads).init)
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    gradient = flops.training_step(game, config, learner.batch_size, heads)
    return gradient + optimizer.flops(learner, shapes)
