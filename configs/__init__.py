"""Named, typed presets per game: ``get(name) → TrainConfig``.

A preset's docstring is a promise: its command, its cost and the result to expect.
"""

from collections.abc import Callable

from configs import baseline, connect_four, go, hex, small
from games.spelling import did_you_mean
from selfplay.training.config import TrainConfig

PRESETS: dict[str, Callable[[], TrainConfig]] = {
    preset.__name__: preset
    for preset in (
        connect_four.connect_four,
        connect_four.connect_four_imitation,
        connect_four.connect_four_smoke,
        connect_four.connect_four_gpu,
        go.go_5x5,
        go.go_7x7,
        go.go_9x9,
        go.go_9x9_imitation,
        go.go_9x9_gpu,
        go.go_9x9_imitation_gpu,
        go.go_19x19_cluster,
        hex.hex_3,
        hex.hex_4,
        hex.hex_5,
        hex.hex_6,
        hex.hex_7,
        hex.hex_7_gpu,
        hex.hex_8,
        hex.hex_9,
        small.small,
        baseline.connect_four_baseline,
        baseline.hex_3_baseline,
        baseline.hex_4_baseline,
        baseline.hex_5_baseline,
        baseline.go_5x5_baseline,
    )
}


def get(name: str) -> TrainConfig:
    """Returns the config of a preset.

    Raises:
        ValueError: there is no preset of this name; the message lists the choices.
    """
    if name not in PRESETS:
        raise ValueError(
            f"unknown preset {name!r}{did_you_mean(name, PRESETS)}; "
            f"choose from {', '.join(PRESETS)}"
        )
    return PRESETS[name]()
