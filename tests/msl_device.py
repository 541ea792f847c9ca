"""The least device that runs translated kernels: msl_program.h as ctypes, and one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


class Texture(ctypes.Structure):
    _fields_ = (
        ("texels", ctypes.c_void_p),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("slices", ctypes.c_uint32),
        ("pixel_format", ctypes.c_uint32),
    )


class Buffer(ctypes.Structure):
    _fields_ = (("contents", ctypes.c_void_p), ("length", ctypes.c_size_t), ("derivations", ctypes.c_void_p))


class Resource(ctypes.Structure):
    _fields_ = (
        ("next", ctypes.c_void_p),
        ("contents", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("access", ctypes.c_uint32),
    )


class Dispatch(ctypes.Structure):
    _fields_ = (
        ("buffers", Buffer * 31),
        ("textures", Texture * 31),
        ("resources", ctypes.c_void_p),
        ("threadgroup_lengths", ctypes.c_uint32 * 31),
        ("constants", ctypes.c_void_p),
        ("threads_per_threadgroup", ctypes.c_uint32 * 3),
        ("threadgroups", ctypes.c_uint32 * 3),
        ("violation", ctypes.c_char_p),
    )


class Argument(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_uint8),
        ("access", ctypes.c_uint8),
        ("index", ctypes.c_uint8),
        ("component", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("constant", ctypes.c_int32),
    )


class Constant(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("index", ctypes.c_uint16),
        ("type", ctypes.c_uint16),
        ("offset", ctypes.c_uint32),
    )


RUN = ctypes.CFUNCTYPE(None, ctypes.POINTER(Dispatch), ctypes.POINTER(ctypes.c_uint32))


class Kernel(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("run_threadgroup", RUN),
        ("arguments", ctypes.POINTER(Argument)),
        ("argument_count", ctypes.c_size_t),
        ("run_thread", ctypes.c_void_p),
        ("memory_size", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    _fields_ = (
        ("constants_size", ctypes.c_size_t),
        ("constants", ctypes.POINTER(Constant)),
        ("constant_count", ctypes.c_size_t),
        ("kernels", ctypes.POINTER(Kernel)),
        ("kernel_count", ctypes.c_size_t),
    )


@dataclass
class Device:
    """The least that runs a translated program."""

    program: Program
    violation: str | None = None
    kernels: dict[str, Kernel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kernel in self.program.kernels[: self.program.kernel_count]:
            self.kernels[kernel.name.decode()] = kernel

    def constants(self, **values: float) -> ctypes.Array[ctypes.c_char]:
        types = {3: np.float32, 29: np.int32, 33: np.uint32, 53: np.bool_}
        blob = ctypes.create_string_buffer(self.program.constants_size)
        for constant in self.program.constants[: self.program.constant_count]:
            value = np.asarray(values[constant.name.decode()], types[constant.type]).tobytes()
            blob[constant.offset : constant.offset + len(value)] = value
        return blob

    def run(
        self,
        name: str,
        constants: ctypes.Array[ctypes.c_char],
        buffers: dict[int, np.ndarray],
        size: tuple[int, int, int],
        groups: tuple[int, int, int],
        textures: dict[int, tuple[np.ndarray, int]] | None = None,
        resources: Sequence[np.ndarray] = (),
    ) -> None:
        dispatch = Dispatch(constants=ctypes.addressof(constants))
        dispatch.threads_per_threadgroup[:] = size
        dispatch.threadgroups[:] = groups
        for index, array in buffers.items():
            dispatch.buffers[index] = Buffer(array.ctypes.data, array.nbytes)
        for index, (texels, pixel_format) in (textures or {}).items():
            slices, height, width, _ = texels.shape
            dispatch.textures[index] = Texture(texels.ctypes.data, width, height, slices, pixel_format)
        used = (Resource * len(resources))()
        for resource, array in zip(used, resources, strict=True):
            resource.next, resource.contents, resource.length = dispatch.resources, array.ctypes.data, array.nbytes
            resource.access = 3 if array.flags.writeable else 1
            dispatch.resources = ctypes.addressof(resource)
        for z, y, x in np.ndindex(groups[::-1]):
            self.kernels[name].run_threadgroup(ctypes.byref(dispatch), (ctypes.c_uint32 * 3)(x, y, z))
        self.violation = dispatch.violation.decode() if dispatch.violation else None
