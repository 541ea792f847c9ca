"""Translated kernels compute what their source says in every variant."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import host
from msl_device import Device, Program

METAL = Path(host.__file__).parents[1]
KERNELS = sorted(METAL.glob("*.metal"))
FLAGS = ("-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fvisibility=hidden", "-fsigned-char")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"

requires_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


def compile_cxx(source: str, output: Path, *options: str) -> Path:
    command = ["g++", *FLAGS, *WARNINGS, f"-I{METAL / 'host/cpu'}", "-x", "c++", "-", "-o", str(output), *options]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return output


SAMPLE = (
    HEADER
    + """
#ifndef SAMPLE_H
#define SAMPLE_H
#define BASE 2
#define SCALE_INDEX BASE        // through two macros
#define HALVE(x) ((x) * 0.5)
constant bool SQUARES [[function_constant(0)]];
constant float SCALE [[function_constant(SCALE_INDEX)]];
constant int OFFSET [[function_constant(7)]];
constant uint MODE [[function_constant(9)]];
#endif
constant constexpr uint COUNT = 3;
static constant const float TABLE[COUNT] = {1.0, 2.0, 4.5e0};
using weight = device const half4 *;
typedef struct { float a; uint n; } params;
enum class mode : uint { plain, doubled };

template <int N, typename T = float> struct sums {
    T value[N];
    T total() const { T t = T(0); for (int i = 0; i < N; ++i) { t += twice(value[i]); } return t; }
};

static inline float twice(float x) { return 2 * x; }
static constexpr uint thrice(uint x) { return 3 * x; }

template <int N> static inline void fill(thread sums<N> &s, constant params &p, const thread float &x)
{
#pragma unroll
    for (int i = 0; i < N; ++i) {
        s.value[i] = p.a * x + TABLE[i % COUNT];
    }
}

inline float adjust(float x)
{
    switch (MODE) {
    case uint(mode::doubled): return HALVE(twice(twice(x)));
    default: return x;
    }
}

template <typename T, int N>
kernel void combine(device const T *x [[buffer(1)]],
                    const device vec<T, 4> *wide [[buffer(3)]], // comment
                    device float *out [[buffer(BASE)]],
                    constant params &p [[buffer(0)]],
                    constant float *extra [[buffer(4), function_constant(SQUARES)]],
                    uint i [[thread_position_in_grid]])
{
    sums<N> s;
    fill<N>(s, p, float(x[i]));
    float total = s.total() * SCALE + float(OFFSET);
    if (SQUARES) {
        constant float *e = extra;
        total = total * total + *e++;
        total += e[0];
    }
    device const vec<T, 4> *w = wide + i;
    const float4 v = float4(*w);
    out[i] = adjust(total) + v.x + dot(v.zw, v.yx);
}

template [[host_name("combine_half")]] kernel decltype(combine<half, 2>) combine<half, 2>;
template [[host_name("combine_float")]] kernel decltype(combine< float, COUNT >) combine<float, COUNT>;

kernel void positions(device uint *out [[buffer(0)]],
                      uint3 grid [[thread_position_in_grid]], ushort3 local [[thread_position_in_threadgroup]],
                      uint2 group [[threadgroup_position_in_grid]], ushort2 size [[threads_per_threadgroup]],
                      uint groups [[threadgroups_per_grid]], uint3 all_threads [[threads_per_grid]],
                      ushort index [[thread_index_in_threadgroup]])
{
    const uint i = (grid.z * all_threads.y + grid.y) * all_threads.x + grid.x;
    device uint *o = out + i * 8;
    o[0] = grid.x + 100 * grid.y + 10000 * grid.z;
    o[1] = local.x + 100u * local.y + 10000u * local.z;
    o[2] = group.x + 100 * group.y;
    o[3] = size.x + 100u * size.y;
    o[4] = groups;
    o[5] = all_threads.x + 100 * all_threads.y + 10000 * all_threads.z;
    o[6] = index;
    o[7] = thrice(index);
}

// A table of pointers: one entry per thread.
struct entry {
    device const uchar *bytes;          // of half or float
    device float *sums;
    uint stride, count;
    constant float *scale;
};
typedef struct { entry inner; device const entry *next; } link;

kernel void follow(device const entry *entries [[buffer(0)]], device float *out [[buffer(1)]],
                   device const link *links [[buffer(2)]], uint i [[thread_position_in_grid]])
{
    const entry e = entries[i];
    float total = 0;
    for (uint k = 0; k < e.count; ++k) {
        device const half *row = (device const half *)(e.bytes + k * e.stride);
        total += float(row[1]);
        total += float(*(device const half *)e.bytes);
    }
    if (e.scale) {
        total *= *e.scale;
    }
    if (entries[i].sums != nullptr) {
        device float *sums = entries[i].sums;
        sums[1] += total;
        e.sums[0] = e.sums[1];
    }
    link mine = links[0];
    mine.inner.bytes += 4;
    out[i] = total + mine.next[i].count + links->next->count + (mine.inner.bytes - 4 == links[0].inner.bytes ? 100 : 0);
}

kernel void blur(texture2d<float, access::read> source [[texture(0)]],
                 texture2d_array<float, access::read_write> image [[texture(30), function_constant(SQUARES)]],
                 uint2 at [[thread_position_in_grid]])
{
    const float4 left = source.read(at - uint2(1, 0));
    image.write(left + image.read(at, 1), at, 0);
}
"""
)


def has_x86_64_v3() -> bool:
    path = Path("/proc/cpuinfo")
    return path.exists() and {"avx2", "fma", "f16c", "bmi2"} <= set(path.read_text().split())


@pytest.fixture(scope="module", params=host.VARIANTS)
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Device:
    variant = request.param
    if shutil.which("g++") is None or (variant == "x86_64_v3" and not has_x86_64_v3()):
        pytest.skip("needs g++ and, for x86_64_v3, a processor that has it")
    source = host.translate(SAMPLE, "sample", variant).replace(
        'extern "C" const', 'extern "C" __attribute__((visibility("default"))) const'
    )
    options = ["-march=x86-64-v3"] if variant == "x86_64_v3" else []
    output = tmp_path_factory.mktemp(variant) / "sample.so"
    # Linked as a C program is: nothing of the C++ library may be needed.
    compile_cxx(
        source, output, "-O2", "-fPIC", "-shared", "-nodefaultlibs", "-lc", "-lm", "-Wl,--no-undefined", *options
    )
    return Device(Program.in_dll(ctypes.CDLL(str(output)), f"msl_program_sample_{variant}"))


def test_program_describes_constants_and_arguments(device: Device) -> None:
    program = device.program
    constants = {c.name: (c.index, c.type) for c in program.constants[: program.constant_count]}
    assert constants == {b"SQUARES": (0, 53), b"SCALE": (2, 3), b"OFFSET": (7, 29), b"MODE": (9, 33)}
    assert program.constants_size == 16
    assert list(device.kernels) == ["combine_half", "combine_float", "positions", "follow", "blur"]

    def arguments(name: str) -> list[tuple[object, ...]]:
        kernel = device.kernels[name]
        return [
            (a.name.decode(), a.kind, a.access, a.index, a.component, a.size, a.constant)
            for a in kernel.arguments[: kernel.argument_count]
        ]

    assert arguments("combine_half") == [
        ("x", 0, 1, 1, 0, 2, -1),
        ("wide", 0, 1, 3, 0, 8, -1),
        ("out", 0, 3, 2, 0, 4, -1),
        ("p", 0, 1, 0, 0, 8, -1),
        ("extra", 0, 1, 4, 0, 4, 0),
    ]
    assert [a[5] for a in arguments("combine_float")] == [4, 16, 4, 8, 4]
    assert arguments("positions") == [("out", 0, 3, 0, 0, 4, -1)]
    assert arguments("blur") == [("source", 1, 1, 0, 1, 0, -1), ("image", 2, 3, 30, 1, 0, 0)]


@pytest.mark.parametrize("squares", [False, True])
@pytest.mark.parametrize(
    ("name", "dtype", "count"), [("combine_half", np.float16, 2), ("combine_float", np.float32, 3)]
)
@pytest.mark.parametrize("mode", [0, 1])
def test_templates_constants_and_optional_arguments(
    device: Device, squares: bool, name: str, dtype: type, count: int, mode: int
) -> None:
    # Small whole and half numbers, so that every float operation is exact.
    x = np.arange(6, dtype=dtype)
    wide = (np.arange(24, dtype=dtype) - 5).reshape(6, 4)
    params = np.array([(2.0, 1)], dtype=[("a", np.float32), ("n", np.uint32)])
    out = np.zeros(6, np.float32)
    buffers = {0: params.view(np.uint8), 1: x, 2: out, 3: wide}
    if squares:
        buffers[4] = np.array([3, 5], np.float32)
    constants = device.constants(SQUARES=squares, SCALE=0.5, OFFSET=-3, MODE=mode)
    device.run(name, constants, buffers, (2, 1, 1), (3, 1, 1))
    total = sum(2 * (2 * x.astype(np.float64) + (1, 2, 4.5)[i]) for i in range(count)) * 0.5 - 3
    if squares:
        total = total * total + 8
    w = wide.astype(np.float64)
    expected = total * (2 if mode == 1 else 1) + w[:, 0] + w[:, 2] * w[:, 1] + w[:, 3] * w[:, 0]
    np.testing.assert_array_equal(out, expected)
    assert device.violation is None


def test_positions(device: Device) -> None:
    size, groups = (3, 2, 2), (2, 3, 1)
    threads = np.multiply(size, groups)
    out = np.zeros((*threads[::-1], 8), np.uint32)
    device.run("positions", device.constants(SQUARES=0, SCALE=0, OFFSET=0, MODE=0), {0: out}, size, groups)
    z, y, x = np.indices(threads[::-1])
    lx, ly, lz = x % 3, y % 2, z % 2
    index = (lz * 2 + ly) * 3 + lx
    decimal = np.array([1, 100, 10000])
    expected = np.stack(
        [
            x + 100 * y + 10000 * z,
            lx + 100 * ly + 10000 * lz,
            x // 3 + 100 * (y // 2),
            np.full_like(x, size[:2] @ decimal[:2]),
            np.full_like(x, groups[0]),
            np.full_like(x, threads @ decimal),
            index,
            3 * index,
        ],
        axis=-1,
    )
    np.testing.assert_array_equal(out, expected)


ENTRY = np.dtype([("bytes", "u8"), ("sums", "u8"), ("stride", "u4"), ("count", "u4"), ("scale", "u8")])
LINK = np.dtype([("inner", ENTRY), ("next", "u8")])


@pytest.mark.parametrize("is_read_only", [False, True])
def test_pointers_in_structs_have_the_layout_of_the_host(
    device: Device, is_read_only: bool, request: pytest.FixtureRequest
) -> None:
    rows = np.arange(24, dtype=np.float16).reshape(4, 6)
    sums, scale, out = np.array([7, 10], np.float32), np.array([0.5], np.float32), np.zeros(2, np.float32)
    rows.flags.writeable = False  # what is used for reading is read alone
    scale.flags.writeable = False
    entries = np.array(
        [
            (rows.ctypes.data, sums.ctypes.data, rows.strides[0], 4, scale.ctypes.data),
            (rows[2:].ctypes.data + 2, 0, rows.strides[0], 2, 0),
        ],
        ENTRY,
    )
    links = np.zeros(1, LINK)
    links[0] = (entries[1], entries.ctypes.data)
    sums.flags.writeable = not is_read_only
    resources = [sums, rows, scale]
    constants = device.constants(SQUARES=0, SCALE=0, OFFSET=0, MODE=0)
    device.run("follow", constants, {0: entries, 1: out, 2: links}, (1, 1, 1), (2, 1, 1), resources=resources)
    first = 0.5 * (rows[:, 1].sum() + 4 * rows[0, 0])
    second = rows[2:, 2].sum() + 2 * rows[2, 1]
    is_checked = "checked" in request.node.callspec.id
    if is_checked and is_read_only:
        assert device.violation == "'entry.sums' can write a resource that is used for reading only"
        np.testing.assert_array_equal(sums, [7, 10])
    else:
        assert device.violation is None
        np.testing.assert_array_equal(sums, [first + 10, first + 10])
        np.testing.assert_array_equal(out, [first + 4 + 4 + 100, second + 2 + 4 + 100])


def test_textures_inside_and_outside(device: Device, request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(1)
    source = rng.integers(-8, 8, (1, 3, 4, 4)).astype(np.float32)
    image = rng.integers(-8, 8, (2, 3, 4, 4)).astype(np.float16)
    expected = image.copy()
    expected[0] = image[1]
    expected[0, :, 1:] += source[0, :, :-1].astype(np.float16)  # left of the first column there is zero
    constants = device.constants(SQUARES=1, SCALE=0, OFFSET=0, MODE=0)
    device.run("blur", constants, {}, (4, 3, 1), (1, 1, 1), {0: (source, 125), 30: (image, 115)})
    np.testing.assert_array_equal(image, expected)
    is_checked = "checked" in request.node.callspec.id
    assert device.violation == ("kernel 'blur': access outside texture argument 'source'" if is_checked else None)


# The real kernels -------------------------------------------------------------------------------------------


# Slow, and the build of the package has shown as much for the machine at hand.
@pytest.mark.slow
@requires_gxx
@pytest.mark.parametrize("variant", host.VARIANTS)
@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_real_kernels_compile(tmp_path: Path, path: Path, variant: str) -> None:
    source = host.translate(host.bundle(path), path.stem, variant)
    options = ["-march=x86-64-v3"] if variant == "x86_64_v3" else []
    compile_cxx(source, tmp_path / "kernel.o", "-O0", "-c", *options)
