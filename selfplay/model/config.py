"""Settings of the network (section `network`)."""

from dataclasses import dataclass, replace
from typing import Literal

from games import plugins
from games.plugins import Kind
from selfplay.ranges import check_at_least

KIND = Kind("network", "oomzero.networks", ("conv", "nested", "attention", "mlp"))


@dataclass(frozen=True)
class NetworkConfig:
    """A network's architecture and size.

    Attributes:
        kind: ``conv`` (residual tower of 3×3 convolutions), ``nested`` (of nested bottlenecks),
            ``attention`` (of transformer blocks over the cells), ``mlp`` (residual, flat board), a
            name that an installed package registers, or an import path, MODULE:NAME?option=value.
        width: channels of the tower, or hidden units of the MLP.
        depth: residual blocks; in ``conv`` and ``mlp`` of two layers each.
        norm: normalization before each layer of a block: ``none`` (zero-initialized residual
            branches keep an untrained tower an identity), ``rms`` or ``layer`` over the features.
        head_width: hidden units of the value head.
        dtype: type of the computation; ``auto`` is float32 on CPU and bfloat16 elsewhere.
    """

    kind: str = "conv"
    width: int = 32
    depth: int = 3
    norm: Literal["none", "rms", "layer"] = "none"
    head_width: int = 64
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        plugins.check(KIND, self.kind.partition("?")[0])
        check_at_least(self, "network", 1, "width", "head_width")
        check_at_least(self, "network", 0, "depth")

    def resolved(self, platform: str) -> "NetworkConfig":
        """Returns the config with the type that ``auto`` is on a JAX platform, such as "cpu"."""
        if self.dtype != "auto":
            return self
        return replace(self, dtype="float32" if platform == "cpu" else "bfloat16")
