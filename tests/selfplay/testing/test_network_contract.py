"""The exported contract of architectures: the built-in ones keep it, and broken ones do not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import Array

import games
from selfplay.model import residual
from selfplay.model.architecture import Architecture, Heads, Model, Params, Prediction, Shape
from selfplay.model.config import NetworkConfig
from selfplay.testing.network_contract import check_architecture

WIDE = {
    "conv": (residual.conv, NetworkConfig(width=32, depth=2, head_width=32)),
    "mlp": (residual.mlp, NetworkConfig(width=64, depth=2, head_width=64)),
}


@pytest.mark.parametrize(("kind", "rules"), [("conv", "connect_four"), ("mlp", "tic_tac_toe")])
def test_built_in_architecture_keeps_the_contract(rules: str, kind: str) -> None:
    """XLA finds 0.8 % (conv) to 2.4 % (mlp) more than the formula: element-wise work."""
    architecture, config = WIDE[kind]
    check_architecture(architecture, games.make(rules), config, surplus=0.03)


@Architecture
def strided(
    shape: Shape, config: NetworkConfig, heads: Heads, *, factor: float = 1.0, fault: str = ""
) -> Model:
    """Builds a convolution with stride 2, dilated taps and uneven padding, and a dense layer.

    Args:
        shape: of the game.
        config: unused.
        heads: auxiliary heads.
        factor: of the FLOPs.
        fault: the law to break.
    """
    del config
    rows, columns, planes = shape.observation
    padding = ((2, 1), (0, 3))
    # Output cells: the padded size, less the dilated kernel's span of 5 and 3, in steps of 2.
    cells = ((rows + 3 - 5) // 2 + 1) * ((columns + 3 - 3) // 2 + 1)
    width = 16
    outputs = (
        shape.actions
        + 1
        + sum(
            {"cells": rows * columns, "actions": shape.actions, "scalar": 1}[kind]
            for _, kind in heads
        )
    )

    def init(key: Array) -> Params:
        key = jax.random.key(0) if fault == "key" else key
        kernel = jax.random.normal(key, (3, 2, planes, width))
        dense = jnp.full((cells * width, outputs), 0.01)
        if fault == "bfloat16":
            dense = dense.astype(jnp.bfloat16)
        return {"layers": [kernel, dense]} if fault == "list" else {"kernel": kernel, "out": dense}

    def apply(params: Params, observations: Array) -> Prediction:
        kernel, dense = params["layers"] if fault == "list" else (params["kernel"], params["out"])
        x = jax.lax.conv_general_dilated(
            observations.astype(jnp.float32),
            kernel,
            (2, 2),
            padding,
            rhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        y = x.reshape(len(x), -1) @ dense.astype(jnp.float32)
        if fault == "blind":
            y = 0 * y
        if fault == "rows":
            y = y - jnp.mean(y, axis=0, keepdims=True)
        if fault == "nan":
            y = jnp.log(y)
        value, logits = y[:, 0], y[:, 1 : 1 + shape.actions]
        auxiliary, start = {}, 1 + shape.actions
        for name, kind in heads:
            wanted = {"cells": (rows, columns), "actions": (shape.actions,), "scalar": ()}[kind]
            size = int(jnp.zeros(wanted).size)
            auxiliary[name] = y[:, start : start + size].reshape(-1, *wanted)
            start += size
        if fault == "flat":
            auxiliary = {name: array.reshape(len(x), -1) for name, array in auxiliary.items()}
        if fault == "heads":
            auxiliary = {}
        value = value if fault == "range" else jnp.tanh(value)
        value = value[:, None] if fault == "shape" else value
        return Prediction(logits, value, auxiliary)

    taps = cells * 3 * 2 * planes * width
    return Model(init, apply, round(factor * 2 * (taps + cells * width * outputs)))


def test_padding_of_any_convolution_is_taken_into_account() -> None:
    check_architecture(strided, games.make("connect_four"), surplus=0.1)


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"factor": 0.5}, r"flops is [\d,]+, but XLA counts [\d,]+ for one position"),
        ({"factor": 1.2}, r"flops is [\d,]+, but XLA counts"),
        ({"fault": "key"}, "init ignores its key"),
        ({"fault": "bfloat16"}, r"parameter \['out'\] must be float32, got bfloat16"),
        ({"fault": "list"}, r"nested dictionaries of arrays, got \['layers'\]\[0\]"),
        ({"fault": "blind"}, "policy_logits does not depend on the observation"),
        ({"fault": "rows"}, "policy_logits of a row depends on the other rows of its batch"),
        ({"fault": "nan"}, "a prediction is not finite"),
        ({"fault": "range"}, "a value lies outside of"),
        ({"fault": "shape"}, r"value must be float32\[16\], got float32\[16, 1\]"),
        ({"fault": "flat"}, r"auxiliary\['cells'\] must be float32\[16, 3, 3\], got .*\[16, 9\]"),
        ({"fault": "heads"}, r"the outputs must be auxiliary\['cells'\], .*; got policy_logits"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_broken_architecture_is_rejected_with_the_law(options: dict[str, Any], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_architecture(strided, games.make("tic_tac_toe"), surplus=0.15, **options)
