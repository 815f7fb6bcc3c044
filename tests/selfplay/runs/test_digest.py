"""Digests ignore order, device, layout and container, and notice every other difference."""

import hashlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from selfplay.runs.digest import digest
from selfplay.runs.tree import flatten, nest, unflatten

RENEW = "a new digest format orphans every run folder: raise codec.FORMAT_VERSION with it"
ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.int8, np.bool_, np.uint16, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


class Pair(NamedTuple):  # out of order: the digest sorts by path
    b: Any
    a: Any


def test_digest_has_its_documented_format() -> None:
    tree = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.int32(7)}
    header = b'["step", "int32", []]\n' + b"\x07\0\0\0" + b'["w", "float32", [2, 3]]\n'
    expected = hashlib.sha256(header + tree["w"].tobytes()).hexdigest()
    assert digest(tree) == expected, RENEW


def test_digest_ignores_order_device_layout_and_container() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.ones(2, np.float32)
    expected = digest({"a": a, "b": b})
    assert digest({"b": b, "a": a}) == expected
    assert digest({"a": np.asfortranarray(a), "b": jnp.asarray(b)}) == expected
    assert digest({"a": a.astype(">f8"), "b": b}) == expected
    assert digest(Pair(b, a)) == expected
    assert digest(flatten({"x": {"a": a}, "y": [b]})) == digest({"x": {"a": a}, "y": [b]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float32(0.0), np.float32(-0.0)),
        (np.zeros(2, np.float32), np.zeros(2, np.int32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((0, 3)), np.zeros((3, 0))),
        ({"a": 1}, {"b": 1}),
        (1, 1.0),
        (True, 1),
        (
            np.array([0x7FC00000], np.uint32).view(np.float32),
            np.array([0x7FC00001], np.uint32).view(np.float32),
        ),
        (jnp.zeros(2, jnp.bfloat16), jnp.zeros(2, jnp.float16)),
        (jnp.array(0.0, jnp.bfloat16), jnp.array(-0.0, jnp.bfloat16)),
        (jax.random.key(0), jax.random.key(1)),
    ],
)
def test_digest_distinguishes_values_types_shapes_and_paths(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


@settings(max_examples=60, deadline=None)
@given(ARRAYS, st.data())
def test_digest_changes_with_any_byte(array: np.ndarray, data: st.DataObject) -> None:
    assert digest(array) == digest(array.copy())
    if array.nbytes:
        changed = bytearray(array.tobytes())
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1
        other = np.frombuffer(bytes(changed), array.dtype).reshape(array.shape)
        assert digest(array) != digest(other)


def test_digest_refuses_objects_and_repeated_paths() -> None:
    with pytest.raises(TypeError, match="leaf at 'a/b'"):
        digest({"a": {"b": object()}})
    with pytest.raises(ValueError, match="two leaves at 'a/b'"):
        digest({"a/b": 1, "a": {"b": 2}})


def test_unflatten_and_nest_undo_flatten() -> None:
    tree: dict[str, Any] = {
        "p": {"w": jnp.ones((2, 3), jnp.bfloat16)},
        "k": jax.random.key(3),
        "n": 4,
        "f": 0.5,
    }
    flat = flatten(tree)
    assert list(flat) == ["f", "k", "n", "p/w"]
    back = unflatten(tree, flat)
    assert digest(back) == digest(tree)
    assert isinstance(back["n"], int) and isinstance(back["p"]["w"], jax.Array)
    assert jax.random.normal(back["k"]) == jax.random.normal(tree["k"])
    assert set(nest(flat)["p"]) == {"w"}
    shape = jax.ShapeDtypeStruct((2, 3), jnp.bfloat16)
    assert isinstance(unflatten({"w": shape}, {"w": flat["p/w"]})["w"], np.ndarray)


def test_unflatten_names_the_differing_path() -> None:
    like = {"w": np.zeros((2, 3), np.float32)}
    with pytest.raises(ValueError, match="lacks 'w'"):
        unflatten(like, {"v": np.zeros(1)})
    with pytest.raises(ValueError, match="unexpected 'v'"):
        unflatten(like, {"w": like["w"], "v": np.zeros(1)})
    with pytest.raises(ValueError, match=r"'w' is float32\[3\], expected float32\[2, 3\]"):
        unflatten(like, {"w": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="'w' is float64"):
        unflatten(like, {"w": np.zeros((2, 3))}, check_shape=False)
    with pytest.raises(ValueError, match=r"names both|passes through"):
        nest({"a": np.ones(1), "a/b": np.ones(1)})
