"""Settings of the network (section `network`)."""

from dataclasses import dataclass
from typing import Literal

from selfplay.ranges import check_at_least


@dataclass(frozen=True)
class NetworkConfig:
    """A network's architecture and size.

    Attributes:
        kind: ``conv`` (residual tower of 3×3 convolutions) or ``mlp`` (residual, flat board).
        width: channels of the tower, or hidden units of the MLP.
        depth: residual blocks, two layers each.
        norm: normalization before each layer of a block: ``none`` (zero-initialized residual
            branches keep an untrained tower an identity), ``rms`` or ``layer`` over the features.
        head_width: hidden units of the value head.
        dtype: type of the computation; ``auto`` is float32 on CPU and bfloat16 elsewhere.
    """

    kind: Literal["conv", "mlp"] = "conv"
    width: int = 32
    depth: int = 3
    norm: Literal["none", "rms", "layer"] = "none"
    head_width: int = 64
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        check_at_least(self, "network", 1, "width", "head_width")
        check_at_least(self, "network", 0, "depth")
