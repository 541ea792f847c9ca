"""Sequences of matrices and what tests of the layers over them have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import conversion
import mpsrnn_cy as mps
import oracle


def layer(device: mps.MTLDevice, cells: Sequence[oracle.Cell]) -> mps.MPSRNNMatrixInferenceLayer:
    """The package's form of a stack of 1 x 1 kernels."""
    return mps.MPSRNNMatrixInferenceLayer(device, [conversion.descriptor(cell) for cell in cells])


def matrices(device: mps.MTLDevice, arrays: Sequence[NDArray[Any]]) -> list[mps.MPSMatrix]:
    """A matrix for every array."""
    return [mps.MPSMatrix.from_numpy(device, array) for array in arrays]


def blanks(
    device: mps.MTLDevice, rows: Sequence[int], columns: int, dtype: Any = np.float32, value: float = 7.0
) -> list[mps.MPSMatrix]:
    """Matrices of a value that nothing computes."""
    return matrices(device, [np.full((count, columns), value, dtype) for count in rows])


def run(command: mps.MTLCommandBuffer) -> None:
    """Carry out what has been encoded."""
    command.commit()
    command.wait_until_completed()


def parts(state: mps.MPSRNNRecurrentMatrixState) -> list[NDArray[np.float32]]:
    """The arrays of a state: h of every layer, then c where there is one."""
    found = [state.get_recurrent_output_matrix(index) for index in range(state.number_of_layers)]
    found += [state.get_memory_cell_matrix(index) for index in range(state.number_of_layers)]
    return [matrix.to_numpy() for matrix in found if matrix is not None]


def assert_same_bits(a: NDArray[Any], b: NDArray[Any]) -> None:
    """Check for equality that tells -0 from 0 and knows NaN."""
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


def assert_same_states(a: mps.MPSRNNRecurrentMatrixState, b: mps.MPSRNNRecurrentMatrixState) -> None:
    """Check that two states are equal to the bit."""
    for x, y in zip(parts(a), parts(b), strict=True):
        assert_same_bits(x, y)


def predict_with_all_threads(
    device: mps.MTLDevice, network: mps.MPSRNNMatrixInferenceLayer, x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Predict with one thread, and check that more make the same bits."""
    device.number_of_threads = 1
    expected, state = network.predict(x, return_state=True)
    for count in (2, 3, 5):
        device.number_of_threads = count
        found, last = network.predict(x, return_state=True)
        assert_same_bits(found, expected)
        assert_same_states(last, state)
    return expected
