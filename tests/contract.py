"""The contract of the native layers as a C caller sees it, by `ctypes`: without the checks that Python makes first."""

from __future__ import annotations

import ctypes
import re
from ctypes import c_bool, c_char, c_float, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpsrnn_cy.device
import oracle

HEADER = Path(__file__).parent.parent / "objc" / "mpsrnn.h"

OK, BAD_ARGUMENT = 0, 1
FLOAT16, FLOAT32 = 0x10000010, 0x10000020
NONE, ADD, CONCATENATE = 0, 1, 2
SHARED = 0
DATA_TYPES = {np.dtype(np.float16): FLOAT16, np.dtype(np.float32): FLOAT32}


class Error(ctypes.Structure):
    _fields_ = [("message", c_char * 512)]


class Matrix(ctypes.Structure):
    _fields_ = [
        ("buffer", c_void_p),
        ("offset", c_size_t),
        ("row_bytes", c_size_t),
        ("rows", c_uint32),
        ("columns", c_uint32),
        ("data_type", c_uint32),
    ]


class MatrixState(ctypes.Structure):
    _fields_ = [("output", Matrix), ("memory", Matrix)]


class Convolution(ctypes.Structure):
    _fields_ = [
        ("weights", c_void_p),
        ("width", c_uint32),
        ("height", c_uint32),
        ("dilation_x", c_uint32),
        ("dilation_y", c_uint32),
        ("groups", c_uint32),
    ]


class Neuron(ctypes.Structure):
    _fields_ = [("type", c_int32), ("a", c_float), ("b", c_float), ("c", c_float), ("channel_a", c_void_p)]


class Gate(ctypes.Structure):
    _fields_ = [
        ("input", Convolution),
        ("recurrent", Convolution),
        ("memory", Convolution),
        ("diagonal", c_void_p),
        ("bias", c_void_p),
        ("neuron", Neuron),
    ]


class Cell(ctypes.Structure):
    _fields_ = [
        ("kind", c_int),
        ("input_channels", c_uint32),
        ("output_channels", c_uint32),
        ("float32_weights", c_bool),
        ("unit_transform", c_bool),
        ("backward", c_bool),
        ("flip_output_gates", c_bool),
        ("gate_p_norm", c_float),
        ("output_neuron", Neuron),
        ("gates", Gate * 4),
    ]


class DeviceInfo(ctypes.Structure):
    _fields_ = [
        ("name", c_char * 256),
        ("registry_id", c_uint64),
        ("max_buffer_length", c_uint64),
        ("current_allocated_size", c_uint64),
        ("thread_count", c_uint32),
    ]


class CommandInfo(ctypes.Structure):
    _fields_ = [
        ("status", c_uint32),
        ("dispatch_count", c_uint32),
        ("gpu_start_time", ctypes.c_double),
        ("gpu_end_time", ctypes.c_double),
        ("error", Error),
    ]


def _table() -> dict[str, int]:
    """Addresses of the contract's functions by their names, in the order of the header."""
    text = HEADER.read_text(encoding="utf-8")
    body = text[text.index("typedef struct {\n    /* The system's default device") : text.index("} mpsrnn_api;")]
    names = re.findall(r"\(\*(\w+)\)\(", body)
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype = ctypes.c_char_p
    get_name.argtypes = [ctypes.py_object]
    capsule = mpsrnn_cy.device.__pyx_capi__["api"]
    variable = get_pointer(capsule, get_name(capsule))
    address = c_void_p.from_address(variable).value
    return dict(zip(names, (c_void_p * len(names)).from_address(address), strict=True))


_FUNCTIONS = _table()


class Refusal(Exception):
    """A status that is not OK, and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def call(name: str, *arguments: Any) -> None:
    """Call a function that returns a status; its last argument, the error, is added here."""
    error = Error()
    function = ctypes.CFUNCTYPE(c_int, *[type(a) for a in arguments], c_void_p)(_FUNCTIONS[name])
    status = function(*arguments, ctypes.addressof(error))
    if status != OK:
        raise Refusal(status, error.message.decode())


def plain(name: str, result: Any, *arguments: Any) -> Any:
    """Call a function that cannot fail."""
    return ctypes.CFUNCTYPE(result, *[type(a) for a in arguments])(_FUNCTIONS[name])(*arguments)


class Handle:
    """One reference to a native object, released with this one."""

    def __init__(self, create: str, *arguments: Any) -> None:
        self.value = c_void_p()
        call(create, *arguments, pointer(self.value))

    def __del__(self) -> None:
        if self.value:
            plain("release", None, self.value)


class Device(Handle):
    """The default device."""

    def __init__(self) -> None:
        super().__init__("device_create_default")

    @property
    def thread_count(self) -> int:
        info = DeviceInfo()
        plain("device_get_info", None, self.value, pointer(info))
        return info.thread_count

    @thread_count.setter
    def thread_count(self, count: int) -> None:
        call("device_set_thread_count", self.value, c_uint32(count))


class Buffer(Handle):
    """Memory of a device."""

    def __init__(self, device: Handle, length: int) -> None:
        super().__init__("buffer_create", device.value, c_size_t(length), c_uint32(SHARED))
        contents = plain("buffer_contents", c_void_p, self.value)
        self.bytes = np.frombuffer((ctypes.c_uint8 * length).from_address(contents), np.uint8)


class Rows:
    """A matrix of its own memory, with room around every row that nobody may write."""

    MARGIN = 0xA5

    def __init__(self, device: Handle, rows: int, columns: int, dtype: Any = np.float32, gap: int = 3) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = (rows, columns)
        size = self.dtype.itemsize
        self.view = Matrix(None, 5 * size, (columns + gap) * size, rows, columns, DATA_TYPES[self.dtype])
        self.buffer = Buffer(device, self.view.offset + rows * self.view.row_bytes)
        self.buffer.bytes[:] = self.MARGIN
        self.view.buffer = self.buffer.value

    @property
    def _cells(self) -> NDArray[np.uint8]:
        return self.buffer.bytes[self.view.offset :].reshape(self.shape[0], self.view.row_bytes)

    @property
    def array(self) -> NDArray[Any]:
        """The elements, a copy."""
        width = self.shape[1] * self.dtype.itemsize
        return self._cells[:, :width].copy().view(self.dtype)

    @array.setter
    def array(self, values: NDArray[Any]) -> None:
        width = self.shape[1] * self.dtype.itemsize
        self._cells[:, :width] = np.ascontiguousarray(values, self.dtype).view(np.uint8).reshape(-1, width)

    def assert_margin_untouched(self) -> None:
        width = self.shape[1] * self.dtype.itemsize
        assert (self.buffer.bytes[: self.view.offset] == self.MARGIN).all()
        assert (self._cells[:, width:] == self.MARGIN).all()


def views(matrices: list[Rows]) -> ctypes.Array[Matrix]:
    """An array of the matrices' structs."""
    return (Matrix * len(matrices))(*[matrix.view for matrix in matrices])


def pointer(array: Any) -> c_void_p:
    """Address of a ctypes object, which it keeps alive; NULL for None."""
    return c_void_p() if array is None else ctypes.cast(ctypes.pointer(array), c_void_p)


class NativeCell:
    """The struct of a cell of the oracle, and the arrays that it points at."""

    def __init__(self, cell: oracle.Cell, *, backward: bool = False) -> None:
        self.arrays: list[NDArray[Any]] = []
        self.weight_type = np.float32 if cell.float32_weights else np.float16
        kind = {oracle.SingleGate: 0, oracle.GRU: 1, oracle.LSTM: 2}[type(cell)]
        self.struct = Cell(kind, cell.inputs, cell.outputs, cell.float32_weights, cell.unit_transform, backward)
        gates = cell.gates
        names = list(gates)
        if kind == 1:
            self.struct.flip_output_gates = cell.flip
            self.struct.gate_p_norm = cell.p_norm
            names = ["input_gate", "recurrent_gate", "output_gate"]
        if kind == 2:
            self.struct.output_neuron = self._neuron(cell.output_neuron)
            names = ["input_gate", "forget_gate", "cell_gate", "output_gate"]
        for index, name in enumerate(names):
            self._fill_gate(self.struct.gates[index], gates[name])

    def _keep(self, array: NDArray[Any]) -> int:
        self.arrays.append(np.ascontiguousarray(array))
        return self.arrays[-1].ctypes.data

    def _neuron(self, neuron: oracle.Neuron) -> Neuron:
        result = Neuron(int(neuron.type), neuron.a, neuron.b, neuron.c)
        data = neuron.alpha
        result.channel_a = None if data is None else self._keep(np.asarray(data, np.float32))
        return result

    def _convolution(self, slot: oracle.Slot | None) -> Convolution:
        if slot is None:
            return Convolution()
        return Convolution(self._keep(slot.weights.astype(self.weight_type)), 1, 1, 1, 1, slot.groups)

    def _fill_gate(self, out: Gate, gate: oracle.Gate) -> None:
        out.input = self._convolution(gate.input)
        out.recurrent = self._convolution(gate.recurrent)
        if gate.diagonal:
            # Peepholes are rounded as the other weights are.
            out.diagonal = self._keep(gate.memory.astype(self.weight_type).astype(np.float32))
        else:
            out.memory = self._convolution(gate.memory)
        out.bias = None if gate.bias is None else self._keep(gate.bias)
        out.neuron = self._neuron(gate.neuron)


class MatrixLayer(Handle):
    """A stack of cells over matrices."""

    def __init__(self, device: Handle, cells: list[NativeCell]) -> None:
        self.cells = cells
        structs = (Cell * len(cells))(*[cell.struct for cell in cells])
        super().__init__("matrix_layer_create", device.value, pointer(structs), c_size_t(len(cells)))


class Command(Handle):
    """A command buffer of a queue."""

    def __init__(self, queue: Handle) -> None:
        super().__init__("command_create", queue.value)

    def commit_and_wait(self) -> None:
        call("command_run", self.value)

    @property
    def dispatch_count(self) -> int:
        info = CommandInfo()
        plain("command_get_info", None, self.value, pointer(info))
        return info.dispatch_count
