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
SWIZZLES = (
    "M(xy, 0, 1) M(yx, 1, 0) M(zw, 2, 3) M(xz, 0, 2) M(xx, 0, 0) M(xyz, 0, 1, 2) M(wzyx, 3, 2, 1, 0) M(bgr, 2, 1, 0)"
)
PRELUDE = f"#define MSL_SWIZZLES(M) {SWIZZLES}\n#include <metal_stdlib>\n"
COMPILE = (
    *("g++", "-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fsigned-char"),
    *("-Wall", "-Wextra", f"-I{METAL / 'host/cpu'}"),
)
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Werror")

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

# What is computed for arrays: the program reads its input from a pipe and writes what the named function makes of it.
# Functions of floats are applied as four, three, two and one component; the results follow one another.
ARRAYS = (
    PRELUDE
    + r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
namespace metal {
struct arrays {
    const float *a, *b, *c;
    size_t count;
    float *out;
};

float at(const float *from, size_t i, float *) { return from[i]; }
template <int N> vec<float, N> at(const float *from, size_t i, vec<float, N> *)
{
    vec<float, N> v;
    for (int k = 0; k < N; ++k)
        v[k] = from[i + k];
    return v;
}
void put(float *to, size_t i, float v) { to[i] = v; }
template <class T, int N> void put(float *to, size_t i, vec<T, N> v)
{
    for (int k = 0; k < N; ++k)
        to[i + k] = float(v[k]);
}
void put(float *to, size_t i, msl::mask v) { put(to, i, bool4(v)); }

template <class V, int N, class F> void apply(arrays &x, F f)
{
    for (size_t i = 0; i < x.count; i += N)
        put(x.out, i, f(at(x.a, i, (V *)0), at(x.b, i, (V *)0), at(x.c, i, (V *)0)));
    x.out += x.count;
}
template <class F> void apply_all(arrays &x, F f)
{
    apply<float4, 4>(x, f);
    apply<float3, 3>(x, f);
    apply<float2, 2>(x, f);
    apply<float, 1>(x, f);
}

#define F(name, value)                                                                                             \
    if (strcmp(function, name) == 0)                                                                               \
        return apply_all(x, [](auto a, auto b, auto c) { (void)a, (void)b, (void)c; return value; });
void run(const char *function, arrays x)
{
    F("exp", exp(a)) F("exp2", exp2(a)) F("log", log(a)) F("log2", log2(a)) F("tanh", tanh(a)) F("sqrt", sqrt(a))
    F("rsqrt", rsqrt(a)) F("pow", pow(a, b)) F("powr", powr(a, b))
    F("precise::exp", metal::precise::exp(a)) F("fast::tanh", fast::tanh(a)) F("precise::pow", precise::pow(a, b))
    F("ceil", ceil(a)) F("floor", floor(a)) F("rint", rint(a)) F("trunc", trunc(a)) F("fract", fract(a))
    F("sign", sign(a)) F("copysign", copysign(a, b)) F("isnan", isnan(a)) F("isinf", isinf(a))
    F("isfinite", isfinite(a)) F("fabs", fabs(a)) F("abs", abs(a)) F("fmax", fmax(a, b)) F("fmin", fmin(a, b))
    F("max", max(a, b)) F("min", min(a, b)) F("clamp", clamp(a, b, c)) F("fma", fma(a, b, c)) F("mix", mix(a, b, c))
    F("step", step(a, b)) F("select", select(a, b, a < c)) F("+", a + b) F("-", a - b) F("*", a * b) F("/", a / b)
    F("2*-", 2 * -a) F("<=", a <= b) F("==", a == b)
    fprintf(stderr, "no function %s\n", function);
    exit(1);
}

void texels(const msl_texture &texture, const float4 *values, float4 *out)
{
    msl_dispatch dispatch = {};
    dispatch.textures[3] = texture;
    const msl::texture_argument argument(dispatch, 3, "");
    const texture2d_array<float, access::read_write> image(argument);
    for (uint z = 0; z < image.get_array_size(); ++z)
        for (uint y = 0; y < image.get_height(); ++y)
            for (uint x = 0; x < image.get_width(); ++x) {
                image.write(*values++, uint2(x, y), z);
                *out++ = image.read(ushort2(ushort(x), ushort(y)), ushort(z));
            }
}
} // namespace metal

int main(int, char **argv)
{
    using namespace metal;
    const size_t size = strtoul(argv[2], nullptr, 10);      // bytes on the pipe
    void *in = aligned_alloc(16, (size + 15) / 16 * 16), *out = calloc(4, size + 16);
    if (fread(in, 1, size, stdin) != size)
        return 1;
    size_t written = 0;
    if (strcmp(argv[1], "half to float") == 0) {
        for (size_t i = 0; i < size / 2; ++i)
            ((float *)out)[i] = float(((half *)in)[i]);
        for (size_t i = 0; i < size / 8; ++i)
            ((float4 *)((char *)out + size * 2))[i] = float4(((half4 *)in)[i]);
        written = 4 * size;
    } else if (strcmp(argv[1], "float to half") == 0) {
        for (size_t i = 0; i < size / 4; ++i)
            ((half *)out)[i] = half(((float *)in)[i]);
        for (size_t i = 0; i < size / 16; ++i)
            ((half4 *)((char *)out + size / 2))[i] = half4(((float4 *)in)[i]);
        written = size;
    } else if (strcmp(argv[1], "half arithmetic") == 0) {
        const half *a = (half *)in, *b = a + size / 4;
        half *to = (half *)out;
        for (size_t i = 0; i < size / 4; ++i) {
            *to++ = a[i] + b[i];
            *to++ = a[i] - b[i];
            *to++ = a[i] * b[i];
            *to++ = a[i] / b[i];
            *to++ = -a[i] + 1;
        }
        written = size / 2 * 5;
    } else if (strcmp(argv[1], "texels") == 0) {
        const uint width = 3, height = 2, slices = (uint)(size / 16 / 6);
        void *memory = malloc(size / 16 * atoi(argv[4]));
        texels({memory, width, height, slices, (uint)atoi(argv[3])}, (float4 *)in, (float4 *)out);
        fwrite(memory, 1, size / 16 * atoi(argv[4]), stdout);
        free(memory);
        written = size;
    } else {
        const float *values = (float *)in;
        const size_t count = size / 12;
        run(argv[1], {values, values + count, values + 2 * count, count, (float *)out});
        written = 16 * count;
    }
    fwrite(out, 1, written, stdout);
    free(in);
    free(out);
}
"""
)


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
    command = [*COMPILE, *SANITIZE, "-x", "c++", "-", "-o", str(program), *options]
    result = subprocess.run(command, input=ARRAYS, capture_output=True, text=True, check=False)
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

# Compiled once for all: layouts, constructors, swizzles, operators, conversions that exist, and those that do not.
LANGUAGE = (
    PRELUDE
    + r"""
#include <stdio.h>
#include <type_traits>
namespace metal {
#define LAYOUT(T, n) static_assert(sizeof(vec<T, 2>) == 2 * n && alignof(vec<T, 2>) == 2 * n && sizeof(vec<T, 3>) ==   \
    4 * n && alignof(vec<T, 3>) == 4 * n && sizeof(vec<T, 4>) == 4 * n && alignof(vec<T, 4>) == 4 * n, #T);
LAYOUT(bool, 1) LAYOUT(char, 1) LAYOUT(uchar, 1) LAYOUT(short, 2) LAYOUT(ushort, 2) LAYOUT(half, 2)
LAYOUT(int, 4) LAYOUT(uint, 4) LAYOUT(float, 4)

template <class A, class B> constexpr bool becomes = std::is_convertible_v<A, B>;
template <class A, class B> constexpr bool makes = std::is_constructible_v<B, A>;
static_assert(becomes<float, float4> && becomes<int, float4> && becomes<half, float4> && becomes<uint, int2>);
static_assert(becomes<float, half> && becomes<half, float> && makes<float, half4> && makes<float, int2>);
static_assert(!becomes<float4, half4> && !becomes<half4, float4> && !becomes<int2, uint2> && !becomes<float2, int2>);
static_assert(makes<float4, half4> && makes<half4, float4> && makes<int2, uint2> && makes<float2, int2>);
static_assert(!becomes<float, half4> && !becomes<float, int4> && !becomes<half, uint3>);
static_assert(!makes<float3, float4> && !makes<float4, float3> && !makes<float2, float> && !makes<float2, bool>);
static_assert(!becomes<bool4, float4> && !becomes<float4, bool4> && !makes<float *, float4>);
template <class A, class B, class = void> constexpr bool adds = false;
template <class A, class B> constexpr bool adds<A, B, std::void_t<decltype(A() + B())>> = true;
static_assert(adds<float4, float> && adds<int, float4> && adds<half, float4> && adds<half, int> && adds<half, half>);
static_assert(!adds<float4, half4> && !adds<float4, int4> && !adds<float4, float3> && !adds<half4, float>);
static_assert(!adds<int4, float> && !adds<uint2, int2>);
static_assert(std::is_same_v<decltype(half() + half()), half> && std::is_same_v<decltype(half() + 1.0f), float>);
static_assert(std::is_same_v<decltype(half() * 2), half> && std::is_same_v<decltype(2u - half()), half>);
constexpr float4 constant_vector(1, 2, 3, 4);
constexpr float4 constant_splat = 2.0f;

int failures = 0;
#define CHECK(condition)                                                                                           \
    if (!(condition)) {                                                                                            \
        ++failures;                                                                                                \
        fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
    }
template <class A, class V> bool is(A a, V v) { return all(V(a) == v); }

void constructors()
{
    const float2 p(1, 2), q(3, 4);
    const float3 t(1, 2, 3);
    CHECK(is(float4(p, q), constant_vector) && is(float4(p, 3, 4), constant_vector));
    CHECK(is(float4(1, float2(2, 3), 4), constant_vector) && is(float4(1, 2, q), constant_vector));
    CHECK(is(float4(t, 4), constant_vector) && is(float4(1, float3(2, 3, 4)), constant_vector));
    CHECK(is(float3(p, 3), t) && is(float3(1, float2(2, 3)), t) && is(float3(p.xy, 3u), t));
    CHECK(is(float4(p.xy, q.xy), constant_vector) && is(float4(half4(1, 2, 3, 4)), constant_vector));
    CHECK(is(int4(float4(1.9f, -1.9f, 0, 7)), int4(1, -1, 0, 7)) && is(uint2(int2(-1, 5)), uint2(~0u, 5u)));
    CHECK(is(half4(constant_vector) * half(2), half4(2, 4, 6, 8)) && is(constant_splat, float4(2, 2, 2, 2)));
    CHECK(is(short2(float2(3.7f, -3.7f)), short2(3, -3)) && is(float2(short2(-3, 4)), float2(-3, 4)));
    CHECK(is(uint2(constant_vector.xy), uint2(1, 2)) && is(char4(1, 2, 3, 4).zw, char2(3, 4)));
}

void swizzles()
{
    float4 v(1, 2, 3, 4);
    CHECK(is(v.xy, float2(1, 2)) && is(v.wzyx, float4(4, 3, 2, 1)) && is(v.xx, float2(1, 1)));
    CHECK(is(v.bgr, float3(3, 2, 1)) && v.r == 1 && v.a == 4 && v.w == 4 && v[2] == 3);
    v.xy = v.yx;
    CHECK(is(v, float4(2, 1, 3, 4)));
    v.zw = float2(8, 9);
    v.zw *= v.xy;
    v.xz += 1.0f;
    CHECK(is(v, float4(3, 1, 17, 9)));
    v.w = 5;
    v[0] += 1;
    v.xyz -= float3(1, 1, 1);
    CHECK(is(v, float4(3, 0, 16, 5)) && dot(v.xy, v.zw) == 48);
    float4 w = v;
    w.wzyx = v;
    CHECK(is(w, float4(5, 16, 0, 3)));
    w.wzyx = w.wzyx;
    CHECK(is(w, float4(5, 16, 0, 3)));
    short2 s(1, 2);
    s.yx = s;
    half4 h(1, 2, 3, 4);
    h.zw = h.xy + half(1);
    CHECK(is(s, short2(2, 1)) && is(h, half4(1, 2, 2, 3)) && h.x == half(1) && float(h.w) == 3);
    CHECK(max(v.x, 3.5f) == 3.5f && max(v.xy, float2(1, 1)).y == 1 && (v.x > 1 ? v.x : v.y) == 3);
}

void operators()
{
    const int4 i(7, -7, 8, 1), j(2, 2, 3, 31);
    CHECK(is(i / j, int4(3, -3, 2, 0)) && is(i % j, int4(1, -1, 2, 1)) && is(i << 1, int4(14, -14, 16, 2)));
    CHECK(is(~i & 3, int4(0, 2, 3, 2)) && is(uint2(6, 5) ^ uint2(3, 3), uint2(5, 6)) && is(i >> 1, int4(3, -4, 4, 0)));
    CHECK(is(ushort2(65535, 1) + ushort2(1, 1), ushort2(0, 2)) && is(uchar4(200) + uchar4(100), uchar4(44)));
    const float4 f(1, -2, 3, -4);
    const bool4 positive = f > 0;
    CHECK(positive.x && !positive.y && any(positive) && !all(positive) && all((!positive) == (f <= 0)));
    CHECK(all(f > -5 && f < 5) && !any(f > 3 || f < -4) && is(select(f, -f, f < 0), abs(f)));
    CHECK(is(select(f, -f, positive), -abs(f)) && is(select(i, j, i < j), max(i, j)) && any(f.xy < f.zw));
    CHECK(all(float3(1, 2, 3) == float3(1, 2, 3)) && any(half2(1, 2) != half2(1, 3)) && all(bool2(true, true)));
    CHECK(is(clamp(i, -1, 3), int4(3, -1, 3, 1)) && is(min(uint2(1, 9), uint2(5, 5)), uint2(1, 5)) && abs(-3) == 3);
    CHECK(max(half(1), half(2)) == half(2) && is(max(half2(1, 4), half2(2, 3)), half2(2, 4)));
    CHECK(dot(f, f) == 30 && dot(f.xyz, float3(1, 1, 1)) == 2 && as_type<uint>(1.0f) == 0x3f800000u);
    CHECK(as_type<half2>(0x40003c00u).y == half(2) && is(as_type<int4>(float4(0.0f)), int4(0)));
    half h = 1;
    h += 2;
    h *= half(0.5f);
    CHECK(h == half(1.5f) && h < 2 && -h == half(-1.5f) && 2 * h == half(3) && h / 2.0f == 0.75f);
    CHECK(is(metal::precise::exp(float2(0, 0)), float2(1, 1)) && fast::exp(0.0f) == 1);
}

#if MSL_CHECKED
void checked_pointers()
{
    float values[4] = {1, 2, 3, 4};
    msl_dispatch dispatch = {};
    dispatch.buffers[1] = {values, sizeof values};
    const msl::buffer_argument argument(dispatch, 1, "outside");
    const msl_device<float> start = argument.pointer<float>();
    msl_device<float> p = start;
    CHECK(*p++ == 1 && *p == 2 && *++p == 3 && p[1] == 4 && p[-2] == 1 && p - start == 2);
    CHECK(*p-- == 3 && *--p == 1 && p == start && (p += 3) == start + 3 && (p -= 3) == start && 2 + p == p + 2);
    CHECK(p < p + 1 && p <= p && p + 1 > p && p >= p && p != p + 1 && (p + 2) - 1 == p + 1 && p);
    const msl_device<const float> read = p;
    const msl_device<const float2> pairs = (msl_device<const float2>)read;
    CHECK(read[3] == 4 && pairs[1].y == 4 && pairs->x == 1 && !dispatch.violation);
    p[3] = 9;
    CHECK(values[3] == 9 && !dispatch.violation);
    const float table[2] = {5, 6};
    msl_device<const float> plain = table;
    CHECK(plain[1] == 6 && !dispatch.violation);
    const uint far = 0xffffffffu;
    const msl_device<float> places[] = {start + 4, start - 1, start + far, start + (1l << 61)};
    for (msl_device<float> place : places) {
        dispatch.violation = nullptr;
        CHECK(*place == 0 && dispatch.violation && dispatch.violation[0] == 'o');
        *place = 7;
        CHECK(*place == 0);
    }
    dispatch.violation = nullptr;
    CHECK(((msl_device<float4>)(start + 1))->x == 0 && dispatch.violation);
    dispatch.violation = "first";
    CHECK(start[4] == 0 && dispatch.violation[0] == 'f');
    msl_device<float> absent = msl::buffer_argument(dispatch, 2, "absent").pointer<float>();
    CHECK(!absent && absent == nullptr);
}
#else
void checked_pointers() {}
#endif
} // namespace metal

int main()
{
    metal::constructors();
    metal::swizzles();
    metal::operators();
    metal::checked_pointers();
    return metal::failures != 0;
}
"""
)


@pytest.mark.parametrize("checked", [False, True], ids=["unchecked", "checked"])
def test_vectors_and_pointers(tmp_path: Path, checked: bool) -> None:
    program = tmp_path / "language"
    command = [*COMPILE, *SANITIZE, f"-DMSL_CHECKED={int(checked)}", "-x", "c++", "-", "-o", str(program)]
    built = subprocess.run(command, input=LANGUAGE, capture_output=True, text=True, check=False)
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
    source = f"{PRELUDE}namespace metal {{ void f() {{ {body} }} }}\n"
    command = [*COMPILE, "-fsyntax-only", "-x", "c++", "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert re.search(rf"error: .*{message}", result.stderr), result.stderr


def test_list_of_functions_is_tested() -> None:
    tested = {name.split("::")[-1] for name in (*APPROXIMATE, *EXACT)} | {"fma", "dot", "all", "any", "as_type"}
    assert tested >= FUNCTIONS
    assert PRECISE_FUNCTIONS <= FUNCTIONS
