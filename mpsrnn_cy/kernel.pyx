"""What all layers have from Apple's base classes: a device, a label, settings, copies and archives."""

import os

cimport cython
from cpython.object cimport Py_TPFLAGS_BASETYPE

from .archive import decode_layer, encode_layer
from .arguments import enum_member, instance_of, integer, option_set
from .arguments import label as checked_label
from .device import MTLCreateSystemDefaultDevice
from .enums import MPSImageEdgeMode, MPSKernelOptions
from .errors import BadArgumentError, BadTypeError
from .image import MPSTemporaryImage
from .structures import MPSOffset, MPSRectNoClip, offset_of, region_of

__all__ = ["MPSCNNKernel", "MPSKernel"]

# Only this module can make a layer out of cells: those of another layer, or of an archive that has been checked.
cdef object _key = object()

_UNSIGNED_MAXIMUM = 2**64 - 1


@cython.auto_pickle(False)
cdef class MPSKernel:
    """Base of all layers, which are final. Neither it nor a class that a caller derives from it can be constructed.

    Layers are copied by `copy`, the `copy` module, and pickle, which goes through `to_bytes`. An encode call reads the
    settings when it is called: later changes do not concern what has been encoded.

    Attributes
    ----------
    device : MTLDevice
        Where it runs.
    """

    def __cinit__(self, device=None, *args, key=None, **kwargs):
        # Layers are final. What can be derived from is one of the bases below, or a caller's class over one.
        if type(self).__flags__ & Py_TPFLAGS_BASETYPE:
            raise BadTypeError(f"{type(self).__name__}: cannot be constructed, expected one of the layers")
        if key is not None and key is not _key:
            raise BadTypeError(f"{type(self).__name__}: got an unexpected argument key")
        self.device = instance_of(device, "device", MTLDevice)
        self._options = MPSKernelOptions.NONE

    def __repr__(self):
        name = "" if self._label is None else f" {self._label!r}"
        kinds = ", ".join(f"{cell.kind.name} {cell.input_channels} -> {cell.output_channels}" for cell in self._cells)
        return f"<{type(self).__name__}{name} {kinds}>"

    @property
    def label(self):
        """A name for people, or None."""
        return self._label

    @label.setter
    def label(self, value):
        self._label = checked_label(value)

    @property
    def options(self):
        """A set of `MPSKernelOptions`; NONE at first.

        SKIP_API_VALIDATION skips nothing: arguments are always checked, for nothing behind the checks would stop.
        ALLOW_REDUCED_PRECISION lets inference layers over matrices multiply in bfloat16, inputs and previous outputs by
        weights; sums, cells and what is stored stay float32. Batches of four rows and more do so on the portable device
        where the processor has instructions for it (AVX512_BF16). Elsewhere, and for other layers, it has no effect.
        The other options ask Apple's kernels for help in debugging, and have none.
        """
        return self._options

    @options.setter
    def options(self, value):
        self._options = option_set(value, "options", MPSKernelOptions)

    def copy(self, device=None):
        """Make an independent layer with the same weights and settings.

        Parameters
        ----------
        device : MTLDevice, optional
            Where the copy runs; on this layer's device if omitted.
        """
        return _kernel_of(type(self), self.device if device is None else device, self._cells, self._settings())

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return type(self).from_bytes, (self.to_bytes(),)

    def to_bytes(self):
        """Encode weights and settings as bytes, in a versioned safetensors format. What NSSecureCoding is for.

        Raises
        ------
        BadTypeError
            If a setting is an object of the caller's, which no archive holds.
        """
        return encode_layer(type(self).__name__, self._cells, self._settings())

    @classmethod
    def from_bytes(cls, data, device=None):
        """Decode a layer from bytes of `to_bytes`. Nothing in them is executed.

        Parameters
        ----------
        data : bytes
            Untrusted bytes are safe: what is not a layer raises an `Error`, a `BadArgumentError` mostly.
        device : MTLDevice, optional
            Where the layer runs; on the system's default device if omitted.
        """
        cells, settings = decode_layer(data, cls.__name__)
        return _kernel_of(cls, MTLCreateSystemDefaultDevice() if device is None else device, tuple(cells), settings)

    def save(self, path):
        """Write `to_bytes` to a file."""
        data = self.to_bytes()
        with open(os.fspath(path), "wb") as file:
            file.write(data)

    @classmethod
    def load(cls, path, device=None):
        """Read a layer from a file of `save`; see `from_bytes`."""
        with open(os.fspath(path), "rb") as file:
            return cls.from_bytes(file.read(), device)

    cdef dict _settings(self):
        return {"label": self._label, "options": int(self._options)}


cdef MPSKernel _kernel_of(type cls, device, tuple cells, dict settings):
    """A layer over cells that have been checked. Settings that are missing, for an older release had none such, stay at
    their defaults."""
    cdef MPSKernel kernel = cls.__new__(cls, device, cells, key=_key)
    expected = kernel._settings()
    unknown = sorted(set(settings) - set(expected))
    if unknown:
        raise BadArgumentError(f"settings: got {unknown[0]!r}, expected some of {', '.join(sorted(expected))}")
    for name, value in settings.items():
        setattr(kernel, name, value)
    return kernel


@cython.auto_pickle(False)
cdef class MPSCNNKernel(MPSKernel):
    """Base of the image layer: the settings of Apple's kernels over images.

    They are kept, checked, copied and archived, and `encode_sequence` and `encode_bidirectional_sequence` take no
    notice of any: source, destination and state images of a recurrence have one size, windows are centred, and zeros
    lie outside. Apple does not document whether its own recurrent layer heeds them. Sub-images
    (`MPSImage.sub_image`) do what the channel offsets are for.
    """

    def __cinit__(self, *args, **kwargs):
        self._offset = MPSOffset(0, 0, 0)
        self._clip_rect = MPSRectNoClip
        self._destination_feature_channel_offset = 0
        self._source_feature_channel_offset = 0
        self._source_feature_channel_max_count = _UNSIGNED_MAXIMUM
        self._edge_mode = MPSImageEdgeMode.ZERO

    @property
    def offset(self):
        """`MPSOffset` of the source pixel that belongs to the origin of the clip rectangle. Without effect."""
        return self._offset

    @offset.setter
    def offset(self, value):
        self._offset = offset_of(value, "offset")

    @property
    def clip_rect(self):
        """`MTLRegion` of the destination that is written; all of it, `MPSRectNoClip`, at first. Without effect."""
        return self._clip_rect

    @clip_rect.setter
    def clip_rect(self, value):
        self._clip_rect = region_of(value, "clip_rect")

    @property
    def destination_feature_channel_offset(self):
        """The first channel of the destination that is written, a multiple of 4. Without effect."""
        return self._destination_feature_channel_offset

    @destination_feature_channel_offset.setter
    def destination_feature_channel_offset(self, value):
        self._destination_feature_channel_offset = _channel_offset(value, "destination_feature_channel_offset")

    @property
    def source_feature_channel_offset(self):
        """The first channel of the source that is read, a multiple of 4. Without effect."""
        return self._source_feature_channel_offset

    @source_feature_channel_offset.setter
    def source_feature_channel_offset(self, value):
        self._source_feature_channel_offset = _channel_offset(value, "source_feature_channel_offset")

    @property
    def source_feature_channel_max_count(self):
        """The most channels of the source that are read; 2**64 - 1 at first. Without effect."""
        return self._source_feature_channel_max_count

    @source_feature_channel_max_count.setter
    def source_feature_channel_max_count(self, value):
        self._source_feature_channel_max_count = integer(
            value, "source_feature_channel_max_count", maximum=_UNSIGNED_MAXIMUM
        )

    @property
    def edge_mode(self):
        """`MPSImageEdgeMode`: what lies outside the source. Without effect: zeros do."""
        return self._edge_mode

    @edge_mode.setter
    def edge_mode(self, value):
        self._edge_mode = enum_member(value, "edge_mode", MPSImageEdgeMode)

    @property
    def padding(self):
        """An object that would choose the size of destinations that an encode call returns, or None. Without effect:
        the recurrent encode calls return none. A copy of the layer has the same object; no archive holds it."""
        return self._padding

    @padding.setter
    def padding(self, value):
        self._padding = value

    @property
    def destination_image_allocator(self):
        """An object that would make destinations: its ``image(for_, image_descriptor, kernel)`` returns one for a
        command buffer. `MPSTemporaryImage.default_allocator` at first, which None stands for when set. Otherwise as
        `padding`."""
        allocator = self._destination_image_allocator
        return MPSTemporaryImage.default_allocator() if allocator is None else allocator

    @destination_image_allocator.setter
    def destination_image_allocator(self, value):
        if value is MPSTemporaryImage.default_allocator():
            value = None
        if value is not None and not callable(getattr(value, "image", None)):
            raise BadTypeError(
                f"destination_image_allocator: got {value!r} ({type(value).__name__}), expected an object with a "
                "method image"
            )
        self._destination_image_allocator = value

    @property
    def kernel_width(self):
        """Columns of the window over the input in the bottom layer, of its first gate with input weights; else 1.

        Apple does not document which window its recurrent layers report.
        """
        return _input_kernel(self)[0][1]

    @property
    def kernel_height(self):
        """Rows of that window."""
        return _input_kernel(self)[0][0]

    @property
    def stride_in_pixels_x(self):
        """Columns from one window to the next: 1, for a recurrence keeps the size of its images."""
        return 1

    @property
    def stride_in_pixels_y(self):
        """Rows from one window to the next: 1."""
        return 1

    @property
    def dilation_rate_x(self):
        """Columns from one tap of that window to the next."""
        return _input_kernel(self)[1][1]

    @property
    def dilation_rate_y(self):
        """Rows from one tap of that window to the next."""
        return _input_kernel(self)[1][0]

    @property
    def is_backwards(self):
        """Whether it computes a gradient: False."""
        return False

    @property
    def is_state_modified(self):
        """Whether it changes a state it is given: False; every step makes a new one."""
        return False

    cdef dict _settings(self):
        settings = MPSKernel._settings(self)
        origin, size = self._clip_rect
        settings.update({
            "offset": list(self._offset),
            "clip_rect": [list(origin), list(size)],
            "destination_feature_channel_offset": self._destination_feature_channel_offset,
            "source_feature_channel_offset": self._source_feature_channel_offset,
            "source_feature_channel_max_count": self._source_feature_channel_max_count,
            "edge_mode": int(self._edge_mode),
            "padding": self._padding,
            "destination_image_allocator": self._destination_image_allocator,
        })
        return settings


def _channel_offset(value, name):
    """Check where a run of whole slices begins."""
    offset = integer(value, name)
    if offset % 4 != 0:
        raise BadArgumentError(f"{name}: got {offset}, expected a multiple of 4")
    return offset


cdef tuple _input_kernel(MPSCNNKernel kernel):
    """Size and dilation, each (y, x), of the window over the input."""
    for gate in kernel._cells[0].gates:
        if gate.input is not None:
            return gate.input.weights.shape[1:3], gate.input.dilation
    return (1, 1), (1, 1)
