"""Apple's enumerations, with Apple's values.

A case is Apple's Swift case in capitals (``.hardSigmoid`` is ``HARD_SIGMOID``, ``.type2DArray`` is ``TYPE_2D_ARRAY``).
Wherever an API of this package takes a case it takes the plain integer as well.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from .errors import BadArgumentError

__all__ = [
    "MPSCNNConvolutionWeightsLayout",
    "MPSCNNNeuronType",
    "MPSCNNWeightsQuantizationType",
    "MPSDataLayout",
    "MPSDataType",
    "MPSImageEdgeMode",
    "MPSImageFeatureChannelFormat",
    "MPSKernelOptions",
    "MPSNNConvolutionAccumulatorPrecisionOption",
    "MPSPurgeableState",
    "MPSRNNBidirectionalCombineMode",
    "MPSRNNMatrixId",
    "MPSRNNSequenceDirection",
    "MPSStateResourceType",
    "MTLCPUCacheMode",
    "MTLCommandBufferStatus",
    "MTLPixelFormat",
    "MTLStorageMode",
    "MTLTextureType",
    "MTLTextureUsage",
]


class MPSRNNSequenceDirection(IntEnum):
    """Direction in which a layer walks a sequence; read by the bidirectional encode call alone."""

    FORWARD = 0
    BACKWARD = 1


class MPSRNNBidirectionalCombineMode(IntEnum):
    """How the results of the forward and the backward pass of a bidirectional sequence are joined."""

    NONE = 0
    """Kept apart, in two sets of destinations."""
    ADD = 1
    """Added into one destination."""
    CONCATENATE = 2
    """Concatenated along the feature channels of one destination, forward first."""


class MPSRNNMatrixId(IntEnum):
    """A weight matrix or bias vector of a training layer.

    The GRU's input gate is the usual update gate z, its recurrent gate the reset gate r, its output gate the candidate.
    The LSTM's memory gate is what :class:`MPSLSTMDescriptor` calls the cell gate. Apple's count sentinel is left out:
    it is not an id.
    """

    SINGLE_GATE_INPUT_WEIGHTS = 0
    SINGLE_GATE_RECURRENT_WEIGHTS = 1
    SINGLE_GATE_BIAS_TERMS = 2
    LSTM_INPUT_GATE_INPUT_WEIGHTS = 3
    LSTM_INPUT_GATE_RECURRENT_WEIGHTS = 4
    LSTM_INPUT_GATE_MEMORY_WEIGHTS = 5
    LSTM_INPUT_GATE_BIAS_TERMS = 6
    LSTM_FORGET_GATE_INPUT_WEIGHTS = 7
    LSTM_FORGET_GATE_RECURRENT_WEIGHTS = 8
    LSTM_FORGET_GATE_MEMORY_WEIGHTS = 9
    LSTM_FORGET_GATE_BIAS_TERMS = 10
    LSTM_MEMORY_GATE_INPUT_WEIGHTS = 11
    LSTM_MEMORY_GATE_RECURRENT_WEIGHTS = 12
    LSTM_MEMORY_GATE_MEMORY_WEIGHTS = 13
    LSTM_MEMORY_GATE_BIAS_TERMS = 14
    LSTM_OUTPUT_GATE_INPUT_WEIGHTS = 15
    LSTM_OUTPUT_GATE_RECURRENT_WEIGHTS = 16
    LSTM_OUTPUT_GATE_MEMORY_WEIGHTS = 17
    LSTM_OUTPUT_GATE_BIAS_TERMS = 18
    GRU_INPUT_GATE_INPUT_WEIGHTS = 19
    GRU_INPUT_GATE_RECURRENT_WEIGHTS = 20
    GRU_INPUT_GATE_BIAS_TERMS = 21
    GRU_RECURRENT_GATE_INPUT_WEIGHTS = 22
    GRU_RECURRENT_GATE_RECURRENT_WEIGHTS = 23
    GRU_RECURRENT_GATE_BIAS_TERMS = 24
    GRU_OUTPUT_GATE_INPUT_WEIGHTS = 25
    GRU_OUTPUT_GATE_RECURRENT_WEIGHTS = 26
    GRU_OUTPUT_GATE_INPUT_GATE_WEIGHTS = 27
    GRU_OUTPUT_GATE_BIAS_TERMS = 28


class MPSCNNNeuronType(IntEnum):
    """Activation function f(x), with parameters a, b and c where the formula names them."""

    NONE = 0
    """x"""
    RELU = 1
    """x if x >= 0 else a·x"""
    LINEAR = 2
    """a·x + b"""
    SIGMOID = 3
    """1 / (1 + e^-x)"""
    HARD_SIGMOID = 4
    """min(max(a·x + b, 0), 1)"""
    TANH = 5
    """a·tanh(b·x)"""
    ABSOLUTE = 6
    """abs(x)"""
    SOFT_PLUS = 7
    """a·ln(1 + e^(b·x))"""
    SOFT_SIGN = 8
    """x / (1 + abs(x))"""
    ELU = 9
    """x if x >= 0 else a·(e^x - 1)"""
    PRELU = 10
    """x if x >= 0 else a[channel]·x"""
    RELUN = 11
    """min(x if x >= 0 else a·x, b)"""
    POWER = 12
    """(a·x + b)^c"""
    EXPONENTIAL = 13
    """c^(a·x + b), where c = -1 stands for e"""
    LOGARITHM = 14
    """log to base c of a·x + b, where c = -1 stands for e"""
    GELU = 15
    """x/2·(1 + erf(x/√2))"""
    COUNT = 16
    """Sentinel: the number of functions above. No API accepts it."""


class MPSImageFeatureChannelFormat(IntEnum):
    """Element type of the feature channels of an image. Apple reserves the value 5."""

    NONE = 0
    """Derived from the texture; not accepted for new storage."""
    UNORM8 = 1
    UNORM16 = 2
    FLOAT16 = 3
    FLOAT32 = 4
    COUNT = 6
    """Sentinel: the number of formats. No API accepts it."""


class MPSImageEdgeMode(IntEnum):
    """What a kernel reads outside its source image. Apple uses the last three for its padding kernel alone."""

    ZERO = 0
    CLAMP = 1
    MIRROR = 2
    MIRROR_WITH_EDGE = 3
    CONSTANT = 4


class MPSDataLayout(IntEnum):
    """Order of the elements when an image is copied to or from host memory."""

    HEIGHT_X_WIDTH_X_FEATURE_CHANNELS = 0
    """[image][row][column][channel]"""
    FEATURE_CHANNELS_X_HEIGHT_X_WIDTH = 1
    """[image][channel][row][column]"""


class MPSCNNConvolutionWeightsLayout(IntEnum):
    """Order of the weights that a data source delivers."""

    OHWI = 0
    """[output channel][kernel row][kernel column][input channel of the group]"""


class MPSCNNWeightsQuantizationType(IntEnum):
    """How the 8-bit weights of a data source become numbers."""

    NONE = 0
    LINEAR = 1
    """w = u8 / 255·(max - min) + min, with one (min, max) per output channel."""
    LOOKUP_TABLE = 2
    """w = table[u8], with one table of 256 entries."""


class MPSKernelOptions(IntFlag):
    """Options of a kernel; a set of bits."""

    NONE = 0
    SKIP_API_VALIDATION = 1
    ALLOW_REDUCED_PRECISION = 2
    DISABLE_INTERNAL_TILING = 4
    INSERT_DEBUG_GROUPS = 8
    VERBOSE = 16


class MPSDataType(IntEnum):
    """Element type as a bit pattern: the low 16 bits count the bits of an element, the high ones name its class.

    The cases ending in ``_BIT`` are those class bits, not element types.
    """

    INVALID = 0
    UINT8 = 8
    UINT16 = 16
    UINT32 = 32
    UINT64 = 64
    COMPLEX_BIT = 0x01000000
    FLOAT_BIT = 0x10000000
    FLOAT16 = FLOAT_BIT | 16
    FLOAT32 = FLOAT_BIT | 32
    SIGNED_BIT = 0x20000000
    INT8 = SIGNED_BIT | 8
    INT16 = SIGNED_BIT | 16
    INT32 = SIGNED_BIT | 32
    INT64 = SIGNED_BIT | 64
    NORMALIZED_BIT = 0x40000000
    UNORM1 = NORMALIZED_BIT | 1
    UNORM8 = NORMALIZED_BIT | 8
    ALTERNATE_ENCODING_BIT = 0x80000000
    BOOL = ALTERNATE_ENCODING_BIT | 8

    @property
    def element_size(self) -> int:
        """Bytes per element.

        Raises
        ------
        BadArgumentError
            If an element has no size in whole bytes (``UNORM1``, ``INVALID`` and the class bits).
        """
        bits = self.value & 0xFFFF
        if bits == 0 or bits % 8 != 0:
            raise BadArgumentError(f"MPSDataType.{self.name} has no size in whole bytes (it has {bits} bits)")
        return bits // 8


class MPSStateResourceType(IntEnum):
    """Kind of a resource held by a state."""

    NONE = 0
    BUFFER = 1
    TEXTURE = 2


class MPSPurgeableState(IntEnum):
    """Whether the system may discard the storage of an object. All values but the first are Metal's."""

    ALLOCATION_DEFERRED = 0
    """Not allocated yet, so there is nothing to purge."""
    KEEP_CURRENT = 1
    NON_VOLATILE = 2
    VOLATILE = 3
    EMPTY = 4


class MPSNNConvolutionAccumulatorPrecisionOption(IntFlag):
    """Precision in which a convolution adds up its products; a set of one bit. The recurrent layers add in float32."""

    HALF = 0
    FLOAT = 1


class MTLPixelFormat(IntEnum):
    """The pixel formats that images of feature channels use, and BGRA8, in which screens and cameras work."""

    R8_UNORM = 10
    R16_UNORM = 20
    R16_FLOAT = 25
    RG8_UNORM = 30
    R32_FLOAT = 55
    RG16_UNORM = 60
    RG16_FLOAT = 65
    RGBA8_UNORM = 70
    BGRA8_UNORM = 80
    RG32_FLOAT = 105
    RGBA16_UNORM = 110
    RGBA16_FLOAT = 115
    RGBA32_FLOAT = 125


class MTLTextureType(IntEnum):
    """Shape of a texture."""

    TYPE_2D = 2
    TYPE_2D_ARRAY = 3


class MTLTextureUsage(IntFlag):
    """What kernels may do to a texture; a set of bits."""

    UNKNOWN = 0
    SHADER_READ = 1
    SHADER_WRITE = 2


class MTLStorageMode(IntEnum):
    """Who can reach the memory of a resource."""

    SHARED = 0
    """Host and device, the same memory."""
    MANAGED = 1
    """Host and device, each with its own copy that must be synchronised."""
    PRIVATE = 2
    """The device alone."""
    MEMORYLESS = 3
    """Nobody: the contents live in tile memory during one pass."""


class MTLCPUCacheMode(IntEnum):
    """How the host caches the memory of a resource."""

    DEFAULT_CACHE = 0
    WRITE_COMBINED = 1


class MTLCommandBufferStatus(IntEnum):
    """Stage of life of a command buffer."""

    NOT_ENQUEUED = 0
    ENQUEUED = 1
    COMMITTED = 2
    SCHEDULED = 3
    COMPLETED = 4
    ERROR = 5
