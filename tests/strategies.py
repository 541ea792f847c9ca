"""Hypothesis strategies for models of the oracle.

Hypothesis draws the structure and shrinks it; the numbers come from a NumPy generator whose seed is drawn too, so
that large arrays cost nothing and shrink by their shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracle import GRU, LSTM, Cell, Format, Gate, Neuron, NeuronType, SingleGate, Slot, State, exact_state

MAX_CHANNELS = 13
# A group holds a multiple of four channels, the width of a texture's slice.
GROUP_QUANTUM = 4
# 1.5 / sqrt(fan-in): sums spread a little beyond the range where neurons are nearly linear.
WEIGHT_SCALE = 1.5
GATE_NEURONS = (NeuronType.SIGMOID, NeuronType.HARD_SIGMOID)


class Windows(Enum):
    """Geometry of convolutions: any, that of matrix layers in groups or not, and that of layers that are trained."""

    ANY = "any"
    POINTS = "1 x 1"
    UNGROUPED_POINTS = "1 x 1 in one group"


@dataclass(frozen=True, eq=False)
class Case:
    """A stack of layers with everything it is run on.

    Attributes
    ----------
    cells : first layer first
    sequence : float32 array (T, N, H, W, C)
    initial : state of every layer, or None to start from zero
    """

    cells: list[Cell]
    sequence: NDArray[np.float32]
    initial: list[State] | None

    def __repr__(self) -> str:
        """Structure only; the arrays follow from the seed."""
        layers = ", ".join(describe(cell) for cell in self.cells)
        return f"Case([{layers}], sequence={self.sequence.shape}, initial={self.initial is not None})"


def describe(cell: Cell) -> str:
    """Structure of a cell."""

    def slot(name: str, value: Slot | NDArray | None) -> str:
        if not isinstance(value, Slot):
            return "" if value is None else f" {name}=diagonal"
        height, width = value.weights.shape[1:3]
        return f" {name}={height}x{width}/{value.dilation}/{value.groups}"

    gates = []
    for name, gate in cell.gates.items():
        slots = slot("W", gate.input) + slot("U", gate.recurrent) + slot("V", gate.memory)
        gates.append(f"{name}:{slots} b={gate.bias is not None} {describe_neuron(gate.neuron)}")
    flags = [name for name in ("unit_transform", "float32_weights", "flip") if getattr(cell, name, False)]
    flags += [f"p={cell.p_norm}"] if isinstance(cell, GRU) else []
    flags += [describe_neuron(cell.output_neuron)] if isinstance(cell, LSTM) else []
    return f"{type(cell).__name__}({cell.inputs}->{cell.outputs}, {'; '.join(gates)}; {' '.join(flags)})"


def describe_neuron(neuron: Neuron) -> str:
    """Short text for a neuron."""
    return f"{neuron.type.name}({neuron.a:.4g}, {neuron.b:.4g}, {neuron.c:.4g})"


def generators() -> st.SearchStrategy[np.random.Generator]:
    """NumPy generators with a drawn seed."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def channel_counts() -> st.SearchStrategy[int]:
    """Channel counts, odd ones and whole slices among them."""
    return st.integers(1, MAX_CHANNELS)


def source_formats() -> st.SearchStrategy[Format]:
    """Formats of source images."""
    return st.sampled_from([Format.FLOAT32, Format.FLOAT16, Format.UNORM8, Format.UNORM16])


def destination_formats() -> st.SearchStrategy[Format]:
    """Formats of destination images."""
    return source_formats()


def random_neuron(kind: NeuronType, channels: int, rng: np.random.Generator, hard: bool = False) -> Neuron:
    """Neuron of a type with random parameters.

    A hard one may meet poles and edges of its domain for arguments around 0; otherwise they lie where those rarely
    get to.
    """
    slope, offset = rng.uniform(0.3, 1.2), rng.uniform(-0.4, 0.4)
    if hard and kind in (NeuronType.POWER, NeuronType.LOGARITHM):
        return Neuron(kind, slope, offset, rng.choice([-1.0, 0.5, 2.0, 3.0, 2.5]))
    match kind:
        case NeuronType.RELU | NeuronType.ELU | NeuronType.TANH | NeuronType.SOFT_PLUS:
            return Neuron(kind, slope, rng.uniform(0.5, 1.5))
        case NeuronType.LINEAR:
            return Neuron(kind, slope, offset)
        case NeuronType.HARD_SIGMOID:
            return Neuron(kind, rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.7))
        case NeuronType.PRELU:
            return Neuron(kind, alpha=rng.uniform(-0.5, 1.0, channels).astype(np.float32))
        case NeuronType.RELUN:
            return Neuron(kind, rng.uniform(0.0, 0.5), rng.uniform(0.2, 6.0))
        case NeuronType.POWER:
            return Neuron(kind, rng.uniform(0.05, 0.15), rng.uniform(1.0, 1.5), rng.choice([-1.0, 0.5, 1.5, 2.0, 3.0]))
        case NeuronType.EXPONENTIAL:
            return Neuron(kind, rng.uniform(-0.5, 0.4), offset, rng.choice([-1.0, 0.5, 2.0]))
        case NeuronType.LOGARITHM:
            return Neuron(kind, rng.uniform(0.05, 0.15), rng.uniform(1.2, 3.0), rng.choice([-1.0, 2.0, 10.0]))
        case _:
            return Neuron(kind)


@st.composite
def neurons(draw: st.DrawFn, channels: int, gating: bool = False, per_channel: bool = True) -> Neuron:
    """Neurons of all types, mostly the squashing ones for gating ones, per-channel parameters where allowed."""
    rng = draw(generators())
    kinds = [kind for kind in NeuronType if per_channel or kind != NeuronType.PRELU]
    usual = GATE_NEURONS if gating else (NeuronType.TANH, NeuronType.RELU, NeuronType.SIGMOID)
    kind = draw(st.sampled_from(usual) | st.sampled_from(kinds))
    return random_neuron(kind, channels, rng, hard=draw(st.integers(0, 7)) == 7)


@st.composite
def slots(draw: st.DrawFn, inputs: int, outputs: int, windows: Windows = Windows.ANY) -> Slot:
    """Convolutions of any legal geometry."""
    possible = [g for g in range(1, MAX_CHANNELS) if inputs % (g * GROUP_QUANTUM) == outputs % (g * GROUP_QUANTUM) == 0]
    grouped = windows is not Windows.UNGROUPED_POINTS
    groups = draw(st.sampled_from([1, *(g for g in possible if g > 1 and grouped)]))
    kernel = dilation = (1, 1)
    if windows is Windows.ANY:
        kernel = draw(st.sampled_from([(1, 1), (3, 3)]) | st.tuples(st.integers(1, 5), st.integers(1, 5)))
        dilation = draw(st.just((1, 1)) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    shape = (outputs, *kernel, inputs // groups)
    scale = WEIGHT_SCALE / np.sqrt(np.prod(shape[1:]))
    return Slot((draw(generators()).standard_normal(shape) * scale).astype(np.float32), dilation, groups)


@st.composite
def gates(
    draw: st.DrawFn,
    inputs: int,
    outputs: int,
    gating: bool = True,
    memory: str | None = None,
    has_input: bool | None = None,
    windows: Windows = Windows.ANY,
) -> Gate:
    """Gates with any of their slots absent.

    Parameters
    ----------
    memory
        Kind of memory weights there may be: "full", "diagonal" or none.
    has_input
        Whether there are input weights; drawn if None.
    windows
        Geometry of the convolutions.
    """
    rng = draw(generators())
    if has_input is None:
        has_input = draw(st.sampled_from([True, True, True, False]))
    weights = draw(slots(inputs, outputs, windows)) if has_input else None
    bias = rng.uniform(-0.5, 0.5, outputs).astype(np.float32) if has_input and draw(st.booleans()) else None
    neuron = draw(neurons(outputs, gating)) if has_input else Neuron()
    recurrent = draw(st.none() | slots(outputs, outputs, windows))
    peephole = None
    if memory is not None and draw(st.booleans()):
        diagonal = rng.uniform(-1.0, 1.0, outputs).astype(np.float32)
        peephole = draw(slots(outputs, outputs, windows)) if memory == "full" else diagonal
    return Gate(weights, bias, neuron, recurrent, peephole)


@st.composite
def _shared_fields(draw: st.DrawFn, inputs: int | None, outputs: int | None) -> dict:
    inputs = draw(channel_counts()) if inputs is None else inputs
    outputs = draw(st.just(inputs) | channel_counts()) if outputs is None else outputs
    unit = inputs == outputs and draw(st.integers(0, 3)) == 3
    return {"inputs": inputs, "outputs": outputs, "unit_transform": unit, "float32_weights": draw(st.booleans())}


@st.composite
def single_gates(
    draw: st.DrawFn, inputs: int | None = None, outputs: int | None = None, windows: Windows = Windows.ANY
) -> SingleGate:
    """Single gates; channel counts are drawn unless given."""
    fields = draw(_shared_fields(inputs, outputs))
    return SingleGate(gate=draw(gates(fields["inputs"], fields["outputs"], gating=False, windows=windows)), **fields)


@st.composite
def grus(draw: st.DrawFn, inputs: int | None = None, outputs: int | None = None, windows: Windows = Windows.ANY) -> GRU:
    """GRUs with or without p-norm, flip and weights on z * h; channel counts are drawn unless given."""
    fields = draw(_shared_fields(inputs, outputs))
    extent = fields["inputs"], fields["outputs"]
    return GRU(
        input_gate=draw(gates(*extent, windows=windows)),
        recurrent_gate=draw(gates(*extent, windows=windows)),
        output_gate=draw(gates(*extent, gating=False, memory="full", windows=windows)),
        p_norm=draw(st.sampled_from([1.0, 1.0, 1.5, 2.0, 3.0])),
        flip=draw(st.booleans()),
        **fields,
    )


@st.composite
def lstms(
    draw: st.DrawFn, inputs: int | None = None, outputs: int | None = None, windows: Windows = Windows.ANY
) -> LSTM:
    """LSTMs with full, diagonal or no peepholes; channel counts are drawn unless given."""
    fields = draw(_shared_fields(inputs, outputs))
    extent = fields["inputs"], fields["outputs"]
    memory = draw(st.sampled_from([None, "diagonal", "full"]))
    usual = Neuron(NeuronType.TANH, 1.0, 1.0, 1.0)
    return LSTM(
        input_gate=draw(gates(*extent, memory=memory, windows=windows)),
        forget_gate=draw(gates(*extent, memory=memory, windows=windows)),
        cell_gate=draw(gates(*extent, gating=False, memory=memory, windows=windows)),
        output_gate=draw(gates(*extent, memory=memory, windows=windows)),
        output_neuron=draw(st.just(usual) | neurons(fields["outputs"], per_channel=False)),
        **fields,
    )


def cells(
    inputs: int | None = None, outputs: int | None = None, windows: Windows = Windows.ANY
) -> st.SearchStrategy[Cell]:
    """Cells of all three kinds."""
    return st.one_of(kind(inputs, outputs, windows) for kind in (single_gates, grus, lstms))


@st.composite
def cases(
    draw: st.DrawFn,
    kinds: st.SearchStrategy[Cell] | None = None,
    max_layers: int = 3,
    max_steps: int = 5,
    with_initial: bool = True,
) -> Case:
    """Stacks with a source sequence and perhaps an initial state.

    Parameters
    ----------
    kinds
        Strategy of the first layer, `cells()` unless given; the layers above are of any kind.
    max_layers, max_steps
        Largest stack and longest sequence.
    with_initial
        Whether there may be an initial state.
    """
    stack = [draw(kinds if kinds is not None else cells())]
    for _ in range(draw(st.integers(0, max_layers - 1))):
        stack.append(draw(cells(inputs=stack[-1].outputs)))
    steps, batch = draw(st.integers(1, max_steps)), draw(st.integers(1, 3))
    extent = (batch, draw(st.integers(1, 13)), draw(st.integers(1, 13)))
    rng = draw(generators())
    sequence = rng.uniform(-1.0, 1.0, (steps, *extent, stack[0].inputs)).astype(np.float32)
    initial = None
    if with_initial and draw(st.booleans()):
        initial = []
        for cell in stack:
            h, c = rng.uniform(-1.0, 1.0, (2, *extent, cell.outputs)).astype(np.float32)
            initial.append(exact_state(h, c if cell.has_memory else None))
    return Case(stack, sequence, initial)
