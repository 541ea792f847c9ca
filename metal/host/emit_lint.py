"""The kernel source for the lint: almost as written, since `clang -x clcpp` knows Metal's address spaces."""

from __future__ import annotations

from . import literals
from .checks import check
from .cursor import Cursor
from .draft import Draft
from .lexer import macro_tokens
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
        draft.replace(constant.span, f"extern msl_file_scope {constant.type} {constant.name};")
    _replace_tables(draft)
    for kernel in source.kernels:
        draft.replace(kernel.head, "void")
        for parameter in kernel.parameters:
            draft.replace(parameter.attribute_span, "")
        for variable in kernel.threadgroup_variables:
            element, dimensions = source.text(variable.type_span), source.text(variable.dimensions)
            reference = f"threadgroup {element} (&{variable.name}){dimensions}"
            draft.replace(variable.span, f"{reference} = msl_shared<{element}{dimensions}>();")
    for instantiation in source.instantiations:
        named = instantiation.kernel + source.text(instantiation.arguments)
        draft.replace(instantiation.span, f"template decltype({named}) {named};")
    _replace_constructors(draft)
    _replace_literals(draft)
    return f'#define __METAL_VERSION__ 300\n#include <metal_stdlib>\n#line 1 "{stem}.metal"\n{draft.text()}'


def _replace_tables(draft: Draft) -> None:
    """Give what the file declares the address space that the prelude explains. Constant expressions have none."""
    source = draft.source
    tables = set()
    for table in source.tables:
        for index in table.head:
            if source.token(index).text == "constant":
                draft.replace_token(index, "msl_file_scope")
        is_array = source.token(table.head.stop + 1).text == "["
        if is_array or all(source.token(index).text != "constexpr" for index in table.head):
            tables.add(table.name)
    for function in source.functions:
        for index in function.body:
            before = source.token(index - 1).text
            if source.token(index).text in tables and before not in (".", "->", "::"):
                draft.replace_token(index, f"msl_constant({source.token(index).text})")


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


def _replace_literals(draft: Draft) -> None:
    for index in range(len(draft.source.code)):
        token = draft.source.token(index)
        if not draft.is_untouched(index):
            continue
        if token.kind == "number":
            draft.replace_token(index, literals.with_suffix(token))
        elif token.directive == "define":
            words = macro_tokens(token)
            text = "".join(literals.with_suffix(word) if word.kind == "number" else word.text for word in words)
            draft.replace_token(index, text)
