"""Checked properties: an object whose attributes are declared as data and checked the moment they are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

__all__ = ["Property", "PropertyHolder"]

_T = TypeVar("_T")
_HolderT = TypeVar("_HolderT", bound="PropertyHolder")
_PropertyT = TypeVar("_PropertyT", bound="Property[Any]")


class PropertyHolder:
    """Base of objects made of `Property` attributes; setting any other attribute is an error.

    Copies are independent: the values of a copy can be set without changing the original. What is pickled is checked
    like what is set when it comes back.
    """

    __slots__ = ("_values",)

    _values: dict[str, Any]

    def __new__(cls: type[_HolderT], *_args: object, **_kwargs: object) -> _HolderT:
        # Made here rather than in __init__, so that a subclass which forgets to call it still works.
        self = super().__new__(cls)
        self._values = {}
        return self

    def __copy__(self: _HolderT) -> _HolderT:
        copied = type(self).__new__(type(self))
        copied._values = dict(self._values)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return dict(self._values)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        """Show the properties that differ from their defaults, in the order of declaration."""
        shown = []
        for cls in reversed(type(self).__mro__):
            for name, member in vars(cls).items():
                if isinstance(member, Property) and name in self._values:
                    shown.append(f"{name}={self._values[name]!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Property(Generic[_T]):
    """A data descriptor that checks what is assigned.

    Parameters
    ----------
    check
        Called with the assigned value and the qualified name for messages; returns the value to keep, or raises.
    default
        The value before the first assignment; immutable, for all instances share it.
    doc
        The documentation of the property.
    """

    def __init__(self, check: Callable[[object, str], _T], default: _T, doc: str) -> None:
        self._check = check
        self._default = default
        self.__doc__ = doc

    def __set_name__(self, owner: type[PropertyHolder], name: str) -> None:
        self._name = name

    @overload
    def __get__(self: _PropertyT, instance: None, owner: type[PropertyHolder]) -> _PropertyT: ...

    @overload
    def __get__(self, instance: PropertyHolder, owner: type[PropertyHolder]) -> _T: ...

    def __get__(self, instance: PropertyHolder | None, owner: type[PropertyHolder]) -> Property[_T] | _T:
        if instance is None:
            return self
        value: _T = instance._values.get(self._name, self._default)
        return value

    def __set__(self, instance: PropertyHolder, value: _T) -> None:
        instance._values[self._name] = self._check(value, f"{type(instance).__name__}.{self._name}")
