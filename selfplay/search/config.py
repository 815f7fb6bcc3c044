"""Settings of the search (section `search`), with a section for each algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from games import plugins
from games.plugins import Kind
from selfplay.ranges import check_at_least, check_fraction
from selfplay.runs.codec import ADDED

KIND = Kind("search", "oomzero.searches", ("gumbel", "puct"))


@dataclass(frozen=True)
class GumbelConfig:
    """Settings of Gumbel AlphaZero (Danihelka et al. 2022); see docs/decisions/0006.

    Attributes:
        max_considered_actions: actions sampled at the root for sequential halving.
        scale: noise at the root, 1 in self-play and 0 when strength is measured.
        c_visit: a Q-value q weighs σ(q) = (c_visit + N)·c_scale·q against the logits, where N is
            the number of visits of the most visited action.
        c_scale: scale of Q-values against logits, see `c_visit`.
        prove: back up results that the search has proven as exact values, and search proven
            positions no further; see `proven`.
        rescale_values: stretch a node's Q to [0, 1] before σ, as mctx does (with c_scale 0.1).
    """

    max_considered_actions: int = 16
    scale: float = 1.0
    c_visit: float = 50.0
    c_scale: float = 0.3
    rescale_values: bool = False
    prove: bool = field(default=False, metadata=ADDED)

    def __post_init__(self) -> None:
        check_at_least(self, "search.gumbel", 1, "max_considered_actions")
        check_at_least(self, "search.gumbel", 0, "scale")


@dataclass(frozen=True)
class PuctConfig:
    """Settings of PUCT, by default AlphaZero's (Silver et al. 2018).

    Attributes:
        pb_c_init: exploration at few visits; c = pb_c_init + log((N + pb_c_base + 1) / pb_c_base)
            at a node with N visits.
        pb_c_base: number of visits from which on exploration grows, see `pb_c_init`.
        fpu_reduction: an unvisited child counts as its parent's value minus this times
            √(prior mass visited), except at the root (KataGo's first-play urgency).
        stdev_scale: how much exploration grows with the standard deviation of a node's values; 0:
            not at all, KataGo has 0.85 (see `puct.exploration_factor`).
        dirichlet_fraction: weight of the noise mixed into the root's prior.
        dirichlet_concentration: the noise's total concentration, spread over legal actions.
        temperature: the move is drawn in proportion to visits^(1/temperature); 0 plays the move
            with the most visits.
    """

    pb_c_init: float = 1.25
    pb_c_base: float = 19652.0
    fpu_reduction: float = 0.2
    dirichlet_fraction: float = 0.25
    dirichlet_concentration: float = 10.83
    temperature: float = 1.0
    stdev_scale: float = field(default=0.0, metadata=ADDED)

    def __post_init__(self) -> None:
        check_fraction(self, "search.puct", "dirichlet_fraction", "stdev_scale")
        check_at_least(self, "search.puct", 0, "temperature", "dirichlet_concentration")


@dataclass(frozen=True)
class SearchConfig:
    """Settings of the search that improves the network's policy.

    Attributes:
        algorithm: ``gumbel`` or ``puct``, which have sections of their own, a name that an
            installed package registers, or an import path, MODULE:NAME?option=value.
        num_simulations: the budget: simulations per move; 0 is the raw network.
        noise: explore at the root, as self-play must; evaluations play without noise anyway.
        gumbel: settings of ``gumbel``.
        puct: settings of ``puct``.
    """

    algorithm: str = "gumbel"
    num_simulations: int = 32
    noise: bool = field(default=True, metadata=ADDED)
    gumbel: GumbelConfig = field(default_factory=GumbelConfig)
    puct: PuctConfig = field(default_factory=PuctConfig)

    def __post_init__(self) -> None:
        plugins.check(KIND, self.algorithm.partition("?")[0])
        if self.num_simulations < 0:
            raise ValueError(
                f"search.num-simulations must be 0 (the raw network) or more, "
                f"got {self.num_simulations}"
            )

    def for_evaluation(self, num_simulations: int) -> SearchConfig:
        """Returns the same search at a budget and without exploration noise."""
        return replace(self, num_simulations=num_simulations, noise=False)

    def for_self_play(self) -> SearchConfig:
        """Returns the same search for self-play, which draws moves with its own temperature."""
        return replace(self, puct=replace(self.puct, temperature=0.0))
