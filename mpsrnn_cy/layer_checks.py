"""Checks that layers over images and over matrices have in common, of descriptors and of encode calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from .arguments import instance_of
from .cells import Cell
from .descriptors import MPSRNNDescriptor
from .enums import MPSRNNBidirectionalCombineMode, MPSRNNSequenceDirection
from .errors import BadArgumentError, BadTypeError

__all__ = [
    "Directions",
    "check_forward_stack",
    "check_list",
    "check_output_list",
    "combined_channels",
    "descriptor_list",
    "is_forward_stack",
]

_T = TypeVar("_T")


def descriptor_list(one: object, several: object) -> list[MPSRNNDescriptor]:
    """Take the descriptors of a stack as the constructor has them: one, a list, or a list under Apple's label."""
    if (one is None) == (several is None):
        raise BadTypeError(
            "rnn_descriptor: got neither or both of rnn_descriptor and rnn_descriptors, expected one of them"
        )
    if isinstance(one, MPSRNNDescriptor):
        return [one]
    name, given, expected = "rnn_descriptor", one, "an MPSRNNDescriptor or a list of them"
    if one is None:
        name, given, expected = "rnn_descriptors", several, "a list of MPSRNNDescriptor"
    if not isinstance(given, (list, tuple)):
        raise BadTypeError(f"{name}: got {given!r} ({type(given).__name__}), expected {expected}")
    if not given:
        raise BadArgumentError(f"{name}: got an empty list, expected at least one descriptor")
    return list(given)


def check_forward_stack(cells: Sequence[Cell]) -> None:
    """Check that layers of both directions follow each other, as a forward pass runs through all of them."""
    for index in range(1, len(cells)):
        below, cell = cells[index - 1], cells[index]
        if cell.input_channels != below.output_channels:
            raise BadArgumentError(
                f"rnn_descriptors[{index}]: got {cell.input_channels} input channels for a forward sequence, expected "
                f"the {below.output_channels} output channels of the layer below"
            )


def is_forward_stack(cells: Sequence[Cell]) -> bool:
    """Tell whether `check_forward_stack` finds nothing."""
    try:
        check_forward_stack(cells)
    except BadArgumentError:
        return False
    return True


def check_list(value: object, name: str, expected: type[_T], noun: str) -> list[_T]:
    """Check a sequence of at least one object of a type, which messages call `noun`."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list of {expected.__name__}")
    if not value:
        raise BadArgumentError(f"{name}: got an empty list, expected at least one {noun}")
    return [instance_of(item, f"{name}[{index}]", expected) for index, item in enumerate(value)]


def check_output_list(value: object, name: str) -> None:
    """Check a list that an encode call appends to, or None."""
    if value is not None and not isinstance(value, list):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list or None")


class Directions(NamedTuple):
    """The two stacks of a bidirectional sequence; either may be empty."""

    forward: list[Cell]
    backward: list[Cell]

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Directions:
        """Split the layers, and check that both stacks read the same sequence."""
        forward = [cell for cell in cells if cell.direction == MPSRNNSequenceDirection.FORWARD]
        backward = [cell for cell in cells if cell.direction == MPSRNNSequenceDirection.BACKWARD]
        if forward and backward and forward[0].input_channels != backward[0].input_channels:
            raise BadArgumentError(
                f"source_sequence: the backward stack reads {backward[0].input_channels} channels, "
                f"expected {forward[0].input_channels}, as the forward stack"
            )
        return cls(forward, backward)

    @property
    def input_channels(self) -> int:
        """Channels of the sequence."""
        return (self.forward or self.backward)[0].input_channels


def combined_channels(mode: MPSRNNBidirectionalCombineMode, directions: Directions) -> int:
    """Check that the results of two stacks can be joined; return the channels of the joined result."""
    name = "bidirectional_combine_mode"
    forward, backward = directions
    if not forward or not backward:
        missing = "backward" if forward else "forward"
        raise BadArgumentError(f"{name}: got {mode.name} without a {missing} layer, expected layers of both directions")
    ahead, behind = forward[-1].output_channels, backward[-1].output_channels
    if mode == MPSRNNBidirectionalCombineMode.CONCATENATE:
        return ahead + behind
    if ahead != behind:
        raise BadArgumentError(
            f"{name}: got ADD of {ahead} forward and {behind} backward channels, expected equal numbers"
        )
    return ahead
