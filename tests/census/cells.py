"""Descriptors of recurrent layers."""

from __future__ import annotations

import mpsrnn_cy as mps

from .entries import AppleClass, class_method, read_write

__all__ = ["CELLS"]

_CHANNELS = "0 until set; Apple does not say. For matrices the number of columns, though Apple's header speaks of rows"

_BASE = AppleClass(
    "MPSRNNDescriptor",
    "What all recurrent layers have in common. Apple's is no coder and cannot be copied; ours can.",
    (
        read_write("inputFeatureChannels", 0, _CHANNELS),
        read_write("outputFeatureChannels", 0, _CHANNELS),
        read_write("useLayerInputUnitTransformMode", False),
        read_write("useFloat32Weights", False, "honoured by image layers too, which is ours: Apple's ignore it"),
        read_write(
            "layerSequenceDirection", mps.MPSRNNSequenceDirection.FORWARD, "read by bidirectional sequences alone"
        ),
    ),
    ours={"GATES": "the gates in the order in which layers pack them, and the slots of each"},
)

_SINGLE_GATE = AppleClass(
    "MPSRNNSingleGateDescriptor",
    "h1 = g(W\\*x + U\\*h0 + b).",
    (
        read_write("inputWeights", None, "W, b, g"),
        read_write("recurrentWeights", None, "U"),
        class_method(
            "createRNNSingleGateDescriptorWithInputFeatureChannels:outputFeatureChannels:",
            "createRNNSingleGateDescriptor(withInputFeatureChannels:outputFeatureChannels:)",
        ),
    ),
    base="MPSRNNDescriptor",
)

_GRU = AppleClass(
    "MPSGRUDescriptor",
    "The gated recurrent unit that resets before the product. Apple's input gate is the usual update gate z, its "
    "recurrent gate the reset gate r, its output gate the candidate h.",
    (
        read_write("inputGateInputWeights", None, "Wz, bz, gz"),
        read_write("inputGateRecurrentWeights", None, "Uz"),
        read_write("recurrentGateInputWeights", None, "Wr, br, gr"),
        read_write("recurrentGateRecurrentWeights", None, "Ur"),
        read_write("outputGateInputWeights", None, "Wh, bh, gh"),
        read_write("outputGateRecurrentWeights", None, "Uh, acts on r · h0"),
        read_write("outputGateInputGateWeights", None, "Vh, acts on z · h0"),
        read_write("gatePnormValue", 1.0),
        read_write("flipOutputGates", False),
        class_method(
            "createGRUDescriptorWithInputFeatureChannels:outputFeatureChannels:",
            "createGRUDescriptor(withInputFeatureChannels:outputFeatureChannels:)",
        ),
    ),
    base="MPSRNNDescriptor",
)

_LSTM = AppleClass(
    "MPSLSTMDescriptor",
    "The long short-term memory. Its cell gate is the memory gate of `MPSRNNMatrixId`.",
    (
        read_write("memoryWeightsAreDiagonal", False),
        *(
            read_write(f"{gate}Gate{role}Weights", None, f"{symbol}{gate[0]}{also.format(gate[0])}")
            for gate in ("input", "forget", "output", "cell")
            for role, symbol, also in (("Input", "W", ", b{0}, g{0}"), ("Recurrent", "U", ""), ("Memory", "V", ""))
        ),
        read_write("cellToOutputNeuronType", mps.MPSCNNNeuronType.TANH, "PRELU is refused: it has no data here"),
        read_write("cellToOutputNeuronParamA", 1.0),
        read_write("cellToOutputNeuronParamB", 1.0),
        read_write("cellToOutputNeuronParamC", 1.0),
        class_method(
            "createLSTMDescriptorWithInputFeatureChannels:outputFeatureChannels:",
            "createLSTMDescriptor(withInputFeatureChannels:outputFeatureChannels:)",
        ),
    ),
    base="MPSRNNDescriptor",
)

CELLS = (_BASE, _SINGLE_GATE, _GRU, _LSTM)
