"""An auxiliary target of one's own: what the opponent will reply, as the search sees it.

    oomzero train hex_3 --learner.losses 'opponent_reply:term?weight=0.15'

Wu (2019, section 3.4) trains KataGo with this target at this weight.
"""

import numpy as np
from jax import Array, nn

from games.game import Game
from selfplay.acting.row_schema import Episodes, RowField
from selfplay.learning.loss_terms import Batch, LossTerm
from selfplay.model.architecture import Prediction


def next_policy(game: Game, episodes: Episodes) -> np.ndarray:
    """Returns the search's policy at the next position of the same game; 0 after the last one."""
    following = np.roll(episodes.rows["policy"], -1, axis=0)
    return np.where(episodes.last[:, None], 0, following)


def cross_entropy(prediction: Prediction, rows: Batch) -> Array:
    """Returns −Σ reply · log(predicted reply), in nats; 0 for rows without a reply."""
    return -(rows["reply"] * nn.log_softmax(prediction.auxiliary["reply"])).sum(axis=-1)


reply = RowField(
    name="reply",
    about="the search's policy at the opponent's next turn, for the opponent; all 0: none",
    dtype="float16",
    shape=lambda game: (game.num_actions,),
    symmetry="actions",
    finish=next_policy,
)
term = LossTerm("reply", cross_entropy, fields=(reply,), heads=(("reply", "actions"),))
