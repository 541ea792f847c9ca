"""The check of command buffers that all encode calls have in common, those of layers and those of memory."""

from __future__ import annotations

from .arguments import instance_of
from .device import MTLCommandBuffer, MTLDevice
from .enums import MTLCommandBufferStatus
from .errors import BadArgumentError

__all__ = ["check_command_buffer"]


def check_command_buffer(
    command_buffer: object, device: MTLDevice | None, name: str = "command_buffer"
) -> MTLCommandBuffer:
    """Check that a command buffer can still be encoded into, and belongs to the device if one is given."""
    command = instance_of(command_buffer, name, MTLCommandBuffer)
    if command.status >= MTLCommandBufferStatus.COMMITTED:
        raise BadArgumentError(f"{name}: got one that is already committed, expected one that is not")
    if device is not None and command.device != device:
        raise BadArgumentError(f"{name}: got one of {command.device!r}, expected one of {device!r}")
    return command
