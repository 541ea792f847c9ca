"""The neurons and fused cells of the tuned twins are as close to the exact functions as their sources say.

Errors are in units of 2^-24, relative to the exact value; every exponent, both signs, subnormals, zeros, infinities and
NaN are tried, and the neighbourhood of every place where an implementation changes its way.
"""

from __future__ import annotations

import ctypes
import math
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("setuptools", reason="the build needs setuptools; pip install --group build")
import host
import mpsrnn_cy as mps
import toolchain

ROOT = Path(host.__file__).parents[2]
SOURCE = Path(__file__).parent / "twins" / "neurons.cpp"
INCLUDES = ("metal/cpu", "objc/portable", "objc", "metal", "metal/host/cpu")

# Those of setup.py; and on x86-64 also what other processors have: four lanes, with fused multiplication and addition.
X86_64_V3 = ("-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe")
AVX_512 = ("-mavx512f", "-mavx512dq", "-mavx512cd", "-mavx512bw", "-mavx512vl")
INSTRUCTION_SETS: dict[str, tuple[int, set[str], tuple[str, ...]]] = {
    "four lanes": (4, {"fma"}, ("-mfma",)),
    "x86-64-v3": (8, {"avx2", "fma", "f16c"}, X86_64_V3),
    "x86-64-v4": (16, {"avx2", "fma", "f16c", "avx512vl", "avx512dq", "avx512bw"}, (*X86_64_V3, *AVX_512)),
}
if platform.machine() == "aarch64":
    INSTRUCTION_SETS = {"baseline": (4, set(), ())}

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="twins belong to the portable device")

UNIT = 2.0**-24
LEAST_NORMAL = 2.0**-126
LARGEST = float(np.finfo(np.float32).max)
BLOCK = 64  # elements that share every vector of every instruction set

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Type = mps.MPSCNNNeuronType


@dataclass
class Twins:
    """The compiled functions; arrays have a multiple of `BLOCK` elements."""

    library: ctypes.CDLL

    def neuron(self, function: str, kind: int, parameters: tuple[float, float, float], x: Floats) -> Floats:
        y = np.empty_like(x)
        abc = [ctypes.c_float(p) for p in parameters]
        getattr(self.library, function)(kind, *abc, _pointer(x), _pointer(y), ctypes.c_size_t(x.size))
        return y

    def cell(self, function: str, gates: Floats, c0: Floats) -> tuple[Floats, Floats]:
        memory, output = np.empty_like(c0), np.empty_like(c0)
        arrays = map(_pointer, (gates, c0, memory, output))
        getattr(self.library, function)(*arrays, ctypes.c_size_t(c0.size))
        return memory, output


def _pointer(array: Floats) -> ctypes.c_void_p:
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert array.shape[-1] % BLOCK == 0
    return ctypes.c_void_p(array.ctypes.data)


@pytest.fixture(scope="module", params=INSTRUCTION_SETS)
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    lanes, features, options = INSTRUCTION_SETS[request.param]
    if features and not features <= set(Path("/proc/cpuinfo").read_text().split()):
        pytest.skip(f"this CPU cannot run {request.param}")
    compiler = toolchain.find_cxx(sysconfig.get_platform())
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    output = tmp_path_factory.mktemp("twins") / "neurons.so"
    flags = (*toolchain.CXX_FLAGS, "-Wall", "-Wextra", "-Werror", "-O3", *options, "-fPIC", "-shared")
    folders = [f"-I{ROOT / folder}" for folder in INCLUDES]
    command = [*compiler.command, *flags, *folders, str(SOURCE), "-o", str(output), "-lm"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    library = ctypes.CDLL(str(output))
    assert ctypes.c_int.in_dll(library, "LANES_OF_TWINS").value == lanes
    return Twins(library)


def padded(values: Floats) -> Floats:
    return np.resize(values, -(-values.size // BLOCK) * BLOCK)


def all_kinds_of_floats() -> Floats:
    """Some hundred floats of every exponent, and all that are near to where something changes."""
    rng = np.random.default_rng(1)
    mantissas = np.concatenate([[0, 1, 2, 2**22, 2**23 - 2, 2**23 - 1], rng.integers(0, 2**23, 250)])
    exponents = np.arange(255)
    positive = (exponents[:, None] << 23 | mantissas).astype(np.uint32).ravel()
    # Clamps and ranges; a few ulps around each. Halves of ln 2 are where a power of two changes.
    edges = [0.5, 1, 4, 6, 10, 20, 40, 87, 87.33655, 88, 88.72284, 89, 103.27893, 103.97208, 104]
    edges += [0.5**0.5, 2**0.5, 4 * 2**0.5, *(np.arange(1, 300) / 2 * np.log(2)), *2.0 ** np.arange(-30, 31)]
    near = np.array(edges, np.float32).view(np.uint32)[:, None] + np.arange(-40, 41)
    positive = np.concatenate([positive, near.astype(np.uint32).ravel()]).view(np.float32)
    dense = np.linspace(0, 110, 30_000, dtype=np.float32)
    special = np.array([np.inf, np.nan], np.float32)
    values = np.concatenate([positive, dense, special])
    return padded(np.concatenate([values, -values]))


def to_float(x: Doubles) -> Doubles:
    """Rounded as a float is, in double precision."""
    return x.astype(np.float32).astype(np.float64)


erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True)
class Bounded:
    """A neuron: the exact function of doubles x and of a, b and c; `units` as in metal/cpu, and the parameters."""

    exact: Callable[[Doubles, float, float, float], Doubles]
    units: float
    parameters: tuple[tuple[float, float, float], ...]
    of_argument: bool = False  # whether the units are of x and not of the result
    floor: float = 2.0**-147


PLAIN = (1.0, 0.0, -1.0)

NEURONS = {
    Type.NONE: Bounded(lambda x, a, b, c: x, 0, (PLAIN,)),
    Type.RELU: Bounded(lambda x, a, b, c: np.where(x >= 0, x, a * x), 1, ((0.0, 0.0, 0.0), (0.1, 0.0, 0.0))),
    Type.LINEAR: Bounded(lambda x, a, b, c: a * x + b, 1, ((1.5, -0.75, 0.0), (-2.0, 0.5, 0.0))),
    Type.SIGMOID: Bounded(lambda x, a, b, c: 1 / (1 + np.exp(-x)), 3, (PLAIN,), floor=LEAST_NORMAL),
    Type.HARD_SIGMOID: Bounded(
        lambda x, a, b, c: np.clip(a * x + b, 0, 1), 1, ((0.25, 0.5, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.5, 0.0))
    ),
    Type.TANH: Bounded(
        lambda x, a, b, c: a * np.tanh(to_float(b * x)), 6, ((1.0, 1.0, 0.0), (1.5, 0.3, 0.0), (-2.0, 3.0, 0.0))
    ),
    Type.ABSOLUTE: Bounded(lambda x, a, b, c: np.abs(x), 0, (PLAIN,)),
    Type.SOFT_PLUS: Bounded(
        lambda x, a, b, c: a * np.logaddexp(0, to_float(b * x)), 5, ((1.0, 1.0, 0.0), (0.3, -2.0, 0.0))
    ),
    Type.SOFT_SIGN: Bounded(lambda x, a, b, c: x / (1 + np.abs(x)), 3, (PLAIN,)),
    Type.ELU: Bounded(
        lambda x, a, b, c: np.where(x >= 0, x, a * np.expm1(np.where(x >= 0, 0, x))),
        4,
        ((1.0, 0.0, 0.0), (0.3, 0.0, 0.0)),
    ),
    Type.PRELU: Bounded(lambda x, a, b, c: np.where(x >= 0, x, a * x), 1, ((0.3, 0.0, 0.0),)),
    Type.RELUN: Bounded(
        lambda x, a, b, c: np.where(np.isnan(x), x, np.minimum(np.where(x >= 0, x, a * x), b)),
        1,
        ((0.0, 6.0, 0.0), (0.1, -1.0, 0.0)),
    ),
    Type.EXPONENTIAL: Bounded(lambda x, a, b, c: np.exp(to_float(a * x + b)), 2, (PLAIN, (-0.5, 1.0, -1.0))),
    Type.LOGARITHM: Bounded(lambda x, a, b, c: np.log(to_float(a * x + b)), 2, (PLAIN, (-2.0, 0.5, -1.0))),
    Type.GELU: Bounded(lambda x, a, b, c: 0.5 * x * erfc(-x / np.sqrt(2)), 3, (PLAIN,), of_argument=True),
}
OTHER_BASES = Bounded(
    lambda x, a, b, c: np.log(to_float(a * x + b)) / np.log(c), 5, tuple((1.0, 0.0, c) for c in (10.0, 0.5, 1.0, -2.0))
)
CASES = [*NEURONS.items(), (Type.LOGARITHM, OTHER_BASES)]


def assert_within(got: Floats, exact: Doubles, tolerance: Doubles, x: Floats) -> None:
    """Within a tolerance; what is not finite has to be the same, but for the last float before an infinity."""
    with np.errstate(all="ignore"):
        near = np.abs(got - exact) <= tolerance
        overflows = np.isinf(got) & (np.sign(got) == np.sign(exact)) & (np.abs(exact) + tolerance > LARGEST)
        right = near | overflows | (got == exact) | (np.isnan(got) & np.isnan(exact))
        if not right.all():
            first = np.flatnonzero(~right)[:5]
            worst = np.nanmax(np.where(right, 0, np.abs(got - exact) / np.abs(exact))) / UNIT
            pytest.fail(f"{x[..., first]}: {got[first]} for {exact[first]}; the largest error is {worst:.2f} units")


def tolerance_of(bounded: Bounded, x: Doubles, exact: Doubles) -> Doubles:
    scale = np.abs(x if bounded.of_argument else exact)
    return np.where(np.isfinite(scale), bounded.units * UNIT * scale + bounded.floor, 0.0)


@pytest.mark.parametrize(("kind", "bounded"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_neurons_keep_their_bounds(twins: Twins, kind: Type, bounded: Bounded) -> None:
    x = all_kinds_of_floats()
    wide = x.astype(np.float64)
    for parameters in bounded.parameters:
        a, b, c = (float(np.float32(p)) for p in parameters)
        got = twins.neuron("apply_neuron", int(kind), parameters, x)
        with np.errstate(all="ignore"):
            exact = bounded.exact(wide, a, b, c)
            tolerance = tolerance_of(bounded, wide, exact)
        assert_within(got, exact, tolerance, x)


@pytest.mark.parametrize(("kind", "bounded"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_what_is_not_finite_is_as_in_the_kernel(twins: Twins, kind: Type, bounded: Bounded) -> None:
    x = all_kinds_of_floats()
    for parameters in bounded.parameters:
        got = twins.neuron("apply_neuron", int(kind), parameters, x)
        expected = twins.neuron("apply_kernel_neuron", int(kind), parameters, x)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        # Next to the largest float an error of the last place decides.
        edge = np.minimum(np.abs(got), np.abs(expected)) >= np.float32(LARGEST * (1 - 8 * UNIT))
        infinite = np.isinf(got) | np.isinf(expected)
        np.testing.assert_array_equal(got[infinite & ~edge], expected[infinite & ~edge])


@pytest.mark.parametrize("kind", [Type.POWER, Type.EXPONENTIAL])
def test_powers_are_the_kernels(twins: Twins, kind: Type) -> None:
    x = all_kinds_of_floats()
    for parameters in ((1.0, 0.0, 2.0), (-0.5, 1.0, 0.5), (1.0, 0.0, 3.0)):
        got = twins.neuron("apply_neuron", int(kind), parameters, x)
        np.testing.assert_array_equal(got, twins.neuron("apply_kernel_neuron", int(kind), parameters, x))


# Fused cells ------------------------------------------------------------------------------------------------


def cell_cases() -> tuple[Floats, Floats]:
    """Gates [4, n] and memories: blocks of a kind, for a cell looks whether all of a vector are in a range."""
    rng = np.random.default_rng(2)
    n = 200 * BLOCK
    every = all_kinds_of_floats()
    gates = [
        rng.normal(0, 2, (4, n)),
        rng.uniform(-19.99, 19.99, (4, n)),
        rng.uniform(-21, 21, (4, n)),
        rng.uniform(-110, 110, (4, n)),
        rng.normal(0, 1, (4, n)) * 10.0 ** rng.uniform(-20, 2, (4, n)),
        rng.choice(every, (4, n)),
        rng.normal(0, 2, (4, n)),
    ]
    memories = [
        rng.normal(0, 1, n),
        rng.uniform(-25, 25, n),
        rng.normal(0, 1, n) * 10.0 ** rng.uniform(-6, 6, n),
        rng.normal(0, 1, n) * 10.0 ** rng.uniform(-30, 30, n),
        rng.choice(every, n),
    ]
    pairs = [(g, m) for g in gates for m in memories]
    all_gates = np.concatenate([g for g, _ in pairs], axis=1).astype(np.float32)
    return all_gates, np.concatenate([m for _, m in pairs]).astype(np.float32)


def sigmoid(x: Doubles) -> Doubles:
    return 1 / (1 + np.exp(-x))


@dataclass(frozen=True)
class CellBounds:
    """As the source states them.

    A sigmoid has `units` and, below zero, `slope` times its argument more; it is off by `floor` besides.
    """

    function: str
    units: float
    slope: float
    floor: float

    @property
    def least(self) -> float:
        return self.floor * (1 + self.units * UNIT)

    def of_gate(self, x: Doubles) -> Doubles:
        return (self.units + self.slope * np.maximum(-x, 0)) * UNIT


CELLS = [
    CellBounds("apply_image_cell", 12, 0, LEAST_NORMAL),
    CellBounds("apply_matrix_cell", 8, 1.25, 2.0**-45),
]


@pytest.mark.parametrize("bounds", CELLS, ids=lambda bounds: bounds.function)
def test_fused_cells_keep_their_bounds(twins: Twins, bounds: CellBounds) -> None:
    gates, c0 = cell_cases()
    memory, output = twins.cell(bounds.function, gates, c0)
    i, f, g, o = gates.astype(np.float64)
    with np.errstate(all="ignore"):
        kept, added = sigmoid(f) * c0.astype(np.float64), sigmoid(i) * np.tanh(g)
        exact = kept + added
        tolerance = bounds.of_gate(f) * np.abs(kept) + bounds.of_gate(i) * np.abs(added)
        tolerance += bounds.least * (1 + np.abs(c0)) + LEAST_NORMAL
        # A gate that no float is small enough for, of an infinity: nothing can be demanded.
        decided = ~(np.isinf(c0) & (f < -80))
        finite = np.where(np.isfinite(exact), tolerance, 0.0)
        assert_within(memory[decided], exact[decided], finite[decided], gates[:, decided])
        # From the memory as it was found.
        exact = sigmoid(o) * np.tanh(memory.astype(np.float64))
        tolerance = bounds.of_gate(o) * np.abs(exact) + bounds.least + LEAST_NORMAL
        finite = np.where(np.isfinite(exact), tolerance, 0.0)
        assert_within(output, exact, finite, gates)
