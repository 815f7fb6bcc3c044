"""Converts the ledger's FLOPs to the units of published scaling results.

The ledger counts 2 FLOPs per multiply-add of a weight, over imitation, self-play and learning
together. Publications count differently, so convert before you compare two figures:

* Jones (2021) counts multiply-adds of self-play alone: a fully connected network's weights times
  the evaluated nodes, without the learner's FLOPs. That is half of the ledger's self-play, which
  also counts each multiply-add of a weight once per node. The factor is the same for all versions,
  so it shifts curves along log10 C and keeps their slopes. Leaving out the learner bends a curve
  where the learner's share changes.
* Neumann and Gros (2022) define strength as γ = 10^(Elo / 400), which grows as γ ∝ C^α. Elo per
  OOM is then 400 α: α = 0.88 in parameters is 352 Elo, α = 0.55 in compute 220 Elo.
"""

from selfplay.model.flops import Ledger

FLOPS_PER_MULTIPLY_ADD = 2
ELO_PER_FACTOR_TEN = 400  # of the odds of winning


def all_flops(ledger: Ledger) -> float:
    """Returns the FLOPs of everything that made a version, this project's convention."""
    return float(ledger.total)


def selfplay_multiply_adds(ledger: Ledger) -> float:
    """Returns the multiply-adds of self-play, the convention of Jones (2021)."""
    return ledger.selfplay / FLOPS_PER_MULTIPLY_ADD


def elo_per_oom(strength_exponent: float) -> float:
    """Converts the exponent α of Neumann and Gros (2022) to Elo per OOM."""
    return strength_exponent * ELO_PER_FACTOR_TEN
