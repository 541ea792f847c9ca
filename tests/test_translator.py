"""Kernel sources are bundled and translated line by line, or rejected where they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import host
from host.lexer import tokenize

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
KERNEL = "kernel void k(device float *out [[buffer(0)]]) { out[0] = 1.0; }\n"


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
    "barrier in a member function": (
        "struct s { void wait() { threadgroup_barrier(mem_flags::mem_none); } };",
        "threadgroup_barrier is only understood in functions at file scope",
    ),
    "barrier in a member function by way of a macro": (
        "#define WAIT() threadgroup_barrier(mem_flags::mem_none)\nstruct s { void wait() { WAIT(); } };",
        "threadgroup_barrier is only understood in functions at file scope",
    ),
    "barrier of a simdgroup": (
        "float f() { simdgroup_barrier(mem_flags::mem_none); return 1; }",
        "simdgroups are not supported",
    ),
    "hidden barrier": ("void threadgroup_barrier(int x) { }", "would hide Metal's function"),
    "threadgroup variable of a function": (
        "float f() { threadgroup float x[3]; return x[0]; }",
        "threadgroup variable 'x' has to stand in the outermost block of a kernel",
    ),
    "threadgroup variable in a block": (
        "kernel void f() { { threadgroup float x; } }",
        "threadgroup variable 'x' has to stand in the outermost block of a kernel",
    ),
    "threadgroup variable in a conditional": (
        "kernel void f() {\n#ifdef X\nthreadgroup float x;\n#endif\n}",
        "threadgroup variable 'x' inside a preprocessor conditional",
    ),
    "threadgroup variable with a value": ("kernel void f() { threadgroup float x = 1; }", "has no initialiser"),
    "two threadgroup variables": ("kernel void f() { threadgroup float x, y; }", "one declaration of its own"),
    "threadgroup variable at file scope": ("threadgroup float x[3];", "constant address space"),
    "threadgroup member": ("struct s { threadgroup float x[3]; };", r"expected '\*' or '&'"),
    "threadgroup argument by value": ("kernel void f(float x [[threadgroup(0)]]) { }", r"threadgroup T \*name"),
    "threadgroup argument in device memory": (
        "kernel void f(device float *x [[threadgroup(0)]]) { }",
        r"threadgroup T \*name",
    ),
    "threadgroup argument twice": (
        "kernel void f(threadgroup float *x [[threadgroup(1)]], threadgroup int &y [[threadgroup(1)]]) { }",
        "both threadgroup 1",
    ),
    "image block": ("kernel void f() { threadgroup_imageblock float x; }", "image blocks are not supported"),
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
    "two pointers in one declaration": ("struct s { device float *x, *y; };", "',' after the pointer 'x'"),
    "member that is a pointer by another name": (
        "using p = device const float *;\ntypedef p q;\nstruct s { float a[3]; q x; };",
        "a pointer by way of 'q'",
    ),
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
