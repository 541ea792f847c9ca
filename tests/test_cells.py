"""Every cell against the float64 oracle, on random models; tolerances come out of the oracle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import conversion
import mpsrnn_cy as mps
import oracle
import strategies

# The device is the same for all examples of a test.
exploring = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Run(NamedTuple):
    """What the package made of a case: destinations and states by time step."""

    outputs: list[np.ndarray]
    states: list[list[oracle.State]]
    dispatches: int


def run(
    device: mps.MTLDevice,
    case: strategies.Case,
    source_format: oracle.Format = oracle.Format.FLOAT32,
    destination_format: oracle.Format = oracle.Format.FLOAT32,
) -> Run:
    """Encode a case in one call and read everything back."""
    layer = conversion.layer(device, case.cells)
    layer.store_all_intermediate_states = True
    sources = [mps.MPSImage.from_numpy(device, oracle.encode(image, source_format)) for image in case.sequence]
    n, height, width, _ = case.sequence[0].shape
    described = mps.MPSImageDescriptor(
        int(destination_format), width, height, case.cells[-1].outputs, number_of_images=n
    )
    destinations = [mps.MPSImage(device, described) for _ in sources]
    states: list[mps.MPSRNNRecurrentImageState] = []
    command = device.make_command_queue().make_command_buffer()
    initial = conversion.state(device, case.initial)
    layer.encode_sequence(command, sources, destinations, initial, states)
    command.commit()
    command.wait_until_completed()
    return Run(
        [conversion.batched(image) for image in destinations],
        [conversion.oracle_states(state, case.cells) for state in states],
        command.dispatch_count,
    )


def check(
    case: strategies.Case,
    found: Run,
    source_format: oracle.Format = oracle.Format.FLOAT32,
    destination_format: oracle.Format = oracle.Format.FLOAT32,
) -> float:
    """Hold all outputs and states against the oracle; return how much of the bounds was used at most."""
    images = [oracle.decode(oracle.encode(image, source_format), source_format) for image in case.sequence]
    expected = oracle.run(case.cells, images, case.initial, follow=found.states)
    worst = 0.0
    for t, output in enumerate(found.outputs):
        stored = oracle.store(expected.outputs[t], destination_format)
        read = oracle.decode(output, destination_format).value
        worst = max(worst, oracle.assert_close(read, stored, f"output {t}").worst)
        for layer, (state, true) in enumerate(zip(found.states[t], expected.states[t], strict=True)):
            worst = max(worst, oracle.assert_close(state.h.value, true.h, f"h of layer {layer} at {t}").worst)
            if true.c is not None:
                worst = max(worst, oracle.assert_close(state.c.value, true.c, f"c of layer {layer} at {t}").worst)
    return worst


@exploring
@given(case=strategies.cases(strategies.single_gates(), max_layers=1))
def test_single_gate(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    check(case, run(each_build, case))


@exploring
@given(case=strategies.cases(strategies.grus(), max_layers=1))
def test_gru(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    check(case, run(each_build, case))


@exploring
@given(case=strategies.cases(strategies.lstms(), max_layers=1))
def test_lstm(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    check(case, run(each_build, case))


@exploring
@given(case=strategies.cases())
def test_stack(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    check(case, run(each_build, case))


@exploring
@given(
    case=strategies.cases(max_layers=2, max_steps=2),
    source_format=strategies.source_formats(),
    destination_format=strategies.destination_formats(),
)
def test_formats(
    each_build: mps.MTLDevice, case: strategies.Case, source_format: oracle.Format, destination_format: oracle.Format
) -> None:
    found = run(each_build, case, source_format, destination_format)
    check(case, found, source_format, destination_format)


@pytest.mark.parametrize("kind", list(oracle.NeuronType), ids=lambda kind: kind.name)
@settings(exploring, max_examples=15)
@given(rng=strategies.generators(), hard=st.booleans())
def test_neurons(each_build: mps.MTLDevice, kind: oracle.NeuronType, rng: np.random.Generator, hard: bool) -> None:
    """Each function over a wide range of arguments, the edges of float32 among them."""
    channels = 5
    neuron = strategies.random_neuron(kind, channels, rng, hard)
    slot = oracle.Slot(np.eye(channels, dtype=np.float32).reshape(channels, 1, 1, channels))
    cell = oracle.SingleGate(inputs=channels, outputs=channels, gate=oracle.Gate(slot, neuron=neuron))
    wide = rng.uniform(-1.0, 1.0, (1, 1, 8, 9, channels)) * 10.0 ** rng.integers(-6, 2, (1, 1, 8, 9, 1))
    wide[0, 0, 0, :7, 0] = [0.0, -0.0, 1e-40, -1e-40, 80.0, -80.0, 1.0]
    case = strategies.Case([cell], wide.astype(np.float32), None)
    check(case, run(each_build, case))


def test_bounds_are_sharp(device: mps.MTLDevice) -> None:
    """A bound of which next to nothing is used would find no fault."""
    rng = np.random.default_rng(0)
    sigmoid, tanh = oracle.Neuron(oracle.NeuronType.SIGMOID), oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)

    def slot() -> oracle.Slot:
        return oracle.Slot((rng.standard_normal((8, 3, 3, 8)) * 0.2).astype(np.float32))

    def gate(neuron: oracle.Neuron) -> oracle.Gate:
        return oracle.Gate(slot(), rng.standard_normal(8).astype(np.float32), neuron, slot())

    cells = [
        oracle.SingleGate(inputs=8, outputs=8, gate=gate(tanh)),
        oracle.GRU(inputs=8, outputs=8, input_gate=gate(sigmoid), recurrent_gate=gate(sigmoid), output_gate=gate(tanh)),
        oracle.LSTM(
            inputs=8,
            outputs=8,
            input_gate=gate(sigmoid),
            forget_gate=gate(sigmoid),
            cell_gate=gate(tanh),
            output_gate=gate(sigmoid),
        ),
    ]
    for cell in cells:
        case = strategies.Case([cell], rng.standard_normal((3, 2, 16, 16, 8)).astype(np.float32), None)
        assert check(case, run(device, case)) > 0.02, type(cell).__name__
