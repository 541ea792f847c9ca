"""C++ for the CPU out of a parsed kernel source.

The source becomes the body of `struct program`: function constants are its data members, so an instance of it is the
block of constants of one pipeline, and functions that use them are its member functions. Every token stays on its line.
"""

from __future__ import annotations

import re

from . import literals
from .checks import check, functions_using
from .cursor import Cursor
from .declarations import ADDRESS_SPACES, Function, Source, Span, Table
from .draft import Draft
from .entry_points import entry_points, memory_type
from .lexer import Token, macro_tokens
from .members import PointerMember, pointer_members
from .parser import parse

VARIANTS = ("baseline", "x86_64_v3", "checked")

_SWIZZLE = re.compile(r"[xyzw]{2,4}|[rgba]{2,4}")
_COMPONENTS = {name: index % 4 for index, name in enumerate("xyzwrgba")}


def translate(bundled_text: str, stem: str, variant: str) -> str:
    """Return C++17 that defines `const struct msl_program msl_program_<stem>_<variant>`.

    Parameters
    ----------
    bundled_text : what `bundle` returned
    stem : name of the kernel file without .metal
    variant : baseline, x86_64_v3 or checked; the first two differ in compiler flags alone

    Raises
    ------
    SourceError : the source has something that this translation does not understand
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
    source = parse(bundled_text, stem)
    check(source)
    if not source.kernels:
        raise source.tokens[-1].error("there is no kernel in this file")
    members = pointer_members(source)
    return _prologue(source, members, variant) + _Body(source, members).text() + entry_points(source, variant)


def _prologue(source: Source, members: list[PointerMember], variant: str) -> str:
    checked = ["#define MSL_CHECKED 1"] if variant == "checked" else []
    lines = [
        f"// Built from {source.stem}.metal, variant {variant}.",
        "#define __METAL_VERSION__ 300",
        *checked,
        f"#define MSL_SWIZZLES(M) {_swizzles(source)}",
        "#include <metal_stdlib>",
        "namespace metal {",
        "namespace {",
        *(f'MSL_MEMBER({_tag(number)}, "{member.name}")' for number, member in enumerate(members)),
        "struct program {",
        f'#line 1 "{source.stem}.metal"',
    ]
    return "\n".join(lines) + "\n"


def _swizzles(source: Source) -> str:
    """The swizzles that the source uses, for vectors to have as members: `M(xy, 0, 1) M(zw, 2, 3)`."""
    names = set()
    for token in source.tokens:
        words = macro_tokens(token) if token.directive == "define" else (token,)
        names |= {word.text for word in words if word.kind == "word" and _SWIZZLE.fullmatch(word.text)}
    return " ".join(f"M({name}, {', '.join(str(_COMPONENTS[letter]) for letter in name)})" for name in sorted(names))


def _tag(member: int) -> str:
    """The type that tells a member from others."""
    return f"msl_member_{member}_"


class _Body:
    """The source's own text, edited so that it can stand in a class."""

    def __init__(self, source: Source, pointer_members: list[PointerMember]) -> None:
        self.source = source
        self.draft = Draft(source)
        self.tags = {member.type.span.start: _tag(number) for number, member in enumerate(pointer_members)}
        self.members = functions_using(source, {constant.name for constant in source.function_constants})

    def text(self) -> str:
        for span in self.source.dropped:
            self.draft.replace(span, "")
        for constant in self.source.function_constants:
            self.draft.replace(constant.span, f"{constant.type} {constant.name};")
        for instantiation in self.source.instantiations:
            self.draft.replace(instantiation.span, "")
        for table in self.source.tables:
            self._edit_table(table)
        for function in self.source.functions:
            self._edit_function(function)
        self._edit_tokens()
        self._edit_address_spaces()
        return self.draft.text()

    def _edit_table(self, table: Table) -> None:
        constants = {constant.name for constant in self.source.function_constants}
        for index in table.span:
            token = self.source.token(index)
            if token.text in constants:
                raise token.error(
                    f"'{table.name}' depends on the function constant '{token.text}'; write a function that returns it"
                )
        for index in table.head:
            if self.source.token(index).text in ("constant", "constexpr", "static", "const", "inline"):
                self.draft.replace_token(index, "")
        self.draft.insert_before(table.head.start, "static constexpr ")

    def _edit_function(self, function: Function) -> None:
        """Functions that need no function constant become static, so that member functions of structs can call them."""
        is_member = function.is_kernel or function.name in self.members
        for index in function.head:
            if self.source.token(index).text in ("static", "inline", "kernel"):
                self.draft.replace_token(index, "")
        self.draft.insert_before(function.head.start, "MSL_INLINE " if is_member else "static MSL_INLINE ")
        if is_member:
            self.draft.replace_token(function.parameter_list.stop, ") const")
        for parameter in function.parameters:
            self.draft.replace(parameter.attribute_span, "")
        for variable in function.threadgroup_variables:
            self.draft.replace(variable.span, f"MSL_SHARED({variable.name}, {memory_type(self.source, function)});")
        if function.threadgroup_variables:
            comma = ", " if function.parameter_list else ""
            self.draft.replace_token(function.parameter_list.start - 1, f"(void *msl_memory_{comma}")

    def _edit_tokens(self) -> None:
        for index in range(len(self.source.code)):
            token = self.source.token(index)
            if not self.draft.is_untouched(index):
                continue
            if token.kind == "number":
                self.draft.replace_token(index, literals.in_cxx(token))
            elif token.kind == "directive":
                self.draft.replace_token(index, _directive(token))

    def _edit_address_spaces(self) -> None:
        """`device const T *p` to `msl_device<const T> p`, `constant T &r` to `const T &r`; `thread` goes."""
        cursor = Cursor(self.source)
        while not cursor.at_end:
            if not (self.draft.is_untouched(cursor.position) and cursor.at_address_space()):
                cursor.position += 1
                continue
            start = cursor.position
            while cursor.text() not in ADDRESS_SPACES:
                cursor.position += 1
            if cursor.text() == "thread":
                self.draft.replace_token(cursor.position, "")
                cursor.position += 1
                continue
            cursor.position = start
            self._edit_address_space(cursor)

    def _edit_address_space(self, cursor: Cursor) -> None:
        found = cursor.address_space_type()
        type_name = self.source.text(found.type_span)
        if found.is_const:
            type_name = f"const {type_name}"
        if found.declarator == "&":
            self.draft.replace(found.span, type_name)
            return
        pointer = f"msl_threadgroup<{type_name}>" if found.space == "threadgroup" else f"msl_device<{type_name}>"
        if found.span.start in self.tags:
            pointer = f"msl_member<{type_name}, {self.tags[found.span.start]}>"
        self.draft.replace(Span(found.span.start, found.span.stop + 1), pointer)
        cursor.expect("*")
        if cursor.text() == "*" or (cursor.at_address_space() and cursor.text() != "thread"):
            raise cursor.error("a pointer to a pointer is not understood")


def _directive(token: Token) -> str:
    if token.directive == "define":
        return "".join(_macro_token(inner) for inner in macro_tokens(token))
    return "MSL_UNROLL" if token.directive == "pragma" else token.text


def _macro_token(token: Token) -> str:
    if token.text in ADDRESS_SPACES:
        raise token.error(f"the address space '{token.text}' in a macro is not understood; write it where it is used")
    return literals.in_cxx(token) if token.kind == "number" else token.text
