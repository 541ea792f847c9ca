"""Outside judges: what another library makes of a cell, held against the oracle and against the layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import conversion
import mpsrnn_cy as mps
import oracle
import strategies

# The device is the same for all examples of a test.
exploring = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)
RELU = oracle.Neuron(oracle.NeuronType.RELU)

POINTWISE = st.just((1, 1))


class Outcome(NamedTuple):
    """Outputs (T, N, H, W, C) of a sequence, and the state (N, H, W, C) that it ends in, as far as there is one."""

    outputs: NDArray[np.float32]
    h: NDArray[np.float32] | None = None
    c: NDArray[np.float32] | None = None


@st.composite
def cases(
    draw: st.DrawFn,
    kind: type[oracle.Cell],
    gating: st.SearchStrategy[oracle.Neuron],
    activations: st.SearchStrategy[oracle.Neuron],
    *,
    kernels: st.SearchStrategy[tuple[int, int]] = POINTWISE,
    dilations: st.SearchStrategy[tuple[int, int]] = POINTWISE,
    peepholes: bool = False,
    untied: bool = False,
) -> strategies.Case:
    """One layer of the kind that other libraries have.

    Its gates share a kernel size, whether there is a bias, and all but the last the neuron; only the convolution of
    the source is dilated.

    Parameters
    ----------
    kind
        Class of the cell.
    gating, activations
        Neurons of the gates, and of the candidate or the only gate.
    kernels, dilations
        Sizes of all windows, dilations of those over the source.
    peepholes
        Whether an LSTM may have diagonal ones.
    untied
        Whether an LSTM's neuron from the memory cell to the output is drawn too, or is that of its cell gate.
    """
    inputs, outputs = draw(strategies.channel_counts()), draw(strategies.channel_counts())
    kernel, dilation, biased = draw(kernels), draw(dilations), draw(st.booleans())
    squash, activation = draw(gating), draw(activations)
    rng = draw(strategies.generators())

    def slot(channels: int, rate: tuple[int, int]) -> oracle.Slot:
        scale = strategies.WEIGHT_SCALE / np.sqrt(np.prod(kernel) * channels)
        return oracle.Slot((rng.standard_normal((outputs, *kernel, channels)) * scale).astype(np.float32), rate)

    def gate(neuron: oracle.Neuron, memory: bool = False) -> oracle.Gate:
        bias = rng.uniform(-0.5, 0.5, outputs).astype(np.float32) if biased else None
        weights = rng.uniform(-1.0, 1.0, outputs).astype(np.float32) if memory else None
        return oracle.Gate(slot(inputs, dilation), bias, neuron, slot(outputs, (1, 1)), weights)

    fields = {"inputs": inputs, "outputs": outputs, "float32_weights": draw(st.booleans())}
    if kind is oracle.SingleGate:
        cell = oracle.SingleGate(gate=gate(activation), **fields)
    elif kind is oracle.GRU:
        cell = oracle.GRU(input_gate=gate(squash), recurrent_gate=gate(squash), output_gate=gate(activation), **fields)
    else:
        has = {name: peepholes and draw(st.booleans()) for name in "ifo"}
        cell = oracle.LSTM(
            input_gate=gate(squash, has["i"]),
            forget_gate=gate(squash, has["f"]),
            cell_gate=gate(activation),
            output_gate=gate(squash, has["o"]),
            output_neuron=draw(activations) if untied else activation,
            **fields,
        )
    sizes = st.just((1, 1)) | st.tuples(st.integers(1, 9), st.integers(1, 9))
    extent = (draw(st.integers(1, 3)), *draw(sizes))
    sequence = rng.uniform(-1.0, 1.0, (draw(st.integers(1, 4)), *extent, inputs)).astype(np.float32)
    if not draw(st.booleans()):
        return strategies.Case([cell], sequence, None)
    h, c = rng.uniform(-1.0, 1.0, (2, *extent, outputs)).astype(np.float32)
    return strategies.Case([cell], sequence, [oracle.exact_state(h, c if cell.has_memory else None)])


def initial_arrays(case: strategies.Case) -> list[NDArray[np.float32]]:
    """State before the first step, h and perhaps c; nothing if the sequence starts from zero."""
    if case.initial is None:
        return []
    return [image.value.astype(np.float32) for image in case.initial[0] if image is not None]


def kept(cell: oracle.Cell, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights as the layer keeps them, so that the judge has the same."""
    return oracle.round_weights(weights, cell.float32_weights).astype(np.float32)


def rows(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels (..., N * H * W, C) of images (..., N, H, W, C): with 1x1 kernels each is a sequence of its own."""
    return images.reshape(*images.shape[:-4], -1, images.shape[-1])


def by_images(device: mps.MTLDevice, case: strategies.Case) -> Outcome:
    """What the image layer makes of a case."""
    layer = conversion.layer(device, case.cells)
    outputs, state = layer.predict(case.sequence, conversion.state(device, case.initial), return_state=True)
    (last,) = conversion.oracle_states(state, case.cells)
    return Outcome(outputs, last.h.value, None if last.c is None else last.c.value)


def by_rows(device: mps.MTLDevice, case: strategies.Case) -> Outcome:
    """What the matrix layer makes of a case with 1x1 kernels, each pixel being a row."""
    extent = case.sequence.shape[1:4]
    initial = case.initial
    if initial is not None:
        parts = [[None if image is None else rows(image.value)[:, None, None] for image in state] for state in initial]
        initial = [oracle.exact_state(*state) for state in parts]
    layer = conversion.matrix_layer(device, case.cells)
    outputs, state = layer.predict(rows(case.sequence), conversion.matrix_state(device, initial), return_state=True)
    (last,) = conversion.oracle_matrix_states(state, case.cells)
    found = [outputs, last.h.value] if last.c is None else [outputs, last.h.value, last.c.value]
    counts = [(len(case.sequence),), (), ()]
    return Outcome(*(a.reshape(*n, *extent, a.shape[-1]) for n, a in zip(counts, found, strict=False)))


Layer = Callable[[mps.MTLDevice, strategies.Case], Outcome]
IMAGES: tuple[Layer, ...] = (by_images,)
# What there is of 1x1 kernels.
IMAGES_AND_MATRICES: tuple[Layer, ...] = (by_images, by_rows)


def with_neurons(cell: oracle.Cell, kind: type[oracle.Neuron]) -> oracle.Cell:
    """The same cell with its neurons computed as another class of them does."""

    def computed(neuron: oracle.Neuron) -> oracle.Neuron:
        return kind(neuron.type, neuron.a, neuron.b, neuron.c)

    fields: dict = {name: dataclasses.replace(gate, neuron=computed(gate.neuron)) for name, gate in cell.gates.items()}
    if isinstance(cell, oracle.LSTM):
        fields["output_neuron"] = computed(cell.output_neuron)
    return dataclasses.replace(cell, **fields)


def hold(
    device: mps.MTLDevice,
    case: strategies.Case,
    theirs: Outcome,
    neurons: type[oracle.Neuron] = oracle.Neuron,
    layers: Sequence[Layer] = IMAGES,
) -> None:
    """Hold the judge's numbers against the oracle's, and those of layers against the judge's.

    All are of the same truth. Both implementations are float32, so they may be as far apart as their bounds
    together.

    Parameters
    ----------
    device, case
        What the layers run on.
    theirs
        What the judge makes of the case.
    neurons
        How the judge computes its neurons, if not as the oracle supposes.
    layers
        Which ones are judged.
    """
    expected = oracle.run(case.cells, case.sequence, case.initial)
    granted = oracle.run([with_neurons(cell, neurons) for cell in case.cells], case.sequence, case.initial)

    def compare(what: str, a: NDArray, b: NDArray, bound: oracle.Bounded, granted: oracle.Bounded) -> None:
        oracle.assert_close(b, granted, f"the judge's {what}")
        oracle.assert_close(a, oracle.Bounded(b, bound.err + granted.err), f"{what} beside the judge's")

    ((bound,), (grant,)) = expected.states[-1], granted.states[-1]
    for layer in layers:
        ours = layer(device, case)
        for t, (output, output_grant) in enumerate(zip(expected.outputs, granted.outputs, strict=True)):
            compare(f"output {t}", ours.outputs[t], theirs.outputs[t], output, output_grant)
        if theirs.h is not None:
            compare("last h", ours.h, theirs.h, bound.h, grant.h)
        if theirs.c is not None:
            compare("last c", ours.c, theirs.c, bound.c, grant.c)


Mode = mps.MPSRNNBidirectionalCombineMode


def reordered(cell: oracle.Cell, rng: np.random.Generator) -> oracle.Cell:
    """A cell of the same kind and size with the same numbers in other places: for the other direction."""

    def shuffled(slot: oracle.Slot) -> oracle.Slot:
        return oracle.Slot(rng.permuted(slot.weights), slot.dilation, slot.groups)

    fields = {
        name: dataclasses.replace(gate, input=shuffled(gate.input), recurrent=shuffled(gate.recurrent))
        for name, gate in cell.gates.items()
    }
    return dataclasses.replace(cell, **fields)


def both_directions(device: mps.MTLDevice, pair: Sequence[oracle.Cell], x: NDArray, mode: Mode) -> NDArray:
    """What the matrix layer makes of vectors (T, N, C) with a forward and a backward cell."""
    layer = conversion.matrix_layer(device, pair, [False, True])
    layer.bidirectional_combine_mode = mode
    columns = pair[0].outputs + (pair[1].outputs if mode == Mode.CONCATENATE else 0)
    sources = [mps.MPSMatrix.from_numpy(device, matrix) for matrix in x]
    joined = [mps.MPSMatrix.from_numpy(device, np.zeros((x.shape[1], columns), np.float32)) for _ in x]
    command = device.make_command_queue().make_command_buffer()
    layer.encode_bidirectional_sequence(command, sources, joined)
    command.commit()
    command.wait_until_completed()
    return np.stack([matrix.to_numpy() for matrix in joined])


def hold_both_directions(
    device: mps.MTLDevice,
    pair: Sequence[oracle.Cell],
    x: NDArray,
    mode: Mode,
    theirs: NDArray,
    neurons: type[oracle.Neuron] = oracle.Neuron,
) -> None:
    """Hold a judge's outputs (T, N, C) of two directions against the oracle's, and the layer's against the judge's."""

    def bounds(cells: Sequence[oracle.Cell]) -> list[oracle.Bounded]:
        directions = oracle.run_bidirectional(cells, [False, True], [oracle.as_images(matrix) for matrix in x])
        join = oracle.Bounded.__add__ if mode == Mode.ADD else lambda a, b: oracle.concatenate([a, b], axis=-1)
        return [oracle.as_rows(join(*both)) for both in zip(*directions, strict=True)]

    ours = both_directions(device, pair, x, mode)
    limits, grants = bounds(pair), bounds([with_neurons(cell, neurons) for cell in pair])
    for t, (limit, grant) in enumerate(zip(limits, grants, strict=True)):
        oracle.assert_close(theirs[t], grant, f"the judge's output {t}")
        oracle.assert_close(ours[t], oracle.Bounded(theirs[t], limit.err + grant.err), f"output {t} beside the judge's")


def control(rng: np.random.Generator) -> strategies.Case:
    """A GRU from zero over three steps."""

    def slot(channels: int) -> oracle.Slot:
        return oracle.Slot(rng.standard_normal((6, 1, 1, channels)).astype(np.float32))

    def gate(neuron: oracle.Neuron) -> oracle.Gate:
        return oracle.Gate(slot(5), rng.standard_normal(6).astype(np.float32), neuron, slot(6))

    cell = oracle.GRU(
        inputs=5, outputs=6, input_gate=gate(SIGMOID), recurrent_gate=gate(SIGMOID), output_gate=gate(TANH)
    )
    return strategies.Case([cell], rng.standard_normal((3, 2, 1, 1, 5)).astype(np.float32), None)


def part_ways(
    case: strategies.Case, outputs: NDArray[np.float32], neurons: type[oracle.Neuron] = oracle.Neuron
) -> None:
    """Assert that a judge of other mathematics agrees in the first step, from zero, and in no later one.

    There it has to be off by a hundred bounds and more, which no rounding explains.
    """
    first, *others = oracle.run([with_neurons(cell, neurons) for cell in case.cells], case.sequence).outputs
    oracle.assert_close(outputs[0], first, "first output")
    for bounded, output in zip(others, outputs[1:], strict=True):
        assert (np.abs(output - bounded.value) > 100.0 * bounded.err).any()
