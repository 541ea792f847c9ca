"""Threads that work together: barriers, and the memory that a threadgroup has in common."""

from __future__ import annotations

from .checks import expanded_words, functions_using
from .cursor import Cursor
from .declarations import Function, Source, Span, ThreadgroupVariable

BARRIER = "threadgroup_barrier"


def threadgroup_variables(source: Source, function: Function) -> tuple[ThreadgroupVariable, ...]:
    """The variables `threadgroup float x[4];` of a kernel; in other functions there can be none."""
    found: list[ThreadgroupVariable] = []
    depth = 0
    for index in function.body:
        text = source.token(index).text
        depth += {"{": 1, "}": -1}.get(text, 0)
        before = source.token(index - 1)
        if text != "threadgroup" or not (before.text in (";", "{", "}") or before.kind == "directive"):
            continue
        variable = _variable(source, index)
        if variable is None:
            continue
        what = f"the threadgroup variable '{variable.name}'"
        if not function.is_kernel or depth != 1:
            raise source.token(index).error(f"{what} has to stand in the outermost block of a kernel")
        if source.conditional[index]:
            raise source.token(index).error(f"{what} inside a preprocessor conditional is not understood")
        found.append(variable)
    return tuple(found)


def _variable(source: Source, start: int) -> ThreadgroupVariable | None:
    """The variable declared at `start`; None for a pointer or reference to threadgroup memory."""
    cursor = Cursor(source, start + 1)
    if cursor.text() == "const":
        return None
    type_span = cursor.type_name()
    if cursor.text() in ("*", "&", "const"):
        return None
    name = cursor.word("the name of a threadgroup variable")
    dimensions = cursor.position
    while cursor.text() == "[":
        cursor.brackets()
    if cursor.text() != ";":
        raise cursor.error(
            f"'{cursor.text()}' after the threadgroup variable '{name}' is not understood; "
            f"it has no initialiser, and one declaration of its own"
        )
    return ThreadgroupVariable(name, type_span, Span(dimensions, cursor.position), Span(start, cursor.position + 1))


def cooperative_kernels(source: Source) -> set[str]:
    """Names of the kernels whose threads meet at barriers or share memory."""
    _check_barriers(source)
    waiting = functions_using(source, {BARRIER})
    return {
        kernel.name
        for kernel in source.kernels
        if kernel.name in waiting
        or kernel.threadgroup_variables
        or any(parameter.kind == "threadgroup" for parameter in kernel.parameters)
    }


def _check_barriers(source: Source) -> None:
    """Who waits is found by the names of functions, so a barrier must not hide in a member function."""
    in_functions = {index for function in source.functions for index in function.body}
    for index in range(len(source.code)):
        token = source.token(index)
        if token.kind == "word" and index not in in_functions and BARRIER in expanded_words(source, token.text):
            raise token.error(f"{BARRIER} is only understood in functions at file scope")
