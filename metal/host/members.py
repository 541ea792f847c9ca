"""Pointers that are members of structs: they have eight bytes wherever the struct lies, as the host writes them."""

from __future__ import annotations

from dataclasses import dataclass

from .cursor import Cursor
from .declarations import AddressSpaceType, Source, Span

_STRUCTS = ("struct", "class", "union")
_IN_MEMORY = ("device", "constant")  # what a pointer in a buffer can point at


@dataclass(frozen=True)
class PointerMember:
    """`device const T *name;` of a struct; `name` is qualified by that of the struct."""

    name: str
    type: AddressSpaceType


def pointer_members(source: Source) -> list[PointerMember]:
    """All members of structs, file-scope or local ones, that are pointers to device or constant memory."""
    members: list[PointerMember] = []
    aliases = _pointer_aliases(source)
    for position in range(len(source.code)):
        body = _struct_body(source, position)
        if body is not None:
            name = _struct_name(source, position, body)
            for member in _member_declarations(source, body):
                members += _pointers(source, member, name, aliases)
    return members


def _pointer_aliases(source: Source) -> set[str]:
    """Names that `using` or `typedef` give to types with a pointer to device or constant memory in them."""
    aliases: set[str] = set()
    for position in range(len(source.code)):
        keyword = source.token(position).text
        if keyword not in ("using", "typedef"):
            continue
        cursor = Cursor(source, position)
        cursor.skip_to(";")
        words = [source.token(index).text for index in Span(position + 1, cursor.position)]
        if "{" in words:
            continue
        has_pointer = "*" in words and any(space in words for space in _IN_MEMORY)
        if has_pointer or aliases.intersection(words):
            aliases.add(words[0] if keyword == "using" else words[-1])
    return aliases


def _struct_body(source: Source, position: int) -> Span | None:
    """The inside of the braces if `struct` at `position` defines one."""
    if source.token(position).text not in _STRUCTS:
        return None
    if position > 0 and source.token(position - 1).text in ("enum", "<", ","):
        return None
    cursor = Cursor(source, position + 1)
    while cursor.token().kind == "word" or cursor.text() in ("::", ":", ",", "<"):
        cursor.brackets() if cursor.text() == "<" else cursor.expect(cursor.text())
    return cursor.brackets() if cursor.text() == "{" else None


def _struct_name(source: Source, position: int, body: Span) -> str:
    for index in (position + 1, body.stop + 1):  # after the keyword, or after the braces of a typedef
        if source.token(index).kind == "word":
            return source.token(index).text
    return "(unnamed)"


def _member_declarations(source: Source, body: Span) -> list[Span]:
    """What a struct declares, one span each without the ';', functions and nested types left out."""
    cursor = Cursor(source, body.start, body.stop)
    found = []
    while not cursor.at_end:
        if cursor.token().kind == "directive" or cursor.text() in (";", ":", "public", "private", "protected"):
            cursor.position += 1
            continue
        start = cursor.position
        is_variable = cursor.text() not in ("using", "typedef", "friend", "template", "enum", *_STRUCTS)
        while not cursor.at_end and cursor.text() not in (";", "="):
            if cursor.text() == "(":
                is_variable = False
            is_body = cursor.text() == "{"
            if cursor.text() in ("(", "[", "{", "<"):
                cursor.brackets()
            else:
                cursor.position += 1
            if is_body and not is_variable and cursor.text() not in (";", ","):
                break
        if is_variable:
            found.append(Span(start, cursor.position))
        if cursor.text() == "=":
            cursor.skip_to(";")
    return found


def _pointers(source: Source, member: Span, struct: str, aliases: set[str]) -> list[PointerMember]:
    cursor = Cursor(source, member.start, member.stop)
    if not cursor.at_address_space():
        for index in member:
            if source.token(index).text in aliases:
                raise source.token(index).error(
                    f"the member of '{struct}' is a pointer by way of '{source.token(index).text}'; "
                    f"write its type where it is declared"
                )
        return []
    found = cursor.address_space_type()
    if found.space not in _IN_MEMORY or found.declarator == "&":
        return []
    cursor.expect("*")
    while cursor.text() == "const":
        cursor.position += 1
    name = cursor.word(f"the name of a member of '{struct}'")
    while cursor.text() == "[":
        cursor.brackets()
    if not cursor.at_end:
        raise cursor.error(f"'{cursor.text()}' after the pointer '{name}' is not understood; one member each, please")
    return [PointerMember(f"{struct}.{name}", found)]
