"""The training layer on the oracle's models: forward, backward, and everything read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import conversion
import mpsrnn_cy as mps
import oracle
from finite_differences import Problem, keys

FLOAT32 = oracle.Format.FLOAT32
DATA_TYPES = {oracle.Format.FLOAT16: mps.MPSDataType.FLOAT16, FLOAT32: mps.MPSDataType.FLOAT32}

# Beginnings of the matrices' names, by the oracle's names of the gates; what memory weights are called.
_GATE_IDS = {
    oracle.SingleGate: {"gate": "SINGLE_GATE"},
    oracle.GRU: {name: f"GRU_{name.upper()}" for name in ("input_gate", "recurrent_gate", "output_gate")},
    oracle.LSTM: {name: f"LSTM_{name.upper()}" for name in ("input_gate", "forget_gate", "output_gate")}
    | {"cell_gate": "LSTM_MEMORY_GATE"},
}
_MEMORY_IDS = {oracle.GRU: "INPUT_GATE_WEIGHTS", oracle.LSTM: "MEMORY_WEIGHTS"}


class Passes(NamedTuple):
    """What a forward and a backward pass made, by time step.

    Attributes
    ----------
    outputs : matrices (rows, outputs), as stored
    states : states after each step
    inputs : gradients by the source matrices (rows, inputs), as stored
    carries : gradients by the state before each step
    weights : gradients by key, as stored
    """

    outputs: list[NDArray]
    states: list[oracle.State]
    inputs: list[NDArray]
    carries: list[oracle.State]
    weights: dict[oracle.Key, NDArray]


def trainable(cell: oracle.Cell) -> oracle.Cell:
    """The cell as a training layer has it: a bias beside all input weights, of their type."""

    def trained(gate: oracle.Gate) -> oracle.Gate:
        if gate.input is None:
            return gate
        bias = np.zeros(cell.outputs, np.float32) if gate.bias is None else gate.bias
        return replace(gate, bias=oracle.round_weights(bias, cell.float32_weights).astype(np.float32))

    return replace(cell, **{name: trained(gate) for name, gate in cell.gates.items()})


def matrix_id(cell: oracle.Cell, key: oracle.Key) -> mps.MPSRNNMatrixId:
    """Apple's id of some weights."""
    gate, kind = key
    names = {"input": "INPUT_WEIGHTS", "recurrent": "RECURRENT_WEIGHTS", "bias": "BIAS_TERMS"}
    kinds = names | {"memory": _MEMORY_IDS.get(type(cell), "")}
    return mps.MPSRNNMatrixId[f"{_GATE_IDS[type(cell)][gate]}_{kinds[kind]}"]


def ordered_keys(cell: oracle.Cell) -> list[oracle.Key]:
    """Keys of all weights in the order of a layer's list of matrices: that of their ids."""
    return sorted(keys(cell), key=lambda key: matrix_id(cell, key))


class Trained:
    """A training layer and its weights."""

    def __init__(self, device: mps.MTLDevice, cell: oracle.Cell) -> None:
        self.device = device
        self.cell = cell
        self.weights: list[mps.MPSMatrix] = []
        self.layer = mps.MPSRNNMatrixTrainingLayer(device, conversion.descriptor(cell), self.weights)
        self.layer.store_all_intermediate_states = True

    def gradient_matrices(self, fmt: oracle.Format = FLOAT32) -> list[mps.MPSMatrix]:
        """New gradient matrices, all zero."""
        made: list[mps.MPSMatrix] = []
        self.layer.create_weight_gradient_matrices(made, DATA_TYPES[fmt])
        return made

    def matrices(self, arrays: Sequence[NDArray], fmt: oracle.Format) -> list[mps.MPSMatrix]:
        """Matrices of images of one pixel or of plain rows."""
        plain = [array[:, 0, 0] if array.ndim == 4 else array for array in arrays]
        return [mps.MPSMatrix.from_numpy(self.device, oracle.encode(array, fmt)) for array in plain]

    def blank(self, rows: Sequence[int], columns: int, fmt: oracle.Format) -> list[mps.MPSMatrix]:
        """Matrices to be written."""
        return self.matrices([np.full((count, columns), 7.0) for count in rows], fmt)

    def passes(
        self,
        problem: Problem,
        fmt: oracle.Format = FLOAT32,
        gradient_fmt: oracle.Format = FLOAT32,
        into: list[mps.MPSMatrix] | None = None,
    ) -> Passes:
        """Both passes in one command buffer; matrices are of one format, gradients by weights of another.

        With `into`, weight gradients are added to what those matrices hold.
        """
        gradients = self.gradient_matrices(gradient_fmt) if into is None else into
        self.layer.accumulate_weight_gradients = into is not None
        rows = [len(x) for x in problem.images]
        sources, above = self.matrices(problem.images, fmt), self.matrices(problem.above, fmt)
        outputs = self.blank(rows, self.cell.outputs, fmt)
        inputs = self.blank(rows, self.cell.inputs, fmt)
        training: list[mps.MPSRNNMatrixTrainingState] = []
        states: list[mps.MPSRNNRecurrentMatrixState] = []
        carries: list[mps.MPSRNNRecurrentMatrixState] = []
        command = self.device.make_command_queue().make_command_buffer()
        self.layer.encode_forward_sequence(
            command,
            source_matrices=sources,
            destination_matrices=outputs,
            training_states=training,
            recurrent_input_state=conversion.matrix_state(self.device, [problem.initial]),
            recurrent_output_states=states,
            weights=self.weights,
        )
        self.layer.encode_gradient_sequence(
            command,
            forward_sources=sources,
            source_gradients=above,
            destination_gradients=inputs,
            weight_gradients=gradients,
            training_states=training,
            recurrent_input_state=conversion.matrix_state(self.device, [problem.after]),
            recurrent_output_states=carries,
            weights=self.weights,
        )
        command.commit()
        command.wait_until_completed()
        return Passes(
            [matrix.to_numpy() for matrix in outputs],
            [conversion.oracle_matrix_states(state, [self.cell])[0] for state in states],
            [matrix.to_numpy() for matrix in inputs],
            [conversion.oracle_matrix_states(state, [self.cell])[0] for state in carries],
            self.by_key(gradients),
        )

    def by_key(self, matrices: Sequence[mps.MPSMatrix]) -> dict[oracle.Key, NDArray]:
        """Contents of a list of matrices that is ordered as the weights are."""
        return {
            key: _shaped(matrix.to_numpy(), self.cell, key)
            for key, matrix in zip(ordered_keys(self.cell), matrices, strict=True)
        }


def _shaped(array: NDArray, cell: oracle.Cell, key: oracle.Key) -> NDArray:
    """Vectors are matrices of one row."""
    weights = oracle.weight_of(cell, key)
    assert weights is not None
    assert array.shape == (weights.shape if weights.ndim == 2 else (1, len(weights)))
    return array.reshape(weights.shape)


def expected(
    problem: Problem,
    found: Passes | None = None,
    fmt: oracle.Format = FLOAT32,
    previous: Mapping[oracle.Key, NDArray] | None = None,
) -> oracle.Gradients:
    """The oracle's gradients: following what an implementation had, or on its own."""
    images, above = (
        [oracle.decode(oracle.encode(x, fmt), fmt) for x in arrays] for arrays in (problem.images, problem.above)
    )
    return oracle.gradients(
        problem.cell,
        images,
        above,
        problem.initial,
        problem.after,
        None if found is None else found.states,
        None if found is None else found.carries,
        None if previous is None else {key: oracle.Bounded.exact(values) for key, values in previous.items()},
    )


def assert_gradients(
    found: Passes, true: oracle.Gradients, fmt: oracle.Format = FLOAT32, gradient_fmt: oracle.Format = FLOAT32
) -> float:
    """Hold all gradients against the oracle's; return how much of the bounds was used at most."""
    worst = 0.0
    for t, (made, bounded) in enumerate(zip(found.inputs, true.inputs, strict=True)):
        limit = oracle.store(oracle.as_rows(bounded), fmt)
        worst = max(worst, oracle.assert_close(oracle.decode(made, fmt).value, limit, f"dL/dx {t}").worst)
    for t, (carry, bounds) in enumerate(zip(found.carries, true.carries, strict=True)):
        for name, part, limit in zip("hc", carry, bounds, strict=True):
            if limit is not None:
                agreement = oracle.assert_close(part.value, limit, f"dL/d{name} before step {t}")
                worst = max(worst, agreement.worst)
    assert set(found.weights) == set(true.weights)
    for key, values in found.weights.items():
        read = oracle.decode(values, gradient_fmt).value
        worst = max(worst, oracle.assert_close(read, oracle.store(true.weights[key], gradient_fmt), str(key)).worst)
    return worst
