"""The census as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from . import CLASSES, ENUMS, FAMILIES, FUNCTIONS, OURS
from .entries import UNSAID, AppleClass, AppleEnum, Constant, Function, Kind, Member

__all__ = ["document"]

_INTRODUCTION = """# Coverage of Apple's API

Every class, property, method, initialiser, function and enum case of Apple's recurrent layers and of what they are
used with, and its name here. Written by `python -m census` in `tests/`; `tests/test_coverage.py` holds every line
against the package: the names, the defaults, what can be set, and that nothing is public which is not told here.

The rule: classes and functions carry Apple's names; properties, methods and labels are the Swift names in snake_case,
with an underscore behind a Python keyword; enum cases are the Swift cases in capitals; initialisers are the
constructor with the Swift labels as its arguments. Overloads are one method with optional arguments. **Bold** names are
ours. A dash stands for what is not there, for the reason that its note gives."""


def document() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, _summary()]
    for title, classes in FAMILIES.items():
        parts.append(f"## {title}")
        parts += [_class(cls) for cls in classes]
    parts += ["## Enumerations", *(_enum(enum) for enum in ENUMS)]
    parts += ["## Functions and constants", _functions(FUNCTIONS), "## Names that are ours", _ours(OURS)]
    return "\n\n".join(parts) + "\n"


def _summary() -> str:
    members = [member for cls in CLASSES.values() for member in cls.members]
    cases = sum(len(enum.cases) for enum in ENUMS)
    missing = sum(not member.python for member in members) + sum(len(enum.omitted) for enum in ENUMS)
    return (
        f"{len(CLASSES)} classes, protocols and structures with {len(members)} members, {len(ENUMS)} enumerations with "
        f"{cases} cases, {len(FUNCTIONS)} functions and constants; {missing} of these members and cases are not here."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _class(cls: AppleClass) -> str:
    base = f" : `{cls.base}`" if cls.base else ""
    rows = [_member(member) for member in cls.members]
    rows += [["", "", f"**`{name}`**", "ours", "", why] for name, why in cls.ours.items()]
    text = f"### `{cls.name}`{base}\n\n{cls.summary}"
    if not rows:
        return text
    return f"{text}\n\n{_table(['Objective-C', 'Swift', 'Python', 'kind', 'default', 'note'], rows)}"


def _member(member: Member) -> list[str]:
    swift = "" if member.swift == member.objc else _code(member.swift)
    return [_code(member.objc), swift, _python(member), member.kind.value, _default(member.default), member.note]


def _python(member: Member) -> str:
    if not member.python:
        return "—"
    if member.kind in (Kind.READ_ONLY, Kind.READ_WRITE):
        return _code(member.python)
    return _code(f"{member.python}({', '.join(member.parameters)})")


def _default(default: object) -> str:
    if default is UNSAID:
        return ""
    if isinstance(default, Constant):
        return _code(default.name)
    if isinstance(default, Enum):
        return _code(default.name or repr(default))
    return _code(repr(default))


def _enum(enum: AppleEnum) -> str:
    rows = []
    for swift, value in enum.cases.items():
        python = "—" if swift in enum.omitted else _code(enum.python(swift))
        shown = str(value) if value < 2**16 else f"{value:#x}"
        rows.append([_code(swift), python, shown, enum.omitted.get(swift, "")])
    rows += [["", f"**`{name}`**", "", why] for name, why in enum.ours.items()]
    note = f"\n\n{enum.note[0].upper()}{enum.note[1:]}." if enum.note else ""
    return f"### `{enum.name}`{note}\n\n{_table(['Swift', 'Python', 'value', 'note'], rows)}"


def _functions(functions: Sequence[Function]) -> str:
    rows = []
    for function in functions:
        call = "" if function.parameters is None else f"({', '.join(function.parameters)})"
        rows.append([_code(function.name), _code(f"{function.name}{call}"), function.note])
    return _table(["Apple", "Python", "note"], rows)


def _ours(names: dict[str, str]) -> str:
    return _table(["Python", "what it is"], [[f"**`{name}`**", why] for name, why in names.items()])


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
