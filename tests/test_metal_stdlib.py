"""The CPU's metal_stdlib computes what Metal's does, and refuses what Metal refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import host
from host.library import FUNCTIONS, PRECISE_FUNCTIONS

METAL = Path(host.__file__).parents[1]
PROGRAMS = Path(__file__).parent / "metal_stdlib"
COMPILE = (
    *("g++", "-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fsigned-char"),
    *("-Wall", "-Wextra", f"-I{METAL / 'host/cpu'}"),
)
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Werror")

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


def has_f16c() -> bool:
    path = Path("/proc/cpuinfo")
    return path.exists() and {"avx2", "fma", "f16c", "bmi2"} <= set(path.read_text().split())


@dataclass
class Arrays:
    program: Path

    def __call__(self, function: str, data: np.ndarray, *arguments: int) -> bytes:
        command = [str(self.program), function, str(data.nbytes), *map(str, arguments)]
        result = subprocess.run(command, input=data.tobytes(), capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    def function(self, name: str, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """The results for float4, float3, float2 and float, which have to be the same, once."""
        out = np.frombuffer(self(name, np.stack([a, b, c])), np.float32).reshape(4, -1)
        for other in out[1:]:
            np.testing.assert_array_equal(other, out[0])
        return out[0]


@pytest.fixture(scope="module", params=["baseline", "x86_64_v3"])
def arrays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """The program, built for each way of converting half."""
    if request.param == "x86_64_v3" and not has_f16c():
        pytest.skip("this processor has no F16C")
    options = ["-march=x86-64-v3", "-ffp-contract=off"] if request.param == "x86_64_v3" else []
    program = tmp_path_factory.mktemp(request.param) / "arrays"
    command = [*COMPILE, *SANITIZE, str(PROGRAMS / "arrays.cpp"), "-o", str(program), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return Arrays(program)


# half -------------------------------------------------------------------------------------------------------


def same_bits(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal, the sign of zero included; a NaN has to be a NaN."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), nan)
    unsigned = np.dtype(f"u{got.itemsize}")
    np.testing.assert_array_equal(got.view(unsigned)[~nan], expected.view(unsigned)[~nan])


def test_every_half_becomes_the_float_it_is(arrays: Arrays) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    scalar, vector = np.frombuffer(arrays("half to float", halves), np.float32).reshape(2, -1)
    same_bits(scalar, halves.astype(np.float32))
    np.testing.assert_array_equal(vector.view(np.uint32), scalar.view(np.uint32))
    nan = np.isnan(halves)
    # A NaN keeps its sign and payload and becomes quiet.
    expected = (halves.view(np.uint16).astype(np.uint32)[nan] & 0x3FF) << 13 | 0x7FC00000
    expected |= (halves.view(np.uint16).astype(np.uint32)[nan] & 0x8000) << 16
    np.testing.assert_array_equal(scalar.view(np.uint32)[nan], expected)


def float_to_half_cases() -> np.ndarray:
    """Every half, every midpoint of two halves with its neighbours, the ends of the ranges, and a million others."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    midpoints = (halves + np.append(halves[1:], np.float32(65536))) / np.float32(2)
    near = [np.nextafter(midpoints, np.float32(side)) for side in (0, np.inf)]
    special = np.array([np.inf, np.nan, 65519.996, 65520, 65536, 1e38, 2**-24, 2**-25, 1e-40, 1e-45], np.float32)
    random = np.random.default_rng(3).integers(0, 2**32, 1_000_000, dtype=np.uint32).view(np.float32)
    in_range = np.random.default_rng(4).standard_normal(100_000).astype(np.float32)
    cases = np.concatenate([halves, midpoints, *near, special, random, in_range])
    cases = np.concatenate([cases, -cases])
    return cases[: len(cases) // 4 * 4]


def test_float_becomes_the_nearest_half(arrays: Arrays) -> None:
    cases = float_to_half_cases()
    scalar, vector = np.frombuffer(arrays("float to half", cases), np.float16).reshape(2, -1)
    with np.errstate(over="ignore"):
        same_bits(scalar, cases.astype(np.float16))
    np.testing.assert_array_equal(vector.view(np.uint16), scalar.view(np.uint16))


def test_half_arithmetic_rounds_each_result_to_half(arrays: Arrays) -> None:
    a, b = np.random.default_rng(5).standard_normal((2, 4000)).astype(np.float16)
    got = np.frombuffer(arrays("half arithmetic", np.stack([a, b])), np.float16).reshape(-1, 5)
    # NumPy computes in float and rounds once, as Metal does.
    same_bits(got.T.copy(), np.stack([a + b, a - b, a * b, a / b, -a + np.float16(1)]))


# Functions --------------------------------------------------------------------------------------------------


def float_cases(low: float, high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    special = np.array(
        [0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1, -1, np.inf, -np.inf, np.nan, 1e-40, 3e38, 8388609], np.float32
    )
    grid = np.array(np.meshgrid(special, special, special[:3])).reshape(3, -1)
    random = rng.uniform(low, high, (3, 2400))
    cases = np.concatenate([grid.astype(np.float32), random.astype(np.float32)], axis=1)
    return tuple(cases[:, : cases.shape[1] // 12 * 12])  # type: ignore[return-value]


# Against NumPy in double precision, in units of the last place: glibc's documented error of each function, and one half
# more for rounding the reference to float.
APPROXIMATE: dict[str, tuple[Callable[..., np.ndarray], tuple[float, float], float]] = {
    "exp": (lambda a, b, c: np.exp(a), (-110, 95), 1.5),
    "precise::exp": (lambda a, b, c: np.exp(a), (-1, 1), 1.5),
    "exp2": (lambda a, b, c: np.exp2(a), (-150, 130), 1.5),
    "log": (lambda a, b, c: np.log(a), (-1, 1000), 1.5),
    "log2": (lambda a, b, c: np.log2(a), (-1, 1000), 1.5),
    "tanh": (lambda a, b, c: np.tanh(a), (-10, 10), 2.5),
    "fast::tanh": (lambda a, b, c: np.tanh(a), (-0.1, 0.1), 2.5),
    "rsqrt": (lambda a, b, c: 1 / np.sqrt(a), (-1, 1000), 2),
    "pow": (lambda a, b, c: np.power(a, b), (-10, 10), 1.5),
    "precise::pow": (lambda a, b, c: np.power(a, b), (0, 3), 1.5),
    "powr": (lambda a, b, c: np.where(a < 0, np.nan, np.power(a, b)), (0, 20), 1.5),
}


@pytest.mark.parametrize("name", APPROXIMATE)
def test_transcendental_functions_are_as_close_as_their_library_says(arrays: Arrays, name: str) -> None:
    reference, (low, high), ulps = APPROXIMATE[name]
    cases = float_cases(low, high)
    got = arrays.function(name, *cases)
    with np.errstate(all="ignore"):
        exact = reference(*(case.astype(np.float64) for case in cases))
        expected = exact.astype(np.float32)
        special = ~np.isfinite(expected) | (exact == 0)
        np.testing.assert_array_equal(got[special], expected[special])
        error = np.abs(got[~special] - exact[~special]) / np.spacing(np.abs(expected[~special]))
    assert error.max() <= ulps


def numpy_sign(a: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(a), np.float32(0), np.where(a == 0, a, np.sign(a)))


EXACT: dict[str, Callable[..., np.ndarray]] = {
    "sqrt": lambda a, b, c: np.sqrt(a),
    "ceil": lambda a, b, c: np.ceil(a),
    "floor": lambda a, b, c: np.floor(a),
    "rint": lambda a, b, c: np.rint(a),
    "trunc": lambda a, b, c: np.trunc(a),
    "fract": lambda a, b, c: np.where(np.isinf(a), 0, np.minimum(a - np.floor(a), np.float32(1 - 2**-24))),
    "sign": lambda a, b, c: numpy_sign(a),
    "copysign": lambda a, b, c: np.copysign(a, b),
    "isnan": lambda a, b, c: np.isnan(a),
    "isinf": lambda a, b, c: np.isinf(a),
    "isfinite": lambda a, b, c: np.isfinite(a),
    "fabs": lambda a, b, c: np.abs(a),
    "abs": lambda a, b, c: np.abs(a),
    "fmax": lambda a, b, c: np.fmax(a, b),
    "fmin": lambda a, b, c: np.fmin(a, b),
    "max": lambda a, b, c: np.fmax(a, b),
    "min": lambda a, b, c: np.fmin(a, b),
    "clamp": lambda a, b, c: np.fmin(np.fmax(a, b), c),
    "mix": lambda a, b, c: a + (b - a) * c,
    "step": lambda a, b, c: np.where(b < a, 0, 1),
    "select": lambda a, b, c: np.where(a < c, b, a),
    "+": lambda a, b, c: a + b,
    "-": lambda a, b, c: a - b,
    "*": lambda a, b, c: a * b,
    "/": lambda a, b, c: a / b,
    "2*-": lambda a, b, c: 2 * -a,
    "<=": lambda a, b, c: a <= b,
    "==": lambda a, b, c: a == b,
}


@pytest.mark.parametrize("name", EXACT)
def test_other_functions_are_exact(arrays: Arrays, name: str) -> None:
    cases = float_cases(-20, 20)
    got = arrays.function(name, *cases)
    with np.errstate(all="ignore"):
        expected = EXACT[name](*cases).astype(np.float32)
    np.testing.assert_array_equal(got, expected)


def test_fma_rounds_once(arrays: Arrays) -> None:
    # 24-bit factors: their product is exact in double, so the double result is rounded to 53 bits and then to 24. With
    # all three numbers of like size that differs from rounding once only where the sum is within 2^-29 of a tie; the
    # integers are chosen so that every sum is exact.
    rng = np.random.default_rng(8)
    a, b = (rng.integers(-(2**23), 2**23, 1200).astype(np.float32) for _ in range(2))
    c = rng.integers(-(2**40), 2**40, 1200).astype(np.float32)
    exact = a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)
    got = arrays.function("fma", a, b, c)
    np.testing.assert_array_equal(got, exact.astype(np.float32))
    assert (got != a * b + c).any()


# Texels -----------------------------------------------------------------------------------------------------

FORMATS = {
    "R8Unorm": (10, np.uint8, 1),
    "R16Unorm": (20, np.uint16, 1),
    "R16Float": (25, np.float16, 1),
    "RG8Unorm": (30, np.uint8, 2),
    "R32Float": (55, np.float32, 1),
    "RG16Unorm": (60, np.uint16, 2),
    "RG16Float": (65, np.float16, 2),
    "RGBA8Unorm": (70, np.uint8, 4),
    "RG32Float": (105, np.float32, 2),
    "RGBA16Unorm": (110, np.uint16, 4),
    "RGBA16Float": (115, np.float16, 4),
    "RGBA32Float": (125, np.float32, 4),
}


def encode(values: np.ndarray, dtype: type) -> np.ndarray:
    if not np.issubdtype(dtype, np.integer):
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    maximum = np.float32(np.iinfo(dtype).max)
    return np.rint(np.clip(np.nan_to_num(values, nan=0), 0, 1) * maximum).astype(dtype)


def decode(stored: np.ndarray) -> np.ndarray:
    if not np.issubdtype(stored.dtype, np.integer):
        return stored.astype(np.float32)
    return stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)


@pytest.mark.parametrize("name", FORMATS)
def test_texels_are_stored_and_read_as_their_format_says(arrays: Arrays, name: str) -> None:
    pixel_format, dtype, components = FORMATS[name]
    rng = np.random.default_rng(7)
    # Every value of 8 bits and the ties between them, what is outside 0 ... 1, and random numbers.
    steps = np.arange(-4, 516, dtype=np.float32) / np.float32(510)
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40, 1.0, np.nextafter(np.float32(1), np.float32(0)), 7e4])
    values = np.concatenate([steps, special.astype(np.float32), rng.uniform(-0.2, 1.2, 2000).astype(np.float32)])
    values = np.resize(values, (len(values) // 24 + 4, 24)).reshape(-1, 4)
    size = components * np.dtype(dtype).itemsize
    output = arrays("texels", values, pixel_format, size)
    stored = np.frombuffer(output[: len(values) * size], dtype).reshape(-1, components)
    expected = encode(values[:, :components], dtype)
    if np.issubdtype(dtype, np.integer):
        np.testing.assert_array_equal(stored, expected)
    else:
        same_bits(stored, expected)
    read = np.frombuffer(output[len(values) * size :], np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(read[:, :components], decode(expected))
    np.testing.assert_array_equal(read[:, components:], np.broadcast_to([0, 0, 0, 1], read.shape)[:, components:])


# What the language allows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [False, True], ids=["unchecked", "checked"])
def test_vectors_and_pointers(tmp_path: Path, checked: bool) -> None:
    program = tmp_path / "language"
    command = [*COMPILE, *SANITIZE, f"-DMSL_CHECKED={int(checked)}", str(PROGRAMS / "language.cpp"), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


REFUSED = {
    "swizzle assigned twice": ("float4 v(1); v.xx = float2(1, 2);", "names a component twice"),
    "swizzle beyond the vector": ("float2 v(1); float2 w = v.zw;", "does not have all the components"),
    "read of a texture to write": (
        "texture2d<float, access::write> t(*(msl::texture_argument *)0); t.read(uint2(0, 0));",
        "can only be written",
    ),
    "write of a texture to read": (
        "texture2d_array<float, access::read> t(*(msl::texture_argument *)0); t.write(1.0f, uint2(0, 0), 0);",
        "can only be read",
    ),
    "remainder of floats": ("float4 v(1); v = v % v;", "invalid operands"),
    "as_type of another size": ("uint u = as_type<uint>(half(1));", "different sizes"),
    "signed coordinates": (
        "texture2d<float, access::read> t(*(msl::texture_argument *)0); t.read(int2(0, 0));",
        "no matching function",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(body: str, message: str) -> None:
    swizzles = "M(xx, 0, 0) M(zw, 2, 3)"
    prelude = f"#define MSL_SWIZZLES(M) {swizzles}\n#include <metal_stdlib>\n"
    source = f"{prelude}namespace metal {{ void f() {{ {body} }} }}\n"
    command = [*COMPILE, "-fsyntax-only", "-x", "c++", "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert re.search(rf"error: .*{message}", result.stderr), result.stderr


def test_list_of_functions_is_tested() -> None:
    tested = {name.split("::")[-1] for name in (*APPROXIMATE, *EXACT)} | {"fma", "dot", "all", "any", "as_type"}
    tested.add("threadgroup_barrier")  # of kernels
    assert tested >= FUNCTIONS
    assert PRECISE_FUNCTIONS <= FUNCTIONS
