"""The lint stands in for Apple's compiler: it accepts the kernels and rejects seeded mistakes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import host
from host import clang_lint
from host.lexer import Token, tokenize
from host.library import FUNCTIONS, PRECISE_FUNCTIONS

METAL = Path(host.__file__).parents[1]
KERNELS = sorted(METAL.glob("*.metal"))

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="needs clang of the ziglang wheel; pip install ziglang"
)

# Every kind of declaration and expression that the mistakes below are seeded into.
SAMPLE = """#include <metal_stdlib>
using namespace metal;

constant bool SQUARES [[function_constant(0)]];
constant constexpr uint COUNT = 3;
constant float TABLE[COUNT] = {1.0, 2.0, 4.0};

struct params {
    uint width;
    float slope;
    float row[4];
};

struct time_step {
    device const half4 *source;
    device float4 *destination;
};

template <int N> struct sums {
    float4 value[N];
};

template <typename T, int N>
static inline void accumulate(thread sums<N> &s, texture2d_array<float, access::read> source,
                              constant params &p, device const vec<T, 4> *weights, uint2 at)
{
    device const vec<T, 4> *w = weights + at.x;
    for (int i = 0; i < N; ++i) {
        const float4 v = source.read(at, uint(i));
        s.value[i] += float4(w[i]) * v[i] + p.row[i] * TABLE[i % int(COUNT)];
    }
}

static inline float4 rectify(float4 x, float slope)
{
    const params copy = {1, slope, {0.0, 0.0, 0.0, 0.0}};
    return select(x * copy.slope, x, x > 0.0);
}

static inline float total_of(threadgroup const float *values, uint count, constant float *scale)
{
    float total = 0.0;
    for (uint i = 0; i < count; ++i) {
        total += values[i];
    }
    return total * scale[0];
}

template <typename T>
kernel void cell(texture2d_array<float, access::read> source [[texture(0)]],
                 texture2d_array<float, access::write> destination [[texture(1), function_constant(SQUARES)]],
                 constant params &p [[buffer(0)]],
                 device const vec<T, 4> *weights [[buffer(1)]],
                 device float4 *out [[buffer(2)]],
                 device const time_step *steps [[buffer(3)]],
                 threadgroup float4 *scratch [[threadgroup(0)]],
                 uint3 gid [[thread_position_in_grid]])
{
    threadgroup float shared[4];
    threadgroup params common;
    sums<2> s = {{float4(0.0), float4(p.slope, 1.0, 2.0, 3.0)}};
    accumulate<T, 2>(s, source, p, weights, gid.xy);
    const params mine = p;
    float4 result = rectify(s.value[0], mine.slope);
    result.xy = result.yx + max(s.value[1].zw, 0.5);
    const half4 narrow = half4(result) * 2.0h;
    out[gid.x] = vec<float, 4>(narrow);
    shared[gid.x % 4] = result.x;
    scratch[gid.x] = result;
    common.slope = TABLE[1];
    threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
    out[0].x = total_of(shared, 4, TABLE) + total_of(common.row, 4, p.row) + scratch[0].x;
    const time_step now = steps[gid.y];
    if (now.source != nullptr) {
        device const vec<T, 4> *row = (device const vec<T, 4> *)now.source;
        steps[0].destination[1] = vec<float, 4>(row[0]) + vec<float, 4>(now.source[1]);
    }
    if (SQUARES) {
        destination.write(result * result, gid.xy, gid.z);
    }
}

template [[host_name("cell_half")]] kernel decltype(cell<half>) cell<half>;
template [[host_name("cell_float")]] kernel decltype(cell<float>) cell<float>;
"""

# What is replaced, and by what; Apple's compiler rejects every one.
START = "    const params mine = p;\n"
MISTAKES = {
    "device pointer for a constant reference": ("accumulate<T, 2>(s, source, p,", "accumulate<T, 2>(s, source, *out,"),
    "constant pointer for a device pointer": ("weights + at.x", "(constant vec<T, 4> *)0 + at.x"),
    "device pointer where a thread reference is due": ("accumulate<T, 2>(s,", "accumulate<T, 2>(*(device sums<2> *)0,"),
    "write through a pointer to const": (START, START + "    weights[0] = vec<T, 4>(T(0));\n"),
    "write to a constant reference": (START, START + "    p.slope = 1.0;\n"),
    "write to a table": (START, START + "    TABLE[0] = 1.0;\n"),
    "write to a function constant": (START, START + "    SQUARES = true;\n"),
    "address space of a variable": ("device const vec<T, 4> *w =", "constant vec<T, 4> *w ="),
    "variable without address space": ("    device const vec<T, 4> *w =", "    const vec<T, 4> *w ="),
    "parameter without address space": ("device const vec<T, 4> *weights, uint2", "const vec<T, 4> *weights, uint2"),
    "reference without address space": ("thread sums<N> &s", "sums<N> &s"),
    "member without address space": ("    float slope;", "    float slope; float *pointer;"),
    "pointer member without address space": ("device const half4 *source;", "const half4 *source;"),
    "pointer member of another address space": ("device const half4 *source;", "constant half4 *source;"),
    "pointer member of another type": ("device float4 *destination;", "device half4 *destination;"),
    "write through a pointer member to const": (START, START + "    steps[0].source[0] = half4(0.0h);\n"),
    "write to a pointer member in const memory": (START, START + "    steps[0].destination = out;\n"),
    "threadgroup pointer for a device pointer": (
        "const float4 v = source.read(at, uint(i));",
        "const float4 v = source.read(at, uint(i)); threadgroup vec<T, 4> *t = w;",
    ),
    "device pointer for a threadgroup pointer": ("total_of(shared, 4,", "total_of((device float *)out, 4,"),
    "threadgroup pointer for a device one": (START, START + "    device float *d = shared;\n"),
    "threadgroup pointer stored in a struct": (
        START,
        START + "    time_step one = steps[0]; one.destination = scratch;\n",
    ),
    "device pointer for a constant pointer": ("total_of(shared, 4, TABLE)", "total_of(shared, 4, (device float *)out)"),
    "constant pointer for a device member": (START, START + "    const time_step one = {(constant half4 *)0, out};\n"),
    "table for a device pointer": (START, START + "    device const float *d = TABLE;\n"),
    "threadgroup variable with a value": ("threadgroup float shared[4];", "threadgroup float shared[4] = {0};"),
    "threadgroup variable in a function": ("float total = 0.0;", "threadgroup float total; total = 0.0;"),
    "threadgroup array of a size that varies": ("threadgroup float shared[4];", "threadgroup float shared[gid.x];"),
    "threadgroup memory to a thread reference": ("accumulate<T, 2>(s,", "threadgroup sums<2> t; accumulate<T, 2>(t,"),
    "threadgroup argument without attribute": ("scratch [[threadgroup(0)]]", "scratch"),
    "barrier without flags": ("threadgroup_barrier(mem_flags::mem_threadgroup |", "threadgroup_barrier(); (void)("),
    "barrier with a number": ("mem_flags::mem_threadgroup | mem_flags::mem_device", "3"),
    "barrier with an unknown flag": ("mem_flags::mem_device", "mem_flags::mem_local"),
    "device pointer to a thread variable": (START, START + "    device float4 *d = &s.value[0];\n"),
    "cast between address spaces": (START, START + "    thread float4 *t = (thread float4 *)out;\n"),
    "float4 becomes half4": ("half4(result) * 2.0h", "result * 2.0"),
    "half4 becomes float4": ("vec<float, 4>(narrow)", "narrow"),
    "float4 plus half4": ("half4(result) * 2.0h", "half4(result) + result"),
    "half4 written to a texture of float": ("destination.write(result * result,", "destination.write(narrow,"),
    "signed coordinates": ("source.read(at,", "source.read(int2(at),"),
    "three coordinates": ("source.read(at,", "source.read(uint3(at, 1u),"),
    "missing slice": ("source.read(at, uint(i))", "source.read(at)"),
    "write to a texture to read": (START, START + "    source.write(float4(0.0), gid.xy, 0);\n"),
    "read of a texture to write": (START, START + "    const float4 q = destination.read(gid.xy, 0);\n"),
    "swizzle that mixes sets": ("destination.write(result * result, gid.xy,", "destination.write(result, gid.xg,"),
    "swizzle of no component": ("gid.xy, gid.z", "gid.xq, gid.z"),
    "swizzle beyond the vector": ("s, source, p, weights, gid.xy", "s, source, p, weights, gid.xw"),
    "swizzle assigned twice": ("result.xy = result.yx", "result.xx = result.yx"),
    "too few components": ("float4(p.slope, 1.0, 2.0, 3.0)", "float4(p.slope, 1.0)"),
    "too many components": ("float4(p.slope, 1.0, 2.0, 3.0)", "float4(p.slope, 1.0, 2.0, 3.0, 4.0)"),
    "vector as a condition": ("if (SQUARES)", "if (result > 0.0)"),
    "select with the condition first": ("select(x * copy.slope, x, x > 0.0)", "select(x > 0.0, x, x * copy.slope)"),
    "select by another type's comparison": ("x > 0.0)", "half4(x) > 0.0h)"),
    "ambiguous function": (START, START + "    const float4 a = float4(max(1, 2u));\n"),
    "undeclared function": ("rectify(s.value[0]", "rectified(s.value[0]"),
    "function of the C library": ("mine.slope)", "sqrtf(mine.slope))"),
    "function of the C++ library": ("mine.slope)", "std::sqrt(mine.slope))"),
    "function of vectors only": ("mine.slope)", "dot(mine.slope, 1.0))"),
    "double": (START, START + "    double d = 1.0;\n"),
    "new": (START, START + "    thread int *n = new int(3);\n"),
    "throw": (START, START + "    throw 1;\n"),
    "goto": (START, START + "    goto end; end:\n"),
    "virtual": ("struct params {", "struct params { virtual void f();"),
    "lambda": (START, START + "    const auto f = [=]() { return gid; };\n"),
    "static variable": (START, START + "    static int n = 0;\n"),
    "global variable": ("struct params {", "int counter;\nstruct params {"),
    "recursion": ("select(x * copy.slope, x,", "select(rectify(x, slope), x,"),
    "missing attribute": ("*weights [[buffer(1)]]", "*weights"),
    "missing initialiser": ("constant constexpr uint COUNT = 3;", "constant constexpr uint COUNT;"),
    "array bound that is not constant": (START, START + "    float4 a[gid.x];\n"),
    "struct where a number is due": ("rectify(s.value[0], mine.slope)", "rectify(s.value[0], mine)"),
}

# Rejected by Apple's compiler and not by this lint, each for a reason that is worth knowing. Whether the CPU build
# rejects it instead comes last.
KNOWN_MISSES = {
    # Comparisons of 32-bit vectors yield int vectors there, so that int4 has to pass for bool4.
    "int4 becomes bool4": ("x > 0.0)", "int4(x))", True),
    # Overloads are told apart by the types of their arguments, which the translator does not know.
    "recursion of one of two overloads": (
        "static inline float4 rectify",
        "static inline float4 rectify(float4 x) { return x.x > 1.0 ? rectify(x - 1.0) : x; }\n"
        "static inline float4 rectify",
        False,
    ),
}


def seed(original: str, mistake: str) -> str:
    assert original in SAMPLE
    return SAMPLE.replace(original, mistake, 1)


def messages(source: str) -> str:
    """What translator or clang say about a source."""
    try:
        return clang_lint.diagnose_text(host.lint(source, "sample"))
    except host.SourceError as error:
        return str(error)


def test_accepts_the_sample() -> None:
    assert messages(SAMPLE) == ""


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_accepts_the_kernels(path: Path) -> None:
    assert clang_lint.diagnose(path) == ""


@pytest.mark.parametrize("name", MISTAKES)
def test_rejects(name: str) -> None:
    source = seed(*MISTAKES[name])
    # That a variable of the mistake is not used is no reason.
    errors = re.findall(r"^sample\.metal:\d+:.*$", messages(source), re.M)
    errors = [error for error in errors if "-Wunused" not in error and ": note:" not in error]
    assert errors
    print(*errors, sep="\n")


@pytest.mark.parametrize("name", KNOWN_MISSES)
def test_known_misses_are_still_missed(name: str) -> None:
    original, mistake, is_rejected_by_cpu = KNOWN_MISSES[name]
    source = seed(original, mistake)
    assert messages(source) == ""
    command = ["g++", "-std=gnu++17", f"-I{METAL / 'host/cpu'}", "-x", "c++", "-fsyntax-only", "-"]
    translated = host.translate(source, "sample", "baseline")
    result = subprocess.run(command, input=translated, capture_output=True, text=True, check=False)
    assert (result.returncode != 0) == is_rejected_by_cpu, result.stderr


def test_templates_are_checked_for_every_type_they_are_instantiated_for() -> None:
    # Right for float, wrong for half alone.
    source = SAMPLE.replace(START, START + "    const vec<T, 4> first = weights[0];\n    out[0] = first;\n")
    assert "cell<half>" in messages(source)


def test_command_line(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.metal", tmp_path / "bad.metal"
    good.write_text(SAMPLE)
    bad.write_text(SAMPLE.replace("rectify(s.value[0]", "rectified(s.value[0]"))

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(METAL / "host"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    result = run("lint", good)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = run("lint", good, bad)
    assert result.returncode == 1
    line = SAMPLE.split("rectify(s.value[0]")[0].count("\n") + 1
    assert f"bad.metal:{line}:" in result.stderr
    assert run("bundle", good).stdout == host.bundle(good)
    assert run("translate", good, "checked").stdout == host.translate(host.bundle(good), "good", "checked")
    assert run("translate", tmp_path / "good.metal", "avx").returncode == 2


# The two preludes -------------------------------------------------------------------------------------------


def expanded(command: list[str]) -> list[Token]:
    """The code tokens of a prelude after its macros are expanded."""
    text = "#define MSL_SWIZZLES(M)\n#include <metal_stdlib>\n"
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    without_markers = re.sub(r"^\s*#.*$", "", result.stdout, flags=re.M)
    return [token for token in tokenize(without_markers, "prelude") if token.is_code]


def declared_functions(tokens: list[Token]) -> dict[str, set[str]]:
    """Names of functions declared in each namespace, by the path of the namespace, `using` declarations included."""
    found: dict[str, set[str]] = {}
    path: list[str | None] = []  # names of the namespaces around, "" for unnamed ones; None for braces that are none
    for index, token in enumerate(tokens):
        before = tokens[index - 1].text if index else ""
        if token.text == "{":
            is_namespace = index > 1 and tokens[index - 2].text == "namespace"
            is_unnamed = before == "namespace"
            path.append("" if is_unnamed else before if is_namespace else None)
        elif token.text == "}":
            path.pop()
        elif None not in path and path:
            names = found.setdefault("::".join(filter(None, path)), set())
            if token.text == ";" and tokens[index - 4].text == "using":
                names.add(before)
            follows = tokens[index + 1].text if index + 1 < len(tokens) else ""
            declares = before in (">", "&") or re.fullmatch(r"[A-Za-z_]\w*", before)
            if token.kind == "word" and follows == "(" and declares and before not in ("operator", "return"):
                names.add(token.text)
    return found


def test_both_preludes_declare_the_functions_that_the_translator_knows() -> None:
    clang = list(clang_lint.COMPILER)
    lint_flags = [flag for flag in clang_lint.FLAGS if flag not in ("-fsyntax-only", "-Werror")]
    preludes = {
        "lint": expanded([*clang, *lint_flags, "-E", "-P", "-"]),
        "cpu": expanded(["g++", "-x", "c++", "-std=gnu++17", f"-I{METAL / 'host/cpu'}", "-E", "-P", "-"]),
    }
    for name, tokens in preludes.items():
        functions = declared_functions(tokens)
        # What begins with msl_ and operators of half is the preludes' own.
        own = {function for function in functions["metal"] if function.startswith("msl_")} | {"__attribute__"}
        assert functions["metal"] - own == FUNCTIONS, name
        assert functions["metal::precise"] == PRECISE_FUNCTIONS, name
        assert functions["metal::fast"] == PRECISE_FUNCTIONS, name
