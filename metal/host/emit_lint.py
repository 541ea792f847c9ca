"""The kernel source for the lint: almost as written, since `clang -x clcpp` knows Metal's address spaces."""

from __future__ import annotations

from .checks import check
from .cursor import Cursor
from .draft import Draft
from .parser import parse


def lint(bundled_text: str, stem: str) -> str:
    """Return what clang shall check in place of the kernel source; every kernel template is instantiated in it.

    Raises
    ------
    SourceError : the source has something that the translator itself rejects
    """
    source = parse(bundled_text, stem)
    check(source)
    draft = Draft(source)
    for constant in source.function_constants:
        draft.replace(constant.span, f"extern constant {constant.type} {constant.name};")
    for kernel in source.kernels:
        draft.replace(kernel.head, "void")
        for parameter in kernel.parameters:
            draft.replace(parameter.attribute_span, "")
    for instantiation in source.instantiations:
        named = instantiation.kernel + source.text(instantiation.arguments)
        draft.replace(instantiation.span, f"template decltype({named}) {named};")
    _replace_constructors(draft)
    return f"#define __METAL_VERSION__ 230\n#include <metal_stdlib>\n{draft.text()}"


def _replace_constructors(draft: Draft) -> None:
    """`vec<T, 4>(...)` to `msl_make<T, 4>(...)`; the prelude's macros do the same for float4(...)."""
    cursor = Cursor(draft.source)
    while not cursor.at_end:
        start = cursor.position
        cursor.position += 1
        if cursor.text(-1) == "vec" and cursor.text() == "<":
            cursor.brackets()
            if cursor.text() == "(":
                draft.replace_token(start, "msl_make")
            cursor.position = start + 1
