"""Matrices and vectors."""

from __future__ import annotations

from .entries import AppleClass, Kind, absent, class_method, initialiser, method, read_only, read_write

__all__ = ["MATRICES"]

_LAYOUT = "where elements lie, once the properties have been checked to fit together"
_RANGE = "which bytes of which buffer it takes up"

_MATRIX_DESCRIPTOR = AppleClass(
    "MPSMatrixDescriptor",
    "Rows, columns and their distance in memory.",
    (
        initialiser("matrixDescriptorWithRows:columns:rowBytes:dataType:", "init(rows:columns:rowBytes:dataType:)"),
        initialiser(
            "matrixDescriptorWithRows:columns:matrices:rowBytes:matrixBytes:dataType:",
            "init(rows:columns:matrices:rowBytes:matrixBytes:dataType:)",
        ),
        initialiser(
            "matrixDescriptorWithDimensions:columns:rowBytes:dataType:",
            "init(dimensions:columns:rowBytes:dataType:)",
            "deprecated by Apple; with a DeprecationWarning",
        ),
        class_method("rowBytesForColumns:dataType:", "rowBytes(forColumns:dataType:)", "a recommendation"),
        absent(
            Kind.CLASS_METHOD,
            "rowBytesFromColumns:dataType:",
            "rowBytes(fromColumns:dataType:)",
            "deprecated by Apple; `row_bytes(for_columns)`",
        ),
        read_write("rows"),
        read_write("columns"),
        read_write("dataType"),
        read_write("rowBytes"),
        read_only("matrices", 1),
        read_only("matrixBytes"),
    ),
    ours={"copy": "an independent copy", "layout": _LAYOUT},
)

_MATRIX = AppleClass(
    "MPSMatrix",
    "Element (k, i, j) lies at offset + k * matrix_bytes + i * row_bytes + j * (size of an element).",
    (
        initialiser("initWithBuffer:descriptor:", "init(buffer:descriptor:)"),
        initialiser("initWithBuffer:offset:descriptor:", "init(buffer:offset:descriptor:)"),
        initialiser("initWithDevice:descriptor:", "init(device:descriptor:)"),
        read_only("device"),
        read_only("rows"),
        read_only("columns"),
        read_only("matrices", 1),
        read_only("dataType"),
        read_only("rowBytes"),
        read_only("matrixBytes"),
        read_only("offset", 0),
        read_only("data"),
        method("synchronizeOnCommandBuffer:", "synchronize(on:)", "checks, then does nothing: storage is shared"),
        method("resourceSize", "resourceSize()"),
    ),
    ours={
        "from_numpy": "a matrix of an array",
        "from_dlpack": "a matrix of another library's tensor",
        "to_numpy": "the array of a matrix",
        "storage_range": _RANGE,
    },
)

_VECTOR_DESCRIPTOR = AppleClass(
    "MPSVectorDescriptor",
    "A length, and the distance of vectors in memory.",
    (
        initialiser("vectorDescriptorWithLength:dataType:", "init(length:dataType:)"),
        initialiser(
            "vectorDescriptorWithLength:vectors:vectorBytes:dataType:", "init(length:vectors:vectorBytes:dataType:)"
        ),
        class_method("vectorBytesForLength:dataType:", "vectorBytes(forLength:dataType:)", "a recommendation"),
        read_write("length"),
        read_write("dataType"),
        read_only("vectors", 1),
        read_only("vectorBytes"),
    ),
    ours={"copy": "an independent copy", "layout": _LAYOUT},
)

_VECTOR = AppleClass(
    "MPSVector",
    "Element (k, i) lies at offset + k * vector_bytes + i * (size of an element).",
    (
        initialiser("initWithBuffer:descriptor:", "init(buffer:descriptor:)"),
        initialiser("initWithBuffer:offset:descriptor:", "init(buffer:offset:descriptor:)"),
        initialiser("initWithDevice:descriptor:", "init(device:descriptor:)"),
        read_only("device"),
        read_only("length"),
        read_only("vectors", 1),
        read_only("dataType"),
        read_only("vectorBytes"),
        read_only("offset", 0),
        read_only("data"),
        method("synchronizeOnCommandBuffer:", "synchronize(on:)", "checks, then does nothing: storage is shared"),
        method("resourceSize", "resourceSize()"),
    ),
    ours={
        "from_numpy": "a vector of an array",
        "from_dlpack": "a vector of another library's tensor",
        "to_numpy": "the array of a vector",
        "storage_range": _RANGE,
    },
)

_TEMPORARY_MATRIX = AppleClass(
    "MPSTemporaryMatrix",
    "A matrix that lives on one command buffer, out of the CPU's reach.",
    (
        initialiser("temporaryMatrixWithCommandBuffer:matrixDescriptor:", "init(commandBuffer:matrixDescriptor:)"),
        class_method(
            "prefetchStorageWithCommandBuffer:matrixDescriptorList:", "prefetchStorage(with:matrixDescriptorList:)"
        ),
        read_write("readCount", 1),
    ),
    base="MPSMatrix",
)

_TEMPORARY_VECTOR = AppleClass(
    "MPSTemporaryVector",
    "A vector that lives on one command buffer, out of the CPU's reach.",
    (
        initialiser("temporaryVectorWithCommandBuffer:descriptor:", "init(commandBuffer:descriptor:)"),
        class_method("prefetchStorageWithCommandBuffer:descriptorList:", "prefetchStorage(with:descriptorList:)"),
        read_write("readCount", 1),
    ),
    base="MPSVector",
)

MATRICES = (_MATRIX_DESCRIPTOR, _MATRIX, _VECTOR_DESCRIPTOR, _VECTOR, _TEMPORARY_MATRIX, _TEMPORARY_VECTOR)
