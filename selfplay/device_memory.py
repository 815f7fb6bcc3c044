"""Device memory of a program, estimated from its trace, without compiling it.

What a program holds is decided when XLA compiles it, which takes half a minute for a large search.
This estimates it in about a second, by rules that XLA follows in the main:

* Convolutions, matrix products, reductions, sorts and loops store their results. Everything else is
  computed where it is needed, as part of what needs it.
* Convolutions, products and loops read stored arrays, and lookups look into stored arrays. So what
  they need is stored when it is computed. A value that several operations need is stored too, if it
  depends on several arrays of at least its size, as the sums of a residual network do.
* An array is kept until its last use. Loops, and updates of single elements, overwrite arrays that
  nothing reads later.

The test compares it with XLA's own analysis of training programs: they agree within 15 %. What
libraries of kernels take for themselves is not included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

CALLS = (
    "jit",
    "shard_map",
    "closed_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "remat2",
    "checkpoint",
)
LOOPS = ("scan", "while", "cond")
KERNELS = ("conv_general_dilated", "dot_general", "sort", "cumsum", "cumlogsumexp", "cummax")
LOOKUPS = ("gather", "dynamic_slice")
REDUCTIONS = ("reduce_", "arg")  # how their names begin
UPDATES = ("scatter", "scatter-add", "scatter-mul", "dynamic_update_slice")
KEY_BYTES = 8  # of a random key, whose type NumPy does not know


class ProgramMemory(NamedTuple):
    """Bytes of device memory that a program needs while it runs."""

    arguments: int
    results: int
    carried: int  # temporary arrays that loops carry, at the peak: of self-play, the search trees
    working: int  # other temporary arrays at the peak

    @property
    def temporary(self) -> int:
        """Bytes of all temporary arrays at the peak."""
        return self.carried + self.working

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return self.arguments + self.results + self.temporary


class Program(NamedTuple):
    """A function that is made for ``jit``, and its arguments; shapes may stand for arrays."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def memory(self) -> ProgramMemory:
        """Estimates the memory that it needs, from its trace."""
        trace, results = jax.make_jaxpr(self.function, return_shape=True)(*self.arguments)
        level = _Level(trace.jaxpr, [False] * len(trace.jaxpr.invars))
        given_back = {value.stored for value in level.results if value}
        carried, working = level.peak(given_back)
        return ProgramMemory(array_bytes(self.arguments), array_bytes(results), carried, working)


def array_bytes(tree: Any) -> int:
    """Counts the bytes of a tree's arrays, which may be given by their shapes."""
    return sum(map(_bytes, jax.tree.leaves(jax.eval_shape(lambda: tree))))


def _bytes(shaped: Any) -> int:
    is_key = jnp.issubdtype(shaped.dtype, jax.dtypes.prng_key)
    return math.prod(shaped.shape) * (KEY_BYTES if is_key else np.dtype(shaped.dtype).itemsize)


class _Array:
    """An array in memory, with the moments of its life.

    Operation n reads at moment 2n. Kernels and loops write at the same moment, while their operands
    exist; what is computed element by element may take an operand's place, at 2n + 1.
    """

    def __init__(self, size: int, born: int = 0, *, overwritable: bool = True) -> None:
        self.size, self.born, self.last = size, born, born
        self.overwritable, self.carried = overwritable, False


class _Value:
    """A value of a program: stored in an array, or computed from arrays where it is needed."""

    def __init__(self, size: int) -> None:
        self.size, self.moment = size, 0
        self.arrays = frozenset[_Array]()
        self.stored: _Array | None = None

    def store(self, array: _Array) -> None:
        """Puts the value into an array."""
        self.stored, self.arrays = array, frozenset([array])

    def use(self, moment: int) -> None:
        """Keeps the arrays that the value depends on until `moment`."""
        for array in self.arrays:
            array.last = max(array.last, moment)


class _Operation(NamedTuple):
    """An operation; None among its operands is a constant."""

    name: str
    equation: Any
    operands: Sequence[_Value | None]
    results: Sequence[_Value]


_Values = dict[Any, _Value | None]
"""The values of a program's variables; None = a constant."""


def _read(values: _Values, atom: Any) -> _Value | None:
    return None if isinstance(atom, Literal) else values[atom]


def _body(program: ClosedJaxpr | Jaxpr) -> Jaxpr:
    return program.jaxpr if isinstance(program, ClosedJaxpr) else program


def _operations(jaxpr: Jaxpr, values: _Values) -> Iterator[_Operation]:
    """Yields the operations of a program and of the functions that it calls; fills in `values`."""
    values.update(dict.fromkeys(jaxpr.constvars))
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        operands = [_read(values, atom) for atom in equation.invars]
        if name in CALLS:
            called = _body(parameters["call_jaxpr" if "call_jaxpr" in parameters else "jaxpr"])
            inside = _Values(zip(called.invars, operands, strict=True))
            yield from _operations(called, inside)
            results = [_read(inside, atom) for atom in called.outvars]
            values.update(zip(equation.outvars, results, strict=True))
        else:
            results = [_Value(_bytes(variable.aval)) for variable in equation.outvars]
            values.update(zip(equation.outvars, results, strict=True))
            yield _Operation(name, equation, operands, results)


def _larger(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """Counts the arrays that have another dimension outside of a loop's body."""
    pairs = zip(outside, inside, strict=True)
    return sum(len(one.aval.shape) > len(two.aval.shape) for one, two in pairs)


class _Level:
    """The arrays of a program, or of a loop's body; what the caller passes is counted there."""

    def __init__(self, jaxpr: Jaxpr, overwritable: Sequence[bool]) -> None:
        """Follows the program, which may overwrite those arguments that are `overwritable`."""
        values = _Values()
        for variable, may in zip(jaxpr.invars, overwritable, strict=True):
            values[variable] = argument = _Value(_bytes(variable.aval))
            argument.store(_Array(0, overwritable=may))
        self._arrays = list[_Array]()
        self._operations = list(_operations(jaxpr, values))
        self._inside = [(0, 0)] * len(self._operations)
        self.results = [_read(values, atom) for atom in jaxpr.outvars]
        self._readers = dict[_Value, list[int]]()
        for number, operation in enumerate(self._operations):
            for value in filter(None, operation.operands):
                self._readers.setdefault(value, []).append(number)
        for value in filter(None, self.results):
            self._readers.setdefault(value, []).append(len(self._operations))
        for number, operation in enumerate(self._operations):
            self._follow(number, operation)
        for value in filter(None, self.results):
            value.use(2 * len(self._operations))

    def peak(self, elsewhere: Container[_Array | None] = ()) -> tuple[int, int]:
        """Returns the bytes of carried and of other arrays when they are most.

        Arrays `elsewhere` do not count.
        """
        grown = np.zeros((2 * len(self._operations) + 2, 2), np.int64)
        for array in self._arrays:
            if array not in elsewhere:
                kind = 0 if array.carried else 1
                grown[array.born, kind] += array.size
                grown[array.last + 1, kind] -= array.size
        held = grown.cumsum(axis=0)
        held[: 2 * len(self._inside) : 2] += np.array(self._inside, np.int64).reshape(-1, 2)
        carried, working = held[held.sum(axis=1).argmax()]
        return int(carried), int(working)

    def _follow(self, number: int, operation: _Operation) -> None:
        """Gives the results of an operation their arrays."""
        name, _, operands, results = operation
        if name in LOOPS or name in KERNELS:
            self._store(operands)
        elif name in LOOKUPS or name in UPDATES:
            self._store(operands[:1])
        for value in filter(None, operands):
            value.use(2 * number)
        if name in LOOPS:
            self._follow_loop(number, operation)
        elif name in UPDATES:
            self._overwrite(number, operands[0], results[0])
        elif name in KERNELS or name.startswith(REDUCTIONS):
            for value in results:
                self._add(value, 2 * number)
        else:
            arrays = frozenset[_Array]().union(*(value.arrays for value in operands if value))
            for value in results:
                value.moment, value.arrays = 2 * number + 1, arrays
                is_shared = len(self._readers.get(value, ())) > 1
                if is_shared and sum(array.size >= value.size for array in arrays) > 1:
                    self._store([value])

    def _follow_loop(self, number: int, operation: _Operation) -> None:
        """Looks into the bodies of a loop or of branches."""
        name, equation, operands, results = operation
        parameters: Mapping[str, Any] = equation.params
        if name == "scan":
            bodies = [parameters["jaxpr"]]
            inside = _body(parameters["jaxpr"])
            # Operands are constants, what is carried, and what is sliced; results the last two.
            sliced = _larger(equation.invars, inside.invars)
            carried = len(results) - _larger(equation.outvars, inside.outvars)
            first = len(operands) - sliced - carried
            carry = operands[first : first + carried]
            overwritable = [[first <= i < first + carried for i in range(len(operands))]]
        elif name == "while":
            bodies = [parameters["cond_jaxpr"], parameters["body_jaxpr"]]
            first = parameters["cond_nconsts"] + parameters["body_nconsts"]
            carry = operands[first:]
            overwritable = [
                [i >= constants for i in range(constants + len(carry))]
                for constants in (parameters["cond_nconsts"], parameters["body_nconsts"])
            ]
        else:
            bodies, carry = parameters["branches"], ()
            overwritable = [[False] * (len(operands) - 1) for _ in bodies]
        levels = (_Level(_body(body), may) for body, may in zip(bodies, overwritable, strict=True))
        self._inside[number] = max((level.peak() for level in levels), key=sum)
        for i, value in enumerate(results):
            if i < len(carry):
                self._overwrite(number, carry[i], value)
            else:
                self._add(value, 2 * number)
            if value.stored and i < len(carry):
                value.stored.carried = True

    def _store(self, values: Iterable[_Value | None]) -> None:
        """Stores values that are not stored yet, as of when they were computed."""
        for value in filter(None, values):
            if value.stored is None:
                value.use(value.moment)
                self._add(value, value.moment)

    def _overwrite(self, number: int, old: _Value | None, new: _Value) -> None:
        """Puts a result into the array of an operand, if nobody reads that later."""
        array = old.stored if old else None
        if old and array and array.overwritable and self._readers[old][-1] == number:
            new.store(array)
        else:
            self._add(new, 2 * number)

    def _add(self, value: _Value, moment: int) -> None:
        """Stores a value in an array of its own."""
        array = _Array(value.size, moment)
        self._arrays.append(array)
        value.store(array)
