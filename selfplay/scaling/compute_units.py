"""The ledger's FLOPs in the units that published scaling results count in.

The ledger counts 2 FLOPs per multiply-add of a weight, of imitation, self-play and learning
together. Others count otherwise, and two figures can be compared after one of these only:

* Jones (2021): multiply-adds of self-play alone, a fully connected network's weights times the
  nodes that were evaluated; what the learner spends is left out. That is the ledger's self-play
  halved: there, too, every multiply-add of a weight counts once a node. The factor is the same for
  all versions, so it moves curves along log10 C and leaves their slopes; leaving out the learner's
  share bends them where that share changes.
* Neumann and Gros (2022): strength is γ = 10^(Elo / 400), and grows as γ ∝ C^α. Elo per OOM is
  400 α: 0.88 in parameters is 352, 0.55 in compute 220.
"""

from selfplay.model.flops import Ledger

FLOPS_PER_MULTIPLY_ADD = 2
ELO_PER_FACTOR_TEN = 400  # of the odds of winning


def all_flops(ledger: Ledger) -> float:
    """Ours: FLOPs of everything that made a version."""
    return float(ledger.total)


def selfplay_multiply_adds(ledger: Ledger) -> float:
    """Jones's: multiply-adds of self-play."""
    return ledger.selfplay / FLOPS_PER_MULTIPLY_ADD


def elo_per_oom(strength_exponent: float) -> float:
    """Elo per OOM from Neumann and Gros's α."""
    return strength_exponent * ELO_PER_FACTOR_TEN
