"""The contract of architectures: what every network promises, and its FLOPs against XLA's count.

    check_architecture(my_nets.make, games.make("connect_four"), blocks=4)

raises AssertionError with the law that a network breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game
from selfplay.model import network
from selfplay.model.architecture import Architecture, Heads, Model, Params, Prediction, Shape
from selfplay.model.config import NetworkConfig
from selfplay.testing.laws import equal, require

ROWS = 16  # observations of a batch
HEADS: Heads = (("cells", "cells"), ("moves", "actions"), ("number", "scalar"))
QUICK = {"xla_backend_optimization_level": 0}
SCALES = (0.3, 30.0)  # of pseudo-random parameters; the larger one drives values to their ends


def check_architecture(
    architecture: Architecture,
    game: Game,
    config: NetworkConfig | None = None,
    *,
    surplus: float = 0.05,
    **options: Any,
) -> None:
    """Checks what an architecture promises, without auxiliary heads and with one of each kind.

    Parameters are nested dictionaries of float32 arrays, the same ones for the same key;
    predictions are float32 with the right shapes, and values lie in [−1, 1]; a row does not depend
    on the rest of the batch; ``flops`` agrees with XLA's count.

    ``flops`` counts 2 per multiply-add of a weight, and a convolution at every output cell, padding
    included. XLA leaves the padding out, so it is added here; and it counts element-wise work, so
    it finds a little more. XLA counts the body of a loop only once: write blocks out, do not
    `jax.lax.scan` over them. Run it on a CPU: elsewhere XLA does not see into a vendor's library.

    Args:
        architecture: the architecture.
        game: a game that it is built for.
        config: its size; the default size of a network if left out.
        surplus: the largest fraction by which XLA's count may exceed ``flops``. Below a width of
            some 32, element-wise work is a larger part.
        options: of the architecture.

    Raises:
        AssertionError: a law is broken; the message says which.
    """
    shape = Shape.of(game)
    for heads in ((), HEADS):
        model = architecture.make(shape, config or NetworkConfig(), heads, **options)
        compiled = _compile(model, shape)
        _check_parameters(model)
        _check_predictions(model, compiled, shape, heads)
        _check_flops(model, compiled, shape, surplus)


def _compile(model: Model, shape: Shape) -> Any:
    """Compiles a network for a batch, quickly rather than to fast code."""
    observations = jax.ShapeDtypeStruct((ROWS, *shape.observation), jnp.bool)
    apply = jax.jit(model.apply, compiler_options=QUICK)
    return apply.lower(network.shapes(model.init), observations).compile()


def _check_parameters(model: Model) -> None:
    """Checks the types of fresh parameters, and that they depend on the key only."""
    init = jax.jit(model.init, compiler_options=QUICK)
    params, again, other = (jax.device_get(init(jax.random.key(seed))) for seed in (0, 0, 1))
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path)
        require(
            all(isinstance(part, jax.tree_util.DictKey) for part in path),
            f"parameters must be nested dictionaries of arrays, got {name}",
        )
        require(leaf.dtype == np.float32, f"parameter {name} must be float32, got {leaf.dtype}")
    require(equal(params, again), "init gives other parameters for the same key")
    require(not equal(params, other), "init ignores its key")


def _check_flops(model: Model, compiled: Any, shape: Shape, surplus: float) -> None:
    """Checks a network's FLOPs for one position against what XLA counts."""
    observations = jax.ShapeDtypeStruct((ROWS, *shape.observation), jnp.bool)
    jaxpr: Any = jax.make_jaxpr(model.apply)(network.shapes(model.init), observations)
    counted = (compiled.cost_analysis()["flops"] + _padding_flops(jaxpr.jaxpr)) / ROWS
    require(
        model.flops <= counted <= (1 + surplus) * model.flops,
        f"flops is {model.flops:,}, but XLA counts {counted:,.0f} for one position, padding "
        f"included; it may exceed flops by 0 to {surplus:.0%}",
    )


def _check_predictions(model: Model, apply: Any, shape: Shape, heads: Heads) -> None:
    """Checks shapes, types and ranges, and that rows are computed independently."""
    rng = np.random.default_rng(0)
    observations = rng.random((ROWS, *shape.observation)) < 0.5
    mixed = np.concatenate([observations[: ROWS // 2], ~observations[ROWS // 2 :]])
    for scale in SCALES:
        params = jax.tree.map(
            lambda leaf, f=scale: (leaf * f).astype(leaf.dtype), network.pseudo_random(model.init)
        )
        whole = _predict(apply, params, observations)
        _check_shapes(whole, shape, heads)
        require(
            all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(whole)),
            "a prediction is not finite",
        )
        require(bool(np.all(np.abs(whole.value) <= 1)), "a value lies outside of [−1, 1]")
        other = _predict(apply, params, mixed)
        for name, first, second in _by_output(whole, other):
            require(
                np.array_equal(first[: ROWS // 2], second[: ROWS // 2]),
                f"{name} of a row depends on the other rows of its batch",
            )
            require(
                not np.array_equal(first[ROWS // 2 :], second[ROWS // 2 :]) or scale > 1,
                f"{name} does not depend on the observation",
            )


def _predict(apply: Any, params: Params, observations: np.ndarray) -> Prediction:
    prediction = jax.device_get(apply(params, observations))
    require(isinstance(prediction, Prediction), f"apply must return a Prediction: {prediction!r}")
    return prediction


def _check_shapes(prediction: Prediction, shape: Shape, heads: Heads) -> None:
    """Checks the shape and type of each output, auxiliary heads included."""
    by_kind = {"cells": shape.observation[:2], "actions": (shape.actions,), "scalar": ()}
    expected = {"policy_logits": (shape.actions,), "value": ()}
    expected |= {f"auxiliary[{name!r}]": by_kind[kind] for name, kind in heads}
    outputs = {name: array for name, array, _ in _by_output(prediction, prediction)}
    require(
        outputs.keys() == expected.keys(),
        f"the outputs must be {', '.join(sorted(expected))}; got {', '.join(sorted(outputs))}",
    )
    for name, array in outputs.items():
        wanted = (ROWS, *expected[name])
        require(
            array.shape == wanted and array.dtype == np.float32,
            f"{name} must be float32{[*wanted]}, got {array.dtype}{[*array.shape]}",
        )


def _by_output(
    first: Prediction, second: Prediction
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields the outputs of two predictions of one network, by name."""
    yield "policy_logits", np.asarray(first.policy_logits), np.asarray(second.policy_logits)
    yield "value", np.asarray(first.value), np.asarray(second.value)
    for name, array in first.auxiliary.items():
        yield f"auxiliary[{name!r}]", np.asarray(array), np.asarray(second.auxiliary[name])


def _padding_flops(jaxpr: Any) -> int:
    """Counts the FLOPs of convolution taps that fall on the padding, which XLA leaves out."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            total += _padding_of(equation)
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)  # a closed one, or the thing itself
            total += _padding_flops(inner) if hasattr(inner, "eqns") else 0
    return total


def _padding_of(equation: Any) -> int:
    """Counts the same for one convolution."""
    params, (inputs, kernel) = equation.params, (variable.aval for variable in equation.invars)
    (output,) = equation.outvars
    numbers = params["dimension_numbers"]
    taps_inside = taps = 1
    for i, (low, _) in enumerate(params["padding"]):
        size = inputs.shape[numbers.lhs_spec[2 + i]]
        span = 1 + (size - 1) * params["lhs_dilation"][i]
        steps = np.arange(output.aval.shape[numbers.out_spec[2 + i]]) * params["window_strides"][i]
        window = np.arange(kernel.shape[numbers.rhs_spec[2 + i]]) * params["rhs_dilation"][i]
        places = steps[:, None] + window - low
        inside = (places >= 0) & (places < span) & (places % params["lhs_dilation"][i] == 0)
        taps_inside, taps = taps_inside * int(inside.sum()), taps * places.size
    batch, features = (output.aval.shape[numbers.out_spec[i]] for i in (0, 1))
    return 2 * batch * features * kernel.shape[numbers.rhs_spec[1]] * (taps - taps_inside)
