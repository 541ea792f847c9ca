"""What states refuse: the exception, its words, and that no image is left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError
State = mps.MPSRNNRecurrentImageState

H = np.zeros((2, 3, 4), np.float32)
BATCH = np.zeros((5, 2, 3, 4), np.float32)

# Outputs, memory cells, the error and its words.
ARRAYS: dict[str, tuple[Any, Any, type[mps.Error], str]] = {
    "outputs int": (3, None, Type, r"^recurrent_outputs: got an? int, expected a list with an entry per layer$"),
    "outputs array": (
        BATCH,
        None,
        Type,
        r"^recurrent_outputs: got an? ndarray, expected a list with an entry per layer$",
    ),
    "no outputs": ([], None, Value, r"^recurrent_outputs: got an empty list, expected at least one array$"),
    "output None": ([H, None], None, Type, r"^recurrent_outputs\[1\]: got a NoneType, expected an ndarray$"),
    "output list": ([[0.0]], None, Type, r"^recurrent_outputs\[0\]: got a list, expected an ndarray$"),
    "output float64": (
        [H.astype(float)],
        None,
        Type,
        r"^recurrent_outputs\[0\]: got elements of float64, expected float32$",
    ),
    "output float16": (
        [H, H.astype(np.float16)],
        None,
        Type,
        r"^recurrent_outputs\[1\]: got elements of float16, expected float32$",
    ),
    "output big-endian": (
        [H.astype(">f4")],
        None,
        Type,
        r"^recurrent_outputs\[0\]: got elements of float32 in foreign byte order, expected float32$",
    ),
    "output of 2 axes": (
        [H[0]],
        None,
        Value,
        r"^recurrent_outputs\[0\]: got 2 axes, shape \(3, 4\), expected 3 or 4 axes$",
    ),
    "output of 5 axes": ([BATCH[None]], None, Value, r"^recurrent_outputs\[0\]: got 5 axes, shape \(1, 5, 2, 3, 4\)"),
    "output without rows": (
        [H[:0]],
        None,
        Value,
        r"^recurrent_outputs\[0\]: got shape \(0, 3, 4\), expected at least 1",
    ),
    "outputs of two widths": (
        [H, H[:, :2]],
        None,
        Value,
        r"^recurrent_outputs\[1\]: got \(N, H, W\) = \(1, 2, 2\), expected \(1, 2, 3\), as the first$",
    ),
    "outputs of two batches": (
        [BATCH, H],
        None,
        Value,
        r"^recurrent_outputs\[1\]: got \(N, H, W\) = \(1, 2, 3\), expected \(5, 2, 3\), as the first$",
    ),
    "memories int": ([H], 3, Type, r"^memory_cells: got an? int, expected a list with an entry per layer$"),
    "no memories": ([H], [], Value, r"^memory_cells: got 0 layers, expected 1, as recurrent_outputs$"),
    "memories of two layers": ([H], [H, H], Value, r"^memory_cells: got 2 layers, expected 1, as recurrent_outputs$"),
    "memory float16": (
        [H],
        [H.astype(np.float16)],
        Type,
        r"^memory_cells\[0\]: got elements of float16, expected float32$",
    ),
    "memory int": ([H, H], [None, 3], Type, r"^memory_cells\[1\]: got an? int, expected an ndarray$"),
    "memory of other height": (
        [H],
        [H[:1]],
        Value,
        r"^memory_cells\[0\]: got \(N, H, W\) = \(1, 1, 3\), expected \(1, 2, 3\), as the first$",
    ),
    "memory of other batch": (
        [BATCH],
        [BATCH[:4]],
        Value,
        r"^memory_cells\[0\]: got \(N, H, W\) = \(4, 2, 3\), expected \(5, 2, 3\), as the first$",
    ),
    "memory of other channels": (
        [H, H],
        [None, H[..., :3]],
        Value,
        r"^memory_cells\[1\]: got 3 channels, expected the 4 of the layer's recurrent output$",
    ),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=ARRAYS)
def test_bad_arrays(device: mps.MTLDevice, no_leaks: None, case: tuple[Any, Any, type[mps.Error], str]) -> None:
    outputs, memories, error, words = case
    refused(lambda: State.from_numpy(device, outputs, memories), error, words)


def test_bad_device(no_leaks: None) -> None:
    refused(lambda: State.from_numpy("gpu", [H]), Type, r"^device: got 'gpu' \(str\), expected MTLDevice$")


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (-1, Value, "got -1, expected an int from 0 to 2147483647$"),
        (2**40, Value, "got 1099511627776, expected an int from 0 to 2147483647$"),
        (0.0, Type, r"got 0\.0 \(float\), expected an int$"),
        ("0", Type, r"got '0' \(str\), expected an int$"),
        (True, Type, r"got True \(bool\), expected an int$"),
        (None, Type, r"got None \(NoneType\), expected an int$"),
    ],
)
def test_bad_layer_index(device: mps.MTLDevice, index: Any, error: type[mps.Error], words: str) -> None:
    state = State.from_numpy(device, [H], [H])
    for get in (state.get_recurrent_output_image, state.get_memory_cell_image):
        refused(lambda get=get: get(index), error, f"^for_layer_index: {words}")


def test_layers_beyond_the_last_have_nothing(device: mps.MTLDevice) -> None:
    state = State.from_numpy(device, [H], [H])
    for get in (state.get_recurrent_output_image, state.get_memory_cell_image):
        assert get(0) is not None
        assert get(1) is None
        assert get(2**31 - 1) is None


def test_states_cannot_be_constructed() -> None:
    words = "^MPSRNNRecurrentImageState: cannot be constructed, expected one made by encode_sequence"
    refused(State, Type, words)
    refused(lambda: State.__new__(State), Type, words)
