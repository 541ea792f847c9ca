"""The naming rule, as code: from Apple's Swift names to the package's.

Properties, methods and labels are the Swift names in snake_case; enum cases are the Swift cases in capitals.
"""

from __future__ import annotations

import keyword
import re
from typing import NamedTuple

__all__ = ["Signature", "case", "signature", "snake"]

# Words that the field writes as one, and a unit that would fall apart.
_WORDS = {
    "reLUN": "relun",
    "PReLU": "Prelu",
    "pReLU": "prelu",
    "ReLU": "Relu",
    "reLU": "relu",
    "GeLU": "Gelu",
    "geLU": "gelu",
    "TanH": "Tanh",
    "tanH": "tanh",
    "UInt": "Uint",
    "uInt": "uint",
    "2D": "_2d",
    "xWidthx": "XWidthX",
    "xHeightx": "XHeightX",
}


class Signature(NamedTuple):
    """A method's name and the names of its parameters."""

    name: str
    parameters: tuple[str, ...]


def snake(swift: str) -> str:
    """A Swift name in snake_case; a Python keyword gets an underscore behind it."""
    for word, written in _WORDS.items():
        swift = swift.replace(word, written)
    swift = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", swift)
    swift = re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", swift)
    swift = swift.lower()
    return f"{swift}_" if keyword.iskeyword(swift) else swift


def case(swift: str) -> str:
    """A Swift enum case in capitals."""
    return snake(swift).rstrip("_").lstrip("_").upper()


def signature(swift: str) -> Signature:
    """A Swift method like ``f(label:_ name:)``; a parameter without a label goes by its name."""
    name, _, labels = swift.partition("(")
    written = [label.removeprefix("_ ").strip() for label in labels.rstrip(")").split(":")]
    return Signature(snake(name), tuple(snake(label) for label in written if label))
