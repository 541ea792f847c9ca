"""Float64 oracle of the recurrent image layers, written from the formulae and sharing nothing with the package.

Every quantity is a `Bounded`: its exact value, and how far an implementation in float32 may be from it. The second
number is computed along with the first, so no test that uses the oracle chooses a tolerance.
"""

from .bounded import FUNCTION_ULPS, Bounded
from .cells import GRU, LSTM, Cell, Gate, SingleGate, State, Step
from .compare import Agreement, assert_close
from .convolution import Slot, convolve, round_weights
from .formats import Format, decode, encode, store
from .neurons import Neuron, NeuronType
from .stack import Result, exact_state, run

__all__ = [
    "FUNCTION_ULPS",
    "GRU",
    "LSTM",
    "Agreement",
    "Bounded",
    "Cell",
    "Format",
    "Gate",
    "Neuron",
    "NeuronType",
    "Result",
    "SingleGate",
    "Slot",
    "State",
    "Step",
    "assert_close",
    "convolve",
    "decode",
    "encode",
    "exact_state",
    "round_weights",
    "run",
    "store",
]
