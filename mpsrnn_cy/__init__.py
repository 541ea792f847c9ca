"""Apple's recurrent layers for Python, on Metal where there is Metal and on the CPU everywhere else.

Classes carry Apple's names. Properties and methods are Apple's Swift names in snake_case, enum cases in CAPITALS, and
initialisers are the constructor with the Swift labels in snake_case.
"""

from .buffer import MTLBuffer
from .convolution import MPSCNNConvolutionDescriptor, MPSNNNeuronDescriptor
from .descriptors import MPSGRUDescriptor, MPSLSTMDescriptor, MPSRNNDescriptor, MPSRNNSingleGateDescriptor
from .device import (
    MTLCommandBuffer,
    MTLCommandQueue,
    MTLCopyAllDevices,
    MTLCreateSystemDefaultDevice,
    MTLDevice,
)
from .enums import (
    MPSCNNConvolutionWeightsLayout,
    MPSCNNNeuronType,
    MPSCNNWeightsQuantizationType,
    MPSDataLayout,
    MPSDataType,
    MPSImageEdgeMode,
    MPSImageFeatureChannelFormat,
    MPSKernelOptions,
    MPSRNNBidirectionalCombineMode,
    MPSRNNMatrixId,
    MPSRNNSequenceDirection,
    MPSStateResourceType,
    MTLCommandBufferStatus,
    MTLCPUCacheMode,
    MTLPixelFormat,
    MTLStorageMode,
    MTLTextureType,
    MTLTextureUsage,
)
from .errors import (
    BadArgumentError,
    BadTypeError,
    CommandError,
    Error,
    InternalError,
    KernelCompileError,
    LifetimeError,
    NoDeviceError,
    OutOfMemoryError,
    UnsupportedError,
)
from .headers import get_include
from .image import MPSImage
from .image_descriptor import MPSImageDescriptor
from .image_layer import MPSRNNImageInferenceLayer
from .image_state import MPSRNNRecurrentImageState
from .kernel import MPSCNNKernel, MPSKernel
from .matrix import MPSMatrix, MPSTemporaryMatrix
from .matrix_descriptor import MPSMatrixDescriptor, MPSVectorDescriptor
from .matrix_layer import MPSRNNMatrixInferenceLayer
from .matrix_state import MPSRNNRecurrentMatrixState
from .state import MPSState
from .state_batch import MPSStateBatchIncrementReadCount, MPSStateBatchResourceSize, MPSStateBatchSynchronize
from .state_resources import MPSStateResourceList
from .structures import (
    MPSImageReadWriteParams,
    MPSOffset,
    MPSRectNoClip,
    MPSStateTextureInfo,
    MTLOrigin,
    MTLRegion,
    MTLSize,
)
from .texture import MTLTexture
from .texture_descriptor import MTLTextureDescriptor
from .training_layer import MPSRNNMatrixTrainingLayer
from .training_state import MPSRNNMatrixTrainingState
from .vector import MPSTemporaryVector, MPSVector
from .weights import ArrayDataSource, MPSCNNConvolutionDataSource

__version__ = "0.1.0"

__all__ = [
    "ArrayDataSource",
    "BadArgumentError",
    "BadTypeError",
    "CommandError",
    "Error",
    "InternalError",
    "KernelCompileError",
    "LifetimeError",
    "MPSCNNConvolutionDataSource",
    "MPSCNNConvolutionDescriptor",
    "MPSCNNConvolutionWeightsLayout",
    "MPSCNNKernel",
    "MPSCNNNeuronType",
    "MPSCNNWeightsQuantizationType",
    "MPSDataLayout",
    "MPSDataType",
    "MPSGRUDescriptor",
    "MPSImage",
    "MPSImageDescriptor",
    "MPSImageEdgeMode",
    "MPSImageFeatureChannelFormat",
    "MPSImageReadWriteParams",
    "MPSKernel",
    "MPSKernelOptions",
    "MPSLSTMDescriptor",
    "MPSMatrix",
    "MPSMatrixDescriptor",
    "MPSNNNeuronDescriptor",
    "MPSOffset",
    "MPSRNNBidirectionalCombineMode",
    "MPSRNNDescriptor",
    "MPSRNNImageInferenceLayer",
    "MPSRNNMatrixId",
    "MPSRNNMatrixInferenceLayer",
    "MPSRNNMatrixTrainingLayer",
    "MPSRNNMatrixTrainingState",
    "MPSRNNRecurrentImageState",
    "MPSRNNRecurrentMatrixState",
    "MPSRNNSequenceDirection",
    "MPSRNNSingleGateDescriptor",
    "MPSRectNoClip",
    "MPSState",
    "MPSStateBatchIncrementReadCount",
    "MPSStateBatchResourceSize",
    "MPSStateBatchSynchronize",
    "MPSStateResourceList",
    "MPSStateResourceType",
    "MPSStateTextureInfo",
    "MPSTemporaryMatrix",
    "MPSTemporaryVector",
    "MPSVector",
    "MPSVectorDescriptor",
    "MTLBuffer",
    "MTLCPUCacheMode",
    "MTLCommandBuffer",
    "MTLCommandBufferStatus",
    "MTLCommandQueue",
    "MTLCopyAllDevices",
    "MTLCreateSystemDefaultDevice",
    "MTLDevice",
    "MTLOrigin",
    "MTLPixelFormat",
    "MTLRegion",
    "MTLSize",
    "MTLStorageMode",
    "MTLTexture",
    "MTLTextureDescriptor",
    "MTLTextureType",
    "MTLTextureUsage",
    "NoDeviceError",
    "OutOfMemoryError",
    "UnsupportedError",
    "__version__",
    "get_include",
]
