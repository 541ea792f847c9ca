"""What the calls of the training layer refuse: the exception, its words, and that nothing was encoded or written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
from matrices import blanks, matrices
from matrix_training import CELLS, INPUTS, OUTPUTS, ROWS, Layer, Training, arrays, assert_same_arrays
from refusal import refused

Id = mps.MPSRNNMatrixId
Value, Type, Lifetime = mps.BadArgumentError, mps.BadTypeError, mps.LifetimeError


@pytest.fixture
def one(device: mps.MTLDevice) -> Training:
    """The smallest cell with everything that a training needs."""
    return Training(device, CELLS["single gate"](np.random.default_rng(3)))


COPIES: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "id of another cell": (
        {"matrix_id": Id.GRU_INPUT_GATE_BIAS_TERMS},
        Value,
        r"^matrix_id: got GRU_INPUT_GATE_BIAS_TERMS, which this layer does not have, expected one of SINGLE_GATE_INPUT",
    ),
    "the count of ids": ({"matrix_id": 29}, Value, r"^matrix_id: got 29, expected a case of MPSRNNMatrixId"),
    "no id": ({"matrix_id": "bias"}, Type, r"^matrix_id: got 'bias' \(str\)"),
    "flag": ({"copy_from_weights_to_matrix": 1}, Type, r"^copy_from_weights_to_matrix: got 1 \(int\), expected a bool"),
    "origin too far": (
        {"matrix_offset": (1, 0, 0)},
        Value,
        r"^matrix: got 1 of 5 x 3, expected room for 5 x 3 from row 0, column 1 of matrix 0 on$",
    ),
    "no such matrix": ({"matrix_offset": (0, 0, 1)}, Value, r"^matrix: .*from row 0, column 0 of matrix 1 on$"),
    "origin of two": ({"matrix_offset": (0, 0)}, Type, r"^matrix_offset: got \(0, 0\), expected MTLOrigin\(x, y, z\)$"),
    "origin below 0": ({"matrix_offset": (0, -1, 0)}, Value, r"^matrix_offset.y: got -1"),
    "matrix None": ({"matrix": None}, Type, r"^matrix: got None \(NoneType\), expected MPSMatrix$"),
    "no weights": ({"weights": []}, Value, r"^weights: got 0 matrices, expected 3, as trainable_weights has$"),
    "weights None": ({"weights": None}, Type, r"^weights: got a NoneType, expected a list of MPSMatrix$"),
}


@pytest.mark.parametrize("case", COPIES.values(), ids=COPIES)
def test_bad_copies(one: Training, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    changes, error, words = case
    arguments = {
        "command_buffer": one.command,
        "weights": one.weights,
        "matrix_id": Id.SINGLE_GATE_INPUT_WEIGHTS,
        "matrix": blanks(one.device, (OUTPUTS,), INPUTS)[0],
        "copy_from_weights_to_matrix": True,
        **changes,
    }
    refused(lambda: one.layer.encode_copy_weights(**arguments), error, words)
    assert one.command.dispatch_count == 0


def spoilt(one: Training) -> dict[str, tuple[dict[str, Any], type[mps.Error], str]]:
    """Gradient calls that are wrong in one respect."""
    device = one.device
    other = Training(device, CELLS["gru"](np.random.default_rng(3)))
    other.forward()
    half = matrices(device, [array.astype(np.float16) for array in arrays(one.weights)])
    grads = one.gradients
    return {
        "states missing": (
            {"training_states": one.states[1:]},
            Value,
            r"^training_states: got 3 states, expected 4, one per source matrix$",
        ),
        "states None": (
            {"training_states": None},
            Type,
            r"^training_states: got a NoneType, expected a list of MPSRNN",
        ),
        "states in reverse": (
            {"training_states": one.states[::-1]},
            Value,
            r"^training_states\[0\]: got 1 rows, expected 4, as its source has$",
        ),
        "states of another cell": (
            {"training_states": other.states},
            Value,
            r"^training_states\[0\]: got the state of another kind of layer, expected one of this or a copy$",
        ),
        "a recurrent state": (
            {"training_states": [mps.MPSState(device=device, buffer_size=4)] * 4},
            Type,
            r"^training_states\[0\]: got <.*MPSState.*expected MPSRNNMatrixTrainingState$",
        ),
        "weights of half": ({"weights": half}, Value, r"^weights\[0\]: got elements of FLOAT16, expected FLOAT32$"),
        "weights in reverse": ({"weights": one.weights[::-1]}, Value, r"^weights\[0\]: got 5 columns, expected 3$"),
        "weights one too many": (
            {"weights": one.weights * 2},
            Value,
            r"^weights: got 6 matrices, expected 3, as trainable_weights has$",
        ),
        "gradients of two types": (
            {"weight_gradients": [grads[0], half[1], grads[2]]},
            Value,
            r"^weight_gradients\[1\]: got elements of FLOAT16, expected FLOAT32$",
        ),
        "gradient over a weight": (
            {"weight_gradients": [one.weights[0], *grads[1:]]},
            Value,
            r"^weight_gradients\[0\]: got memory that weights\[0\] has too, expected memory apart$",
        ),
        "gradient over a source": (
            {"destination_gradients": one.sources},
            Value,
            r"^destination_gradients\[0\]: got memory that forward_sources\[0\] has too, expected memory apart$",
        ),
        "fewer gradients from above": (
            {"source_gradients": one.above[1:]},
            Value,
            r"^source_gradients: got 3 matrices, expected 4, one per source matrix$",
        ),
        "gradient from above of fewer rows": (
            {"source_gradients": one.above[::-1]},
            Value,
            r"^source_gradients\[0\]: got 1 rows, expected at least 4, as its source has$",
        ),
        "offset within an element": (
            {"source_offsets": [0, 0, 0, 1]},
            Value,
            r"^source_offsets\[3\]: got 1, expected a multiple of 4, the size of an element$",
        ),
        "carry of another cell": (
            {"recurrent_input_state": _state(device, OUTPUTS, True)},
            Value,
            r"^recurrent_input_state: got a memory cell for layer 0, expected the state of SINGLE_GATE$",
        ),
        "carries tuple": ({"recurrent_output_states": ()}, Type, r"^recurrent_output_states: got a tuple, expected"),
    }


def _state(device: mps.MTLDevice, columns: int, has_memory: bool) -> mps.MPSRNNRecurrentMatrixState:
    zeros = np.zeros((ROWS[0], columns), np.float32)
    return mps.MPSRNNRecurrentMatrixState.from_numpy(device, [zeros], [zeros] if has_memory else None)


def test_bad_gradients(one: Training) -> None:
    one.forward()
    one.gradient()
    one.run()
    expected = [arrays(made) for made in (one.sources, one.weights, one.below, one.gradients)]
    for changes, error, words in spoilt(one).values():
        refused(lambda changes=changes: one.gradient(**changes), error, words)
        assert one.command.dispatch_count == 0
    one.gradient()
    one.run()
    for made, before in zip((one.sources, one.weights, one.below, one.gradients), expected, strict=True):
        assert_same_arrays(arrays(made), before)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"training_states": None}, Type, r"^training_states: got a NoneType, expected a list to append to$"),
        ({"training_states": ()}, Type, r"^training_states: got a tuple, expected a list to append to$"),
        ({"weights": [None] * 3}, Type, r"^weights\[0\]: got None \(NoneType\), expected MPSMatrix$"),
        ({"destination_offsets": [0] * 3}, Value, r"^destination_offsets: got 3 offsets, expected 4, one per matrix$"),
        ({"recurrent_output_states": {}}, Type, r"^recurrent_output_states: got a dict, expected a list or None$"),
        ({"command_buffer": None}, Type, r"^command_buffer: got None"),
    ],
)
def test_bad_forward(one: Training, changes: dict[str, Any], error: type[mps.Error], words: str) -> None:
    refused(lambda: one.forward(**changes), error, words)
    assert one.states == []
    assert one.command.dispatch_count == 0


def test_bad_construction(device: mps.MTLDevice, no_leaks: None) -> None:
    descriptor = conversion.descriptor(CELLS["gru"](np.random.default_rng(3)))
    full: list[Any] = [None]
    refused(lambda: Layer(device, descriptor, full), Value, r"^trainable_weights: got a list of 1, expected an empty")
    assert full == [None]
    refused(lambda: Layer(device, descriptor), Type, r"^trainable_weights: got a NoneType, expected a list to append")
    refused(lambda: Layer(device, [descriptor], []), Type, r"^rnn_descriptor: got \[.*expected MPSRNNDescriptor$")
    made = Layer(device, descriptor, [])
    refused(lambda: made.create_weight_matrices(()), Type, r"^matrices_out: got a tuple, expected a list to append to$")
    words = r"^data_type: got INT32, expected FLOAT16 or FLOAT32$"
    refused(lambda: made.create_weight_gradient_matrices([], mps.MPSDataType.INT32), Value, words)
    refused(lambda: setattr(made, "training_state_is_temporary", 1), Type, "^training_state_is_temporary: got 1")
    with pytest.raises(mps.BadTypeError, match="cannot be constructed"):
        mps.MPSRNNMatrixTrainingState()
