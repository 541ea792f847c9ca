"""Parameters of kernels and functions: bindings, builtins, and the rule that every pointer names its address space."""

from __future__ import annotations

from .cursor import Cursor
from .declarations import ADDRESS_SPACES, Parameter, Source, Span
from .lexer import SourceError, Token

BUFFER_COUNT = 31
TEXTURE_COUNT = 31
THREADGROUP_COUNT = 31
TEXTURE_TYPES = ("texture2d", "texture2d_array")
_ACCESSES = ("read", "write", "read_write")

# What a kernel can ask about the thread that runs it, and how many components the answer may have.
_POSITION_SIZES = (1, 2, 3)
BUILTINS = {
    "thread_position_in_grid": _POSITION_SIZES,
    "thread_position_in_threadgroup": _POSITION_SIZES,
    "threadgroup_position_in_grid": _POSITION_SIZES,
    "threads_per_threadgroup": _POSITION_SIZES,
    "threadgroups_per_grid": _POSITION_SIZES,
    "threads_per_grid": _POSITION_SIZES,
    "thread_index_in_threadgroup": (1,),
}


def parse_parameters(source: Source, parameter_list: Span, is_kernel: bool) -> tuple[Parameter, ...]:
    """The parameters of a kernel; of any other function only the address spaces are checked."""
    spans = split_parameters(source, parameter_list)
    if not is_kernel:
        for span in spans:
            require_address_spaces(source, span, "the parameter")
        return ()
    parameters: list[Parameter] = []
    for span in spans:
        parameter = _kernel_parameter(source, span)
        for other in parameters:
            if parameter.name == other.name:
                raise source.token(span.start).error(f"there are two parameters of the name '{parameter.name}'")
            if parameter.kind != "builtin" and (parameter.kind, parameter.index) == (other.kind, other.index):
                raise source.token(span.start).error(
                    f"'{parameter.name}' and '{other.name}' are both {parameter.kind} {parameter.index}"
                )
        parameters.append(parameter)
    return tuple(parameters)


def split_parameters(source: Source, parameter_list: Span) -> list[Span]:
    """The spans between the commas of a parameter list."""
    cursor = Cursor(source, parameter_list.start, parameter_list.stop)
    spans = []
    start = cursor.position
    while not cursor.at_end:
        if cursor.text() == ",":
            spans.append(Span(start, cursor.position))
            start = cursor.position + 1
            cursor.position += 1
        elif cursor.text() in ("(", "[", "{", "<"):
            cursor.brackets()
        else:
            cursor.position += 1
    if start < parameter_list.stop:
        spans.append(Span(start, parameter_list.stop))
    return spans


def require_address_spaces(source: Source, span: Span, what: str) -> None:
    """Reject `T *p` and `T &r`: in Metal a pointer says where its target lies."""
    cursor = Cursor(source, span.start, span.stop)
    has_address_space = False
    while not cursor.at_end and cursor.text() != "=":
        if cursor.text() in ADDRESS_SPACES:
            has_address_space = True
        elif cursor.text() in ("*", "&", "&&") and not has_address_space:
            raise cursor.error(
                f"{what} '{source.text(span)}' has no address space: device, constant, thread or threadgroup"
            )
        if cursor.text() in ("(", "[", "{", "<"):
            cursor.brackets()
        else:
            cursor.position += 1


def binding_index(source: Source, span: Span, count: int) -> int:
    """The value of `3` or of a macro that is defined as such, as it stands in the parentheses of an attribute."""
    tokens = [source.token(index) for index in span]
    if len(tokens) != 1:
        raise source.token(span.start - 1).error(
            f"expected one integer or a macro that is one, got '{source.text(span)}'"
        )
    value = _resolve(source, tokens[0], tokens[0].text, 0)
    if not 0 <= value < count:
        raise tokens[0].error(f"index {value} is outside 0 ... {count - 1}")
    return value


def _resolve(source: Source, where: Token, text: str, depth: int) -> int:
    if text.isdecimal():
        return int(text)
    definition = [token.text for token in source.macros.get(text, [])]
    if text in source.uncertain_macros:
        raise where.error(f"the value of '{text}' is uncertain: defined twice, undefined or inside a conditional")
    if len(definition) != 1 or depth > 16:
        shown = f"is defined as '{' '.join(definition)}'" if text in source.macros else "is not defined"
        raise where.error(f"expected an integer or a macro that is one; '{text}' {shown}")
    return _resolve(source, where, definition[0], depth + 1)


def _kernel_parameter(source: Source, span: Span) -> Parameter:
    cursor = Cursor(source, span.start, span.stop)
    while not cursor.at_end and not cursor.at_attribute():
        cursor.brackets() if cursor.text() == "<" else cursor.expect(cursor.text())
    declaration = Span(span.start, cursor.position)
    if cursor.at_end:
        raise source.token(span.start).error(f"the kernel parameter '{source.text(span)}' has no [[attribute]]")
    attribute_span = Span(cursor.position, span.stop)
    attributes = _attributes(cursor, source)
    only_if = ""
    if "function_constant" in attributes:
        only_if = _constant_name(source, attributes.pop("function_constant"))
    if len(attributes) != 1:
        raise source.token(span.start).error(
            f"expected buffer, texture, threadgroup or a builtin for '{source.text(declaration)}', "
            f"got {', '.join(attributes)}"
        )
    attribute, arguments = attributes.popitem()
    if attribute == "buffer":
        index = binding_index(source, arguments, BUFFER_COUNT)
        return _buffer(source, declaration, attribute_span, index, only_if)
    if attribute == "threadgroup":
        index = binding_index(source, arguments, THREADGROUP_COUNT)
        return _threadgroup(source, declaration, attribute_span, index, only_if)
    if attribute == "texture":
        index = binding_index(source, arguments, TEXTURE_COUNT)
        return _texture(source, declaration, attribute_span, index, only_if)
    if only_if or arguments:
        raise source.token(span.start).error(f"[[{attribute}]] takes neither arguments nor function_constant")
    return _builtin(source, declaration, attribute_span, attribute)


def _attributes(cursor: Cursor, source: Source) -> dict[str, Span]:
    """Attribute name to the span of its arguments, from `[[texture(5), function_constant(NAME)]]`."""
    found: dict[str, Span] = {}
    while not cursor.at_end:
        cursor.expect("[", "[")
        while True:
            name = cursor.word("the name of an attribute")
            if name in found:
                raise cursor.error(f"[[{name}]] is given twice")
            found[name] = cursor.brackets() if cursor.text() == "(" else Span(cursor.position, cursor.position)
            if cursor.text() != ",":
                break
            cursor.expect(",")
        cursor.expect("]", "]")
    return found


def _constant_name(source: Source, span: Span) -> str:
    name = source.text(span)
    constant = next((known for known in source.function_constants if known.name == name), None)
    if constant is None or constant.type != "bool":
        raise source.token(span.start - 1).error(
            f"function_constant({name}) on a parameter needs a bool function constant declared before it"
        )
    return name


def _name(cursor: Cursor, source: Source, declaration: Span) -> str:
    name = cursor.word(f"the name of the parameter '{source.text(declaration)}'")
    if not cursor.at_end:
        raise cursor.error(f"'{cursor.text()}' after the parameter '{name}' is not understood")
    return name


def _not_understood(source: Source, declaration: Span, expected: str) -> SourceError:
    return source.token(declaration.start).error(f"expected {expected}, got '{source.text(declaration)}'")


def _buffer(source: Source, declaration: Span, attribute_span: Span, index: int, only_if: str) -> Parameter:
    expected = "device [const] T *name, constant T *name or constant T &name for a buffer"
    cursor = Cursor(source, declaration.start, declaration.stop)
    if not cursor.at_address_space():
        raise _not_understood(source, declaration, expected)
    found = cursor.address_space_type()
    if found.space not in ("device", "constant") or (found.declarator == "&" and found.space != "constant"):
        raise _not_understood(source, declaration, expected)
    cursor.expect(found.declarator)
    name = _name(cursor, source, declaration)
    access = "read" if found.is_const else "read_write"
    return Parameter(
        "buffer", name, found.type_span, attribute_span, "buffer", index, found.declarator, access, only_if
    )


def _threadgroup(source: Source, declaration: Span, attribute_span: Span, index: int, only_if: str) -> Parameter:
    expected = "threadgroup T *name or threadgroup T &name for threadgroup memory"
    cursor = Cursor(source, declaration.start, declaration.stop)
    found = cursor.address_space_type() if cursor.at_address_space() else None
    if found is None or found.space != "threadgroup" or found.is_const:
        raise _not_understood(source, declaration, expected)
    cursor.expect(found.declarator)
    name = _name(cursor, source, declaration)
    attribute = "threadgroup"
    return Parameter(
        attribute, name, found.type_span, attribute_span, attribute, index, found.declarator, "read_write", only_if
    )


def _texture(source: Source, declaration: Span, attribute_span: Span, index: int, only_if: str) -> Parameter:
    cursor = Cursor(source, declaration.start, declaration.stop)
    type_span = cursor.type_name()
    if not _is_texture(source, type_span):
        raise _not_understood(
            source, declaration, "texture2d<float, access::...> or texture2d_array<float, access::...> for a texture"
        )
    access = source.token(type_span.stop - 2).text
    return Parameter(
        "texture", _name(cursor, source, declaration), type_span, attribute_span, "texture", index, "", access, only_if
    )


def _is_texture(source: Source, type_span: Span) -> bool:
    kind, *rest = [source.token(index).text for index in type_span]
    return kind in TEXTURE_TYPES and any(
        rest == ["<", "float", ",", "access", "::", access, ">"] for access in _ACCESSES
    )


def _builtin(source: Source, declaration: Span, attribute_span: Span, attribute: str) -> Parameter:
    if attribute not in BUILTINS:
        raise source.token(attribute_span.start).error(
            f"[[{attribute}]] is not understood on a kernel parameter; "
            f"known are buffer, texture, threadgroup, {', '.join(BUILTINS)}"
        )
    sizes = BUILTINS[attribute]
    types = [scalar + ("" if size == 1 else str(size)) for scalar in ("uint", "ushort") for size in sizes]
    cursor = Cursor(source, declaration.start, declaration.stop)
    type_span = cursor.type_name()
    if source.text(type_span) not in types:
        raise _not_understood(source, declaration, f"one of {', '.join(types)} for [[{attribute}]]")
    return Parameter("builtin", _name(cursor, source, declaration), type_span, attribute_span, attribute)
