"""Float64 oracle of the recurrent layers over images and matrices, and of the gradients of their cells.

It is written from the formulae and shares nothing with the package.

Every quantity is a `Bounded`: its exact value, and how far an implementation in float32 may be from it. The second
number is computed along with the first, so no test that uses the oracle chooses a tolerance.
"""

from .bounded import FUNCTION_ULPS, ROUNDOFF, Bounded, concatenate
from .cells import GRU, LSTM, Cell, Gate, SingleGate, State, Step
from .compare import Agreement, assert_close
from .convolution import Slot, convolve, reduced, round_weights
from .derivatives import derivative, piece
from .formats import Format, decode, encode, store
from .gradients import Gradients, Key, gradients, weight_of
from .neurons import Neuron, NeuronType
from .stack import Result, as_images, as_rows, exact_state, run, run_bidirectional
from .tiles import tiled

__all__ = [
    "FUNCTION_ULPS",
    "GRU",
    "LSTM",
    "ROUNDOFF",
    "Agreement",
    "Bounded",
    "Cell",
    "Format",
    "Gate",
    "Gradients",
    "Key",
    "Neuron",
    "NeuronType",
    "Result",
    "SingleGate",
    "Slot",
    "State",
    "Step",
    "as_images",
    "as_rows",
    "assert_close",
    "concatenate",
    "convolve",
    "decode",
    "derivative",
    "encode",
    "exact_state",
    "gradients",
    "piece",
    "reduced",
    "round_weights",
    "run",
    "run_bidirectional",
    "store",
    "tiled",
    "weight_of",
]
