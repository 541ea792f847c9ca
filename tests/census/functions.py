"""Functions and constants, and the names that are ours."""

from __future__ import annotations

from .entries import Function

__all__ = ["FUNCTIONS", "OURS"]

_COUNTED = "touches each distinct object once, and returns how many there are"

FUNCTIONS = (
    Function("MTLCreateSystemDefaultDevice", ()),
    Function("MTLCopyAllDevices", ()),
    Function("MPSImageBatchIncrementReadCount", ("batch", "amount"), _COUNTED),
    Function("MPSImageBatchSynchronize", ("batch", "command_buffer")),
    Function("MPSImageBatchResourceSize", ("batch",)),
    Function("MPSImageBatchIterate", ("batch", "iterator"), "until the function returns something other than 0"),
    Function("MPSStateBatchIncrementReadCount", ("batch", "amount"), _COUNTED),
    Function("MPSStateBatchSynchronize", ("batch", "command_buffer")),
    Function("MPSStateBatchResourceSize", ("batch",)),
    Function("MPSRectNoClip", None, "a constant: the region that clips nothing"),
)

OURS = {
    "ArrayDataSource": "a data source over NumPy arrays",
    "BadArgumentError": "an exception: an argument has a value that cannot be used; a ValueError",
    "BadTypeError": "an exception: an argument is of the wrong type; a TypeError",
    "ClosedError": "an exception: an object was used after it was closed; a ValueError",
    "CommandError": "an exception: a command buffer failed; a RuntimeError",
    "Error": "the base of our exceptions. Apple stops the process where most of them are raised",
    "InternalError": "an exception: a defect of the package; a RuntimeError",
    "KernelCompileError": "an exception: a kernel could not be compiled; a RuntimeError",
    "LifetimeError": "an exception: a temporary object was used after its last read; a RuntimeError",
    "NoDeviceError": "an exception: there is no such device; a RuntimeError",
    "OutOfMemoryError": "an exception: no memory is left; a MemoryError",
    "UnsupportedError": "an exception: this device cannot carry out a request; a NotImplementedError",
    "__version__": "of the package",
    "get_include": "where the native interface's header lies",
}
