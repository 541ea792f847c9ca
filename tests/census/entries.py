"""What a line of the table says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .naming import case, signature, snake

__all__ = [
    "UNSAID",
    "AppleClass",
    "AppleEnum",
    "Constant",
    "Function",
    "Kind",
    "Member",
    "absent",
    "class_method",
    "initialiser",
    "method",
    "read_only",
    "read_write",
]


class Kind(Enum):
    """What a member is."""

    READ_WRITE = "property, rw"
    READ_ONLY = "property, ro"
    METHOD = "method"
    CLASS_METHOD = "class method"
    INITIALISER = "initialiser"


UNSAID = object()
"""The default of what has none, or one that follows from the arguments of its object."""


@dataclass(frozen=True)
class Constant:
    """A default that is a constant of the package."""

    name: str


@dataclass(frozen=True)
class Member:
    """A property, method or initialiser of Apple's.

    Attributes
    ----------
    objc, swift : str
        Its name in both languages; of a method with the labels, a parameter without one as ``_ name``.
    python : str
        Its name here; empty if there is none, which the note explains.
    parameters : tuple of str
        What the Python method or constructor takes by these names.
    """

    kind: Kind
    objc: str
    swift: str
    python: str
    parameters: tuple[str, ...] = ()
    default: object = UNSAID
    note: str = ""


@dataclass(frozen=True)
class AppleClass:
    """A class, with what it has beyond its base.

    Attributes
    ----------
    ours : dict
        Public members that Apple's class does not have: what each is for.
    exists : bool
        Whether the package has it under this name; if not, the summary says why.
    """

    name: str
    summary: str
    members: tuple[Member, ...] = ()
    base: str | None = None
    ours: dict[str, str] = field(default_factory=dict)
    exists: bool = True


@dataclass(frozen=True)
class AppleEnum:
    """An enumeration: Swift case to value.

    Attributes
    ----------
    omitted : dict
        Cases that the package leaves out: why.
    """

    name: str
    cases: dict[str, int]
    objc: str = ""
    note: str = ""
    omitted: dict[str, str] = field(default_factory=dict)
    ours: dict[str, str] = field(default_factory=dict)

    def python(self, swift: str) -> str:
        """The name of a case here."""
        return case(swift)


@dataclass(frozen=True)
class Function:
    """A function or a constant of Apple's, which keeps its name."""

    name: str
    parameters: tuple[str, ...] | None
    note: str = ""


def read_write(swift: str, default: object = UNSAID, note: str = "", objc: str = "") -> Member:
    """A property that can be set."""
    return Member(Kind.READ_WRITE, objc or swift, swift, snake(swift), (), default, note)


def read_only(swift: str, default: object = UNSAID, note: str = "", objc: str = "") -> Member:
    """A property that cannot be set."""
    return Member(Kind.READ_ONLY, objc or swift, swift, snake(swift), (), default, note)


def method(objc: str, swift: str, note: str = "", without: tuple[str, ...] = ()) -> Member:
    """A method; `without` names Swift parameters that Python has no use for, which the note explains."""
    return _callable(Kind.METHOD, objc, swift, note, without)


def class_method(objc: str, swift: str, note: str = "") -> Member:
    """A method of the class. Swift may have a property of the same name, and so has Python then."""
    return _callable(Kind.CLASS_METHOD, objc, swift, note, ())


def initialiser(objc: str, swift: str, note: str = "") -> Member:
    """An initialiser, or a factory that Swift takes for one: the constructor here."""
    return _callable(Kind.INITIALISER, objc, swift, note, ())


def _callable(kind: Kind, objc: str, swift: str, note: str, without: tuple[str, ...]) -> Member:
    name, parameters = signature(swift)
    kept = tuple(parameter for parameter in parameters if parameter not in without)
    return Member(kind, objc, swift, name, kept, UNSAID, note)


def absent(kind: Kind, objc: str, swift: str, note: str) -> Member:
    """A member that the package does not have; the note says why."""
    return Member(kind, objc, swift, "", (), UNSAID, note)
