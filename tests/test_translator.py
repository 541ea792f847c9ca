"""Kernel sources are bundled and translated to C++ that computes what they say, or rejected where they stand."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import host

METAL = Path(host.__file__).parents[1]
KERNELS = sorted(METAL.glob("*.metal"))
FLAGS = ("-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fvisibility=hidden", "-fsigned-char")
WARNINGS = ("-Wall", "-Wextra", "-Werror")

requires_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
KERNEL = "kernel void k(device float *out [[buffer(0)]]) { out[0] = 1.0; }\n"


def compile_cxx(source: str, output: Path, *options: str) -> Path:
    command = ["g++", *FLAGS, *WARNINGS, f"-I{METAL / 'host/cpu'}", "-x", "c++", "-", "-o", str(output), *options]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return output


# Bundling ---------------------------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "main.metal"


def test_bundle_inlines_each_header_once_and_names_its_lines(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main_dot_metal='#include <metal_stdlib>\n#include "a.h"\n#include "deep/b.h"\nint main_line_4;\n',
        a_dot_h='#ifndef A_H\n#define A_H\n#include "deep/b.h"\nint a_line_4;\n#endif\n',
        deep__b_dot_h='#pragma once\n#include "c.h"\nint b_line_3;\n',
        deep__c_dot_h="int c_line_1;",
    )
    text = host.bundle(main)
    assert str(tmp_path) not in text
    assert "#pragma" not in text
    assert text.startswith('#line 1 "main.metal"\n#include <metal_stdlib>\n')
    # g++ counts the lines as it would for any file: each declaration must be where its name says.
    places = re.findall(r"int (\w+)_line_(\d)", text)
    assert [stem for stem, _ in places] == ["c", "b", "a", "main"]
    from host.lexer import tokenize

    for token in tokenize(text, "?"):
        if "_line_" in token.text:
            stem, line = token.text.split("_line_")
            assert (Path(token.file).stem, token.line) == (stem, int(line))


def test_bundle_is_the_same_wherever_the_files_lie(tmp_path: Path) -> None:
    texts = []
    for name in ("here", "there"):
        main = write(tmp_path / name, main_dot_metal='#include "a.h"\n' + KERNEL, a_dot_h="constant int A = 1;\n")
        texts.append(host.bundle(main))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('#include "missing.h"\n', r'main\.metal:1: #include "missing\.h": no such file'),
        ('\n#include "../a.h"\n', r"main\.metal:2: .* leaves the folder"),
        ('#ifdef X\n#include "a.h"\n#endif\n', r"main\.metal:2: .* inside a preprocessor conditional"),
        ('#line 3 "x"\n', r"main\.metal:1: #line"),
    ],
)
def test_bundle_rejects(tmp_path: Path, text: str, message: str) -> None:
    main = write(tmp_path / "metal", main_dot_metal=text, a_dot_h="")
    write(tmp_path, a_dot_h="")
    with pytest.raises(host.SourceError, match=message):
        host.bundle(main)


# What the translator accepts and rejects --------------------------------------------------------------------


def test_translation_keeps_the_lines_of_the_source() -> None:
    source = (
        HEADER
        + "constant bool C [[function_constant(0)]]; // a\n/* two\nlines */ constant float T[2] = {1.0,\n 2.0};\n"
        + "template <typename T>\nkernel void t(device T *out\n [[buffer(0)]]\n) { out[0] = T(1.5h); }\n"
        + 'template [[host_name("t_half")]]\nkernel decltype(t<half>) t<half>;\n'
        + KERNEL
    )
    body = host.translate(source, "s", "baseline").split('#line 1 "s.metal"\n')[1]
    source_lines = source.split("\n")
    body_lines = body.split("\n")
    for number, line in enumerate(source_lines):
        for word in re.findall(r"\b(?:out|T|void)\b", re.sub(r"//.*", "", line)):
            if "template [[" not in line and "kernel decltype" not in line:
                assert word in body_lines[number], (number, line, body_lines[number])


REJECTED = {
    "unknown declaration": ("int x = 3;", "constant address space"),
    "mutable file-scope table": ("static float t[3] = {1, 2, 3};", "constant address space"),
    "macro that declares": ("#define K(n) int n\nK(a);", "macros that declare something have to be written out"),
    "namespace": ("namespace a { }", "'namespace' at file scope"),
    "attribute at file scope": ("[[kernel]] void f() {}", r"'\[' at file scope"),
    "prototype": ("float f(float x);", "prototype of 'f'"),
    "operator": ("struct s { int x; }; s operator+(s a, s b) { return a; }", "operator at file scope"),
    "explicit specialisation": ("template <> struct s<int> { };", "explicit specialisation"),
    "variable template": ("template <typename T> constant constexpr T x = T(1);", "variable template"),
    "object after a struct": ("struct s { int x; } a;", "has to be a type definition"),
    "using namespace": ("using namespace other;", "only 'using namespace metal;'"),
    "other include": ("#include <math.h>", "only <metal_...>"),
    "unbundled include": ('#include "params.h"', "inlined by the bundler"),
    "unknown pragma": ("#pragma clang fast", "#pragma unroll"),
    "unknown directive": ("#warning x", "#warning is not understood"),
    "unbalanced #if": ("#if 1\n", "#if without #endif"),
    "unbalanced brace": ("float f() { return 1;", "never closed"),
    "mismatched bracket": ("float f() { return (1]; }", r"'\]' where '\)'"),
    "strange character": ("float f() { return 1 @ 2; }", "character '@'"),
    "constant without value": ("constant float x;", "neither a value nor"),
    "constant from a function constant": (
        "constant bool A [[function_constant(0)]];\nconstant bool B = !A;",
        "depends on the function constant 'A'",
    ),
    "function constant of another type": ("constant half A [[function_constant(0)]];", "function constant has to read"),
    "function constant twice": (
        "constant bool A [[function_constant(0)]];\nconstant bool B [[function_constant(0)]];",
        "repeats A",
    ),
    "function constant in a conditional": (
        "#ifdef X\nconstant bool A [[function_constant(0)]];\n#endif",
        "inside a preprocessor conditional",
    ),
    "constant index not defined": ("constant bool A [[function_constant(N)]];", "'N' is not defined"),
    "constant index uncertain": (
        "#ifdef X\n#define N 1\n#else\n#define N 2\n#endif\nconstant bool A [[function_constant(N)]];",
        "uncertain",
    ),
    "constant index not a number": (
        "#define N 1 + 1\nconstant bool A [[function_constant(N)]];",
        r"'N' is defined as '1 \+ 1'",
    ),
    "kernel in a conditional": ("#if 0\nkernel void f() {}\n#endif", "inside a preprocessor conditional"),
    "kernel that returns": ("kernel float f() { return 1; }", "expected 'void'"),
    "two kernels of one name": ("kernel void k() { }", "two kernels of the name 'k'"),
    "kernel template not instantiated": ("template <typename T> kernel void f() { }", "never instantiated"),
    "instantiation of nothing": (
        'template [[host_name("f_h")]] kernel decltype(f<half>) f<half>;',
        "no kernel template 'f'",
    ),
    "long instantiation": (
        'template <typename T> kernel void f() { }\ntemplate [[host_name("f_h")]] kernel void f<half>();',
        "expected 'decltype'",
    ),
    "instantiation of two types": (
        'template <typename T> kernel void f() { }\ntemplate [[host_name("f_h")]] kernel decltype(f<half>) f<float>;',
        "differ",
    ),
    "instantiation under another kernel's name": (
        'template <typename T> kernel void f() { }\ntemplate [[host_name("k")]] kernel decltype(f<half>) f<half>;',
        "two kernels of the name 'k'",
    ),
    "parameter without attribute": ("kernel void f(device float *x) { }", r"has no \[\[attribute\]\]"),
    "unknown attribute": (
        "kernel void f(uint x [[thread_position]]) { }",
        r"\[\[thread_position\]\] is not understood",
    ),
    "builtin of a wrong type": ("kernel void f(int3 x [[thread_position_in_grid]]) { }", "expected one of uint"),
    "index as a vector": ("kernel void f(uint3 x [[thread_index_in_threadgroup]]) { }", "expected one of uint, ushort"),
    "buffer index too large": ("kernel void f(device float *x [[buffer(31)]]) { }", r"outside 0 \.\.\. 30"),
    "buffer index twice": (
        "kernel void f(device float *x [[buffer(1)]], device float *y [[buffer(1)]]) { }",
        "both buffer 1",
    ),
    "buffer by value": ("kernel void f(float x [[buffer(0)]]) { }", r"expected device \[const\] T \*name"),
    "device reference": ("kernel void f(device float &x [[buffer(0)]]) { }", r"expected device \[const\] T \*name"),
    "array of textures": (
        "kernel void f(array<texture2d<float, access::read>, 2> x [[texture(0)]]) { }",
        "expected texture2d",
    ),
    "texture of half": ("kernel void f(texture2d<half, access::read> x [[texture(0)]]) { }", "expected texture2d"),
    "texture without access": ("kernel void f(texture2d<float> x [[texture(0)]]) { }", "expected texture2d"),
    "texture to sample": ("kernel void f(texture2d<float, access::sample> x [[texture(0)]]) { }", "expected texture2d"),
    "optional on an unknown constant": (
        "kernel void f(texture2d<float, access::read> x [[texture(0), function_constant(A)]]) { }",
        "needs a bool function constant",
    ),
    "optional on a number": (
        "constant uint A [[function_constant(0)]];\n"
        "kernel void f(device float *x [[buffer(0), function_constant(A)]]) { }",
        "needs a bool function constant",
    ),
    "barrier": ("float f() { threadgroup_barrier(mem_flags::mem_none); return 1; }", "barriers are not supported"),
    "threadgroup memory": ("float f() { threadgroup float x[3]; return x[0]; }", "threadgroup memory is not supported"),
    "simdgroup function": ("float f(float x) { return simd_sum(x); }", "simdgroups are not supported"),
    "simdgroup function in a macro": ("#define SUM(x) simd_sum(x)\n", "simdgroups are not supported"),
    "simdgroup builtin": ("kernel void f(uint x [[thread_index_in_simdgroup]]) { }", "not understood"),
    "atomics": ("float f(device atomic_uint *x) { return 1; }", "atomics are not supported"),
    "other texture": ("float f(texture3d<float, access::read> x) { return 1; }", "kind of texture is not supported"),
    "double": ("float f() { double x = 1; return x; }", "'double': it does not exist in Metal"),
    "long double literal": ("float f() { return 1.0L; }", "no long double"),
    "static local": ("float f() { static float x = 1; return x; }", "no variables in common"),
    "recursion": ("float f(float x) { return x > 0 ? f(x - 1) : 0; }", "'f' calls itself"),
    "recursion in a circle": (
        "float g(float x) { return h(x); }\nfloat h(float x) { return g(x); }",
        "calls itself, directly or not",
    ),
    "call of a kernel": ("void f(device float *x) { k(x); }", "calls the kernel 'k'"),
    "hidden library function": ("float4 tanh(float4 x) { return x; }", "would hide Metal's function"),
    "parameter without address space": ("float f(float *x) { return *x; }", "has no address space"),
    "result without address space": ("float *f(device float *x) { return x; }", "has no address space"),
    "variable without address space": (
        "float f(device float *x) { const float *y = x; return *y; }",
        "'y' is a pointer or reference without address space",
    ),
    "member without address space": ("struct s { float *x; };", "'x' is a pointer or reference without address space"),
    "variable in an address space": ("float f() { device float x = 1; return x; }", r"expected '\*' or '&'"),
    "pointer to a pointer": ("float f(device float **x) { return **x; }", "pointer to a pointer"),
    "address space in a macro": ("#define D device\n", "in a macro is not understood"),
    "name of the translation": ("float msl_f() { return 1; }", "the translation's own"),
    "lambda": ("float f(float x) { auto g = [=](float y) { return x + y; }; return g(1); }", "no lambda"),
    "volatile": ("float f(device volatile float *x) { return *x; }", "'volatile'"),
    "goto": ("float f() { goto a; a: return 1; }", "'goto'"),
}


@pytest.mark.parametrize(("text", "message"), REJECTED.values(), ids=REJECTED)
def test_rejects(text: str, message: str) -> None:
    with pytest.raises(host.SourceError, match=message) as raised:
        host.translate(f"{HEADER}{KERNEL}{text}\n", "bad", "checked")
    first = HEADER.count("\n") + KERNEL.count("\n") + 1
    assert first <= raised.value.line <= first + text.count("\n") + 1
    assert str(raised.value).startswith(f"bad.metal:{raised.value.line}: ")


def test_rejects_a_file_without_kernels_and_unknown_variants() -> None:
    with pytest.raises(host.SourceError, match="no kernel"):
        host.translate(HEADER, "bad", "baseline")
    with pytest.raises(ValueError, match="variant: expected one of baseline, x86_64_v3, checked, got 'avx'"):
        host.translate(HEADER + KERNEL, "good", "avx")


# What translated kernels compute ----------------------------------------------------------------------------

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

kernel void blur(texture2d<float, access::read> source [[texture(0)]],
                 texture2d_array<float, access::read_write> image [[texture(30), function_constant(SQUARES)]],
                 uint2 at [[thread_position_in_grid]])
{
    const float4 left = source.read(at - uint2(1, 0));
    image.write(left + image.read(at, 1), at, 0);
}
"""
)


class Texture(ctypes.Structure):
    _fields_ = (
        ("texels", ctypes.c_void_p),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("slices", ctypes.c_uint32),
        ("pixel_format", ctypes.c_uint32),
    )


class Buffer(ctypes.Structure):
    _fields_ = (("contents", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Dispatch(ctypes.Structure):
    _fields_ = (
        ("buffers", Buffer * 31),
        ("textures", Texture * 31),
        ("constants", ctypes.c_void_p),
        ("threads_per_threadgroup", ctypes.c_uint32 * 3),
        ("threadgroups", ctypes.c_uint32 * 3),
        ("violation", ctypes.c_char_p),
    )


class Argument(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_uint8),
        ("access", ctypes.c_uint8),
        ("index", ctypes.c_uint8),
        ("component", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("constant", ctypes.c_int32),
    )


class Constant(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("index", ctypes.c_uint16),
        ("type", ctypes.c_uint16),
        ("offset", ctypes.c_uint32),
    )


RUN = ctypes.CFUNCTYPE(None, ctypes.POINTER(Dispatch), ctypes.POINTER(ctypes.c_uint32))


class Kernel(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("run_threadgroup", RUN),
        ("arguments", ctypes.POINTER(Argument)),
        ("argument_count", ctypes.c_size_t),
    )


class Program(ctypes.Structure):
    _fields_ = (
        ("constants_size", ctypes.c_size_t),
        ("constants", ctypes.POINTER(Constant)),
        ("constant_count", ctypes.c_size_t),
        ("kernels", ctypes.POINTER(Kernel)),
        ("kernel_count", ctypes.c_size_t),
    )


@dataclass
class Device:
    """The least that runs a translated program."""

    program: Program
    violation: str | None = None
    kernels: dict[str, Kernel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kernel in self.program.kernels[: self.program.kernel_count]:
            self.kernels[kernel.name.decode()] = kernel

    def constants(self, **values: float) -> ctypes.Array[ctypes.c_char]:
        types = {3: np.float32, 29: np.int32, 33: np.uint32, 53: np.bool_}
        blob = ctypes.create_string_buffer(self.program.constants_size)
        for constant in self.program.constants[: self.program.constant_count]:
            value = np.asarray(values[constant.name.decode()], types[constant.type]).tobytes()
            blob[constant.offset : constant.offset + len(value)] = value
        return blob

    def run(
        self,
        name: str,
        constants: ctypes.Array[ctypes.c_char],
        buffers: dict[int, np.ndarray],
        size: tuple[int, int, int],
        groups: tuple[int, int, int],
        textures: dict[int, tuple[np.ndarray, int]] | None = None,
    ) -> None:
        dispatch = Dispatch(constants=ctypes.addressof(constants))
        dispatch.threads_per_threadgroup[:] = size
        dispatch.threadgroups[:] = groups
        for index, array in buffers.items():
            dispatch.buffers[index] = Buffer(array.ctypes.data, array.nbytes)
        for index, (texels, pixel_format) in (textures or {}).items():
            slices, height, width, _ = texels.shape
            dispatch.textures[index] = Texture(texels.ctypes.data, width, height, slices, pixel_format)
        for z, y, x in np.ndindex(groups[::-1]):
            self.kernels[name].run_threadgroup(ctypes.byref(dispatch), (ctypes.c_uint32 * 3)(x, y, z))
        self.violation = dispatch.violation.decode() if dispatch.violation else None


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
    assert list(device.kernels) == ["combine_half", "combine_float", "positions", "blur"]

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


# The checked build and the real kernels ---------------------------------------------------------------------

OVERRUN = (
    HEADER
    + """
struct pair { float a; float b; };
kernel void overrun(device float *out [[buffer(0)]], device const pair *in [[buffer(1)]],
                    constant int &index [[buffer(2)]], uint i [[thread_position_in_grid]])
{
    device const pair *p = in + index;
    const float read = p->a + p[1].b;
    out[int(i) + index] = read + 1.0f;
}
"""
)
OVERRUN_MAIN = """
#include <stdio.h>
#include <stdlib.h>
int main()
{
    for (int index = -3; index < 4; ++index) {
        float *out = (float *)calloc(2, sizeof(float)), *in = (float *)calloc(4, sizeof(float));
        for (int i = 0; i < 4; ++i)
            in[i] = i + 1;
        struct msl_dispatch dispatch = {};
        dispatch.buffers[0] = {out, 2 * sizeof(float)};
        dispatch.buffers[1] = {in, 4 * sizeof(float)};
        dispatch.buffers[2] = {&index, sizeof index};
        for (int i = 0; i < 3; ++i)
            dispatch.threads_per_threadgroup[i] = dispatch.threadgroups[i] = 1;
        const uint32_t threadgroup[3] = {};
        msl_program_overrun_checked.kernels[0].run_threadgroup(&dispatch, threadgroup);
        printf("%d %g %g %s\\n", index, out[0], out[1], dispatch.violation ? dispatch.violation : "-");
        free(out);
        free(in);
    }
}
"""


@requires_gxx
def test_checked_build_stays_inside_buffers_and_says_what_was_wrong(tmp_path: Path) -> None:
    source = host.translate(OVERRUN, "overrun", "checked") + OVERRUN_MAIN
    sanitizers = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = compile_cxx(source, tmp_path / "overrun", *sanitizers)
    output = subprocess.run([program], capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    outside_in = "kernel 'overrun': access outside buffer argument 'in'"
    # in holds (1, 2), (3, 4): index 0 reads 1 + 4, index 1 reads 3 + 0, index -1 reads 0 + 2.
    assert output.stdout.splitlines() == [
        f"-3 0 0 {outside_in}",
        f"-2 0 0 {outside_in}",
        f"-1 0 0 {outside_in}",
        "0 6 0 -",
        f"1 0 4 {outside_in}",
        f"2 0 0 {outside_in}",
        f"3 0 0 {outside_in}",
    ]


@requires_gxx
@pytest.mark.parametrize("variant", host.VARIANTS)
@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_real_kernels_compile(tmp_path: Path, path: Path, variant: str) -> None:
    source = host.translate(host.bundle(path), path.stem, variant)
    options = ["-march=x86-64-v3"] if variant == "x86_64_v3" else []
    compile_cxx(source, tmp_path / "kernel.o", "-O0", "-c", *options)
