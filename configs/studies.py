"""Named studies: ``STUDIES[name]() → StudyConfig``; run them with ``launch/ablate.py NAME``.

A study's docstring is a promise: its command, its cost and the result to expect. Studies train
frozen presets (configs/baseline.py), so that a published study can be repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from selfplay.study.grid import Arm, Axis, RatingConfig, StudyConfig

SHORT = ("--iterations", "32", "--network.width", "16")  # a run that five seeds can afford
"""Flags for `connect_four_baseline`."""
NESTED = ("--network.kind", "nested", "--network.depth", "5")  # 0.93 times the baseline's FLOPs
ATTENTION = ("--network.kind", "attention", "--network.depth", "4")  # 0.98 times
MUON = ("--learner.optimizer", "muon")
FASTER = ("--learner.learning-rate", "0.004")  # `learning_rates` chose it for all four


class Change(NamedTuple):
    """A change of a recipe: flags of launch/train.py, and terms added to the loss."""

    flags: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


QUIET = Change(("--search.gumbel.scale", "0.25"))
FRESH = Change(("--replay.minimum", "20000"))
REGRET = Change(("--selfplay.archive-fraction", "0.5", "--selfplay.archive-by-regret"))
BATCH = Change(("--learner.batch-size", "128", "--learner.learning-rate", "0.003"))
SURPRISE = Change(("--learner.surprise-weight", "0.5"))
DECAY = Change(("--learner.weight-decay", "0.05"))
VALUES = Change(
    ("--learner.value-weight", "0.4", "--learner.root-value-weight", "0"),
    ("lambda_return?decay=0.7&weight=0.6", "td_value?horizon=2"),
)


def _flags(changes: Sequence[Change]) -> tuple[str, ...]:
    """Joins the flags of changes; of a flag that is named twice, the last one counts."""
    losses = [term for change in changes for term in change.losses]
    named = ("--learner.losses", *losses) if losses else ()
    return (*(flag for change in changes for flag in change.flags), *named)


def _variants(changes: Mapping[str, tuple[str, ...]]) -> tuple[Arm, ...]:
    """Returns short runs of Connect Four's baseline, each changed by flags."""
    return tuple(
        Arm("connect_four_baseline", (*SHORT, *flags), name=name) for name, flags in changes.items()
    )


def hex_scaling() -> StudyConfig:
    """Repeats Jones (2021) in miniature: Hex 3×3 to 5×5, MLPs of several sizes, 64 simulations.

    78 runs and three ladders take one to two hours on two cores. An OOM of training buys 722 Elo on
    3×3, 599 on 4×4 and, where the curve is steepest, 992 on 5×5, without search;
    docs/results/hex_scaling has the rest. Perfect play anchors 3×3 and 4×4; 5×5 is not solved
    here, and random moves anchor its ladder. Openings have 2 random moves: after 4, few games on
    3×3 were undecided, and the ladder took twice as many.
    """
    sizes = (Axis("network.width", ("4", "16", "64")), Axis("network.depth", ("1", "3")))
    same = ("--network.kind", "mlp", "--search.num-simulations", "64")
    boards = {3: (16, 5), 4: (32, 5), 5: (64, 3)}  # iterations, seeds
    return StudyConfig(
        arms=tuple(
            Arm(
                f"hex_{board}_baseline",
                (*same, "--iterations", str(iterations)),
                sizes,
                f"hex_{board}",
                seeds,
            )
            for board, (iterations, seeds) in boards.items()
        ),
        seeds=5,
        rating=RatingConfig(
            sims=(0, 8, 64), versions=5, until_stderr=50, max_games=80_000, opening_plies=2
        ),
    )


def connect_four_budget_vs_size() -> StudyConfig:
    """Compares network sizes, training budgets and search budgets on Connect Four.

    18 runs and a ladder take 50 to 90 minutes on two cores. An OOM of training buys 423 Elo
    without search and 268 with 64 simulations, an OOM of search 293 with a fixed network. The
    ladder is anchored at perfect play, which needs the `solver` extra; without it, --anchor names
    another player.
    docs/results/connect_four_budget_vs_size has the rest.
    """
    sizes = (Axis("network.width", ("8", "16", "32")), Axis("network.depth", ("1", "3")))
    return StudyConfig(
        arms=(Arm("connect_four_baseline", ("--iterations", "32"), sizes, "connect_four"),),
        rating=RatingConfig(
            sims=(0, 8, 64), versions=5, anchor="solver", until_stderr=40, max_games=24_000
        ),
    )


def recipes() -> StudyConfig:
    """Compares Gumbel and PUCT, symmetries on and off, outcome and mixed value targets.

    Each recipe differs in one option from `connect_four` with half of its channels. 20 runs and a
    ladder take some 70 minutes on two cores. The ladder is anchored at perfect play, which needs
    the `solver` extra. For an equally strong raw network PUCT takes 2.1 times
    the training, no symmetries 1.2 times, and the outcome alone 1.3 times. docs/results/recipes has
    the rest.
    """
    changes = {
        "preset": (),
        "puct": ("--search.algorithm", "puct"),
        "no symmetries": ("--learner.no-symmetries",),
        "outcome alone": ("--learner.root-value-weight", "0"),
    }
    return StudyConfig(
        arms=_variants(changes),
        seeds=5,
        rating=RatingConfig(
            sims=(0, 16), versions=6, anchor="solver", until_stderr=40, max_games=20_000
        ),
    )


def learning_rates() -> StudyConfig:
    """Sweeps the learning rate of AdamW and Muon, and of the other networks, on Connect Four.

    `techniques` compares each optimizer and network at its best rate, which is 0.004 for all four;
    rates beside it are hardly worse (docs/results/learning_rates). 32 runs take an hour and a half
    on two cores that other work shares, and the ladder takes five minutes.
    """
    kinds = {
        "adamw": (),
        "muon": MUON,
        "nested": NESTED,
        "attention": ATTENTION,
    }
    rates = Axis("learner.learning-rate", ("0.001", "0.002", "0.004", "0.008"))
    return StudyConfig(
        arms=tuple(
            Arm("connect_four_baseline", (*SHORT, *flags), (rates,), name)
            for name, flags in kinds.items()
        ),
        seeds=2,
        rating=RatingConfig(
            sims=(0,), versions=2, anchor="solver", until_stderr=40, max_games=12_000
        ),
    )


def techniques() -> StudyConfig:
    """Compares each technique of docs/guide/techniques.md with the recipe that has none.

    Every part is `recipes`' preset with one switch; the optimizer and the networks have their best
    learning rate besides, which is a part of its own. Budgets of search are chosen for about the
    baseline's mean, 8 simulations, and other networks for about its FLOPs. 40 runs and a ladder
    take an hour and three quarters on two cores. With two seeds only Muon is seen to help, and only
    by the exam; docs/results/techniques has the rest.
    """
    switches = {
        "baseline": (),
        "learning rate": FASTER,
        "muon": (*MUON, *FASTER),
        "nested": (*NESTED, *FASTER),
        "attention": (*ATTENTION, *FASTER),
        "pooling": ("--network.kind", "conv?pooled=1"),
        "reply": ("--learner.losses", "reply"),
        "soft policy": ("--learner.losses", "soft_policy"),
        "values soon": ("--learner.losses", "td_value?horizon=6"),
        "owner": ("--learner.losses", "owner"),
        "moves left": ("--learner.losses", "moves_left"),
        "lambda return": (
            *("--learner.losses", "lambda_return?decay=0.8&weight=0.5"),
            *("--learner.value-weight", "0.5", "--learner.root-value-weight", "0"),
        ),
        "surprise": ("--learner.surprise-weight", "0.5"),
        "two budgets": (
            *("--search.num-simulations", "24", "--selfplay.fast-simulations", "3"),
            *("--selfplay.full-search-fraction", "0.25", "--learner.value-weight", "0.25"),
        ),
        "growing budget": (
            *("--search.num-simulations", "16", "--selfplay.first-simulations", "2"),
            *("--selfplay.doubling-iterations", "8"),
        ),
        "archive": ("--selfplay.archive-fraction", "0.5"),
        "regret": ("--selfplay.archive-fraction", "0.5", "--selfplay.archive-by-regret"),
        "proven results": ("--search.gumbel.prove",),
        "puct": ("--search.algorithm", "puct"),
        "puct by spread": ("--search.algorithm", "puct", "--search.puct.stdev-scale", "0.85"),
    }
    return StudyConfig(
        arms=_variants(switches),
        seeds=2,
        rating=RatingConfig(
            sims=(0, 16), versions=4, anchor="solver", until_stderr=45, max_games=30_000
        ),
    )


def compute_split() -> StudyConfig:
    """Splits the same compute between search, games and learning, on Connect Four with Muon.

    A position costs simulations + 1 evaluations of the network in self-play, and three for each
    time that it is learned from. Runs of few simulations or a low replay ratio play more positions,
    so that all take about 10^12.8 FLOPs. 18 runs; not run yet.
    """
    cost = {
        (simulations, ratio): simulations + 1 + 3 * ratio
        for simulations in (4, 8, 16)
        for ratio in (2, 4, 8)
    }
    return StudyConfig(
        arms=_variants(
            {
                f"{simulations} simulations, ratio {ratio}": (
                    *(*MUON, *FASTER, "--search.num-simulations", str(simulations)),
                    *("--learner.replay-ratio", str(ratio)),
                    *("--iterations", str(round(32 * cost[8, 4] / each))),
                )
                for (simulations, ratio), each in cost.items()
            }
        ),
        seeds=2,
        rating=RatingConfig(
            sims=(0, 16), versions=2, anchor="solver", until_stderr=45, max_games=12_000
        ),
    )


def screening() -> StudyConfig:
    """Screens eleven changes to Connect Four's recipe with Muon at once, in 24 runs.

    Each run has about half of the changes, in the design of Plackett and Burman (1946) with its
    mirror image, so that every change is judged by 12 runs with it against 12 without, and pairs of
    changes do not bias that. `python -m benchmarks.screening` prints what each is worth. Two hours
    of one core. The first 12 runs chose `combined`'s recipe (docs/results/techniques).
    """
    changes = {
        "quiet": QUIET,
        "halving": Change(("--search.gumbel.max-considered-actions", "4")),
        "fresh": FRESH,
        "values": VALUES,
        "schedule": Change(
            ("--learner.lr-decay-fraction", "0.6", "--learner.final-lr-fraction", "0.02")
        ),
        "regret": REGRET,
        "openings": Change(
            (
                *("--selfplay.random-opening-fraction", "0.75"),
                *("--selfplay.random-opening-plies", "8"),
            )
        ),
        "prompt": Change(("--policy-lag", "0", "--learner.ema-decay", "0.99")),
        "batch": BATCH,
        "decay": DECAY,
        "temperature": Change(("--selfplay.temperature", "0.7")),
    }
    design = plackett_burman(12)
    mirrored = [tuple(-level for level in row) for row in design]
    return StudyConfig(
        arms=_screened(
            "connect_four_baseline",
            Change((*SHORT, *MUON, *FASTER)),
            changes,
            [*design, *mirrored],
        ),
        seeds=1,
        rating=RatingConfig(
            sims=(0, 16), versions=2, anchor="solver", until_stderr=45, max_games=12_000
        ),
    )


def screening_hex() -> StudyConfig:
    """Screens sixteen techniques and changes at once on Hex 5×5, in 24 runs.

    Each run has half of them, in Plackett and Burman's design of 24 runs, so that each is judged by
    12 runs with it against 12 without. Pairs of changes can bias that. Attention, nested networks
    and PUCT, which `techniques` dropped or found to take 2.3 times as long, are left out. An hour
    on two cores. With 16 simulations a quarter of the noise saves 1.26 times the training;
    docs/results/screening_hex has the rest.
    """
    return _screening_techniques("hex_5_baseline", horizon=4, changes={})


def screening_go() -> StudyConfig:
    """Screens seventeen techniques and changes at once on Go 5×5, as `screening_hex` on Hex.

    Not run yet.
    """
    score = {"score": Change(losses=("score",))}
    return _screening_techniques("go_5x5_baseline", horizon=6, changes=score)


def _screening_techniques(preset: str, horizon: int, changes: Mapping[str, Change]) -> StudyConfig:
    """Makes a study of short runs of a preset, each of which has half of many changes.

    Args:
        preset: of a game in which 16 simulations are a usual budget.
        horizon: of the head for values some turns later.
        changes: beside those that suit every game.
    """
    base = ("--network.width", "16", "--search.num-simulations", "16", "--iterations", "20")
    usual = {
        "muon": Change(MUON),
        "pooling": Change(("--network.kind", "conv?pooled=1")),
        "reply": Change(losses=("reply",)),
        "soft policy": Change(losses=("soft_policy",)),
        "values soon": Change(losses=(f"td_value?horizon={horizon}",)),
        "owner": Change(losses=("owner",)),
        "moves left": Change(losses=("moves_left",)),
        "lambda return": Change(
            ("--learner.value-weight", "0.5", "--learner.root-value-weight", "0"),
            ("lambda_return?decay=0.8&weight=0.5",),
        ),
        "surprise": SURPRISE,
        "two budgets": Change(
            (
                *("--selfplay.full-search-fraction", "0.25", "--selfplay.no-fast-rows"),
                *("--search.num-simulations", "40", "--selfplay.fast-simulations", "8"),
            )
        ),
        "regret": REGRET,
        "proven results": Change(("--search.gumbel.prove",)),
        "decay": DECAY,
        "batch": BATCH,
        "fresh": FRESH,
        "quiet": QUIET,
    }
    return StudyConfig(
        arms=_screened(preset, Change((*base, *FASTER)), {**usual, **changes}, plackett_burman(24)),
        seeds=1,
        rating=RatingConfig(
            sims=(0, 16), versions=3, until_stderr=45, max_games=12_000, opening_plies=2
        ),
    )


def combined() -> StudyConfig:
    """Compares Connect Four's baseline preset, at its full length, with a recipe for a third of it.

    The recipe has half the channels and more games, Muon, and what `screening` found to help. The
    seeds are fresh, because other studies chose it. 6 runs and a ladder take 45 minutes on two
    cores. For the same Elo the recipe takes 4.9 times less training, 4.2 to 5.9;
    docs/results/combined has the rest.
    """
    recipes = {
        "baseline": (),
        "combined": _flags(
            [
                Change(("--network.width", "16", "--iterations", "100", *MUON)),
                *(BATCH, DECAY, FRESH, REGRET, VALUES),
            ]
        ),
    }
    return StudyConfig(
        arms=tuple(
            Arm("connect_four_baseline", flags, name=name) for name, flags in recipes.items()
        ),
        seeds=3,
        first_seed=100,
        rating=RatingConfig(
            sims=(0, 16), versions=6, anchor="solver", until_stderr=40, max_games=20_000
        ),
    )


def combined_hex() -> StudyConfig:
    """Compares half of `hex_5_baseline`'s training with a recipe for a third of that, on Hex 5×5.

    The recipe has half the channels, half the simulations and twice the games, Muon, and what
    `screening_hex` found to help. The seeds are fresh. Not run yet.
    """
    recipes = {
        "baseline": ("--iterations", "30"),
        "combined": _flags(
            [
                Change(("--network.width", "16", "--search.num-simulations", "16")),
                Change(("--iterations", "60", *MUON, "--learner.shards", "1")),
                *(BATCH, FRESH, QUIET, SURPRISE),
            ]
        ),
    }
    return StudyConfig(
        arms=tuple(Arm("hex_5_baseline", flags, name=name) for name, flags in recipes.items()),
        seeds=3,
        first_seed=100,
        rating=RatingConfig(
            sims=(0, 16), versions=6, until_stderr=40, max_games=20_000, opening_plies=2
        ),
    )


def plackett_burman(runs: int) -> list[tuple[int, ...]]:
    """Returns a design for up to runs − 1 changes: +1 = with the change, −1 = without.

    Args:
        runs: 12 or 24, for which Plackett and Burman (1946) print these first rows.
    """
    first = {
        12: (1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1),
        24: (1,) * 5 + (-1, 1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, -1, 1) + (-1,) * 4,
    }[runs]
    return [*(first[-k:] + first[:-k] for k in range(runs - 1)), (-1,) * (runs - 1)]


def _screened(
    preset: str, base: Change, changes: Mapping[str, Change], design: Sequence[tuple[int, ...]]
) -> tuple[Arm, ...]:
    """Returns an arm for each row of a design, named by the changes that it has."""
    arms = []
    for row in design:
        chosen = [name for name, level in zip(changes, row, strict=False) if level == 1]
        flags = _flags([base, *(changes[name] for name in chosen)])
        arms.append(Arm(preset, flags, name="+".join(chosen).replace(" ", "-") or "none"))
    return tuple(arms)


STUDIES: dict[str, Callable[[], StudyConfig]] = {
    study.__name__: study
    for study in (
        hex_scaling,
        connect_four_budget_vs_size,
        recipes,
        learning_rates,
        techniques,
        compute_split,
        screening,
        screening_hex,
        screening_go,
        combined,
        combined_hex,
    )
}
