"""The exceptions this package raises.

Every class derives from :class:`Error` and from the builtin that describes the same mistake, so a caller may catch
either ``mpsrnn_cy.Error`` or, say, ``ValueError``.
"""

from __future__ import annotations

__all__ = [
    "BadArgumentError",
    "BadTypeError",
    "ClosedError",
    "CommandError",
    "Error",
    "InternalError",
    "KernelCompileError",
    "LifetimeError",
    "NoDeviceError",
    "OutOfMemoryError",
    "UnsupportedError",
]


class Error(Exception):
    """Base of every exception that this package raises on purpose."""


class BadArgumentError(Error, ValueError):
    """An argument has the right type and a value that cannot be used."""


class BadTypeError(Error, TypeError):
    """An argument, or what a data source returned, is of the wrong type or element type."""


class OutOfMemoryError(Error, MemoryError):
    """The device or the host has no memory left for a request."""


class UnsupportedError(Error, NotImplementedError):
    """The request is valid, and this device or build cannot carry it out."""


class ClosedError(Error, ValueError):
    """An object was used after it was closed."""


class CommandError(Error, RuntimeError):
    """A command buffer was committed and failed."""


class KernelCompileError(Error, RuntimeError):
    """A compute kernel could not be loaded or compiled."""


class LifetimeError(Error, RuntimeError):
    """A temporary object was used after its last read, or on another command buffer than its own."""


class NoDeviceError(Error, RuntimeError):
    """No device of the requested kind exists, or it has gone."""


class InternalError(Error, RuntimeError):
    """A defect of this package."""
