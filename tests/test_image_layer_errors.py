"""What the calls of the image layer refuse: the exception, its words, and that nothing was encoded or written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError
State = mps.MPSRNNRecurrentImageState
Usage = mps.MTLTextureUsage

STEPS, BATCH, HEIGHT, WIDTH = 2, 2, 3, 4
INPUTS, OUTPUTS = 3, 2
MARK: Any = object()


def two_layers(device: mps.MTLDevice) -> mps.MPSRNNImageInferenceLayer:
    """A single gate with an LSTM on it; every part of their state has as many channels as the output."""
    bottom = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(INPUTS, OUTPUTS)
    bottom.input_weights = mps.ArrayDataSource(np.ones((OUTPUTS, 1, 1, INPUTS), np.float32))
    top = mps.MPSLSTMDescriptor.create_lstm_descriptor(OUTPUTS, OUTPUTS)
    top.use_layer_input_unit_transform_mode = True
    return mps.MPSRNNImageInferenceLayer(device, [bottom, top])


def pixels(channels: int, n: int = BATCH, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(channels).standard_normal((n, height, width, channels)).astype(np.float32)


class Scene:
    """A call that would succeed, to be spoilt in one respect."""

    def __init__(self, device: mps.MTLDevice) -> None:
        self.device = device
        self.layer = two_layers(device)
        self.sources = [self.image(pixels(INPUTS)) for _ in range(STEPS)]
        self.destinations = [self.image(pixels(OUTPUTS)) for _ in range(STEPS)]
        self.state = self.make_state([pixels(OUTPUTS)] * 2, [None, pixels(OUTPUTS)])
        self.command = device.make_command_queue().make_command_buffer()
        self.states: list[Any] = [MARK]

    def image(self, array: np.ndarray, usage: Usage = Usage.SHADER_READ | Usage.SHADER_WRITE) -> mps.MPSImage:
        return mps.MPSImage.from_numpy(self.device, array, usage=usage)

    def make_state(self, outputs: Sequence[np.ndarray], memories: Sequence[np.ndarray | None] | None) -> State:
        return State.from_numpy(self.device, outputs, memories)

    def committed(self) -> mps.MTLCommandBuffer:
        command = self.device.make_command_queue().make_command_buffer()
        command.commit()
        return command

    def encode(self, **changes: Any) -> None:
        arguments = {
            "command_buffer": self.command,
            "source_images": self.sources,
            "destination_images": self.destinations,
            "recurrent_input_state": self.state,
            "recurrent_output_states": self.states,
            **changes,
        }
        self.layer.encode_sequence(**arguments)

    def contents(self) -> list[bytes]:
        """All that a call could change."""
        images = [*self.sources, *self.destinations]
        images += [self.state.get_recurrent_output_image(index) for index in (0, 1)]
        images += [self.state.get_memory_cell_image(1)]
        return [image.to_numpy().tobytes() for image in images]


def sources(*images: Callable[[Scene], Any]) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"source_images": [image(scene) for image in images]}


def destinations(*images: Callable[[Scene], Any]) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"destination_images": [image(scene) for image in images]}


def state(outputs: list[np.ndarray], memories: list[np.ndarray | None] | None) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"recurrent_input_state": scene.make_state(outputs, memories)}


def only(**changes: Any) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: changes


def source(scene: Scene) -> mps.MPSImage:
    return scene.sources[0]


def destination(scene: Scene) -> mps.MPSImage:
    return scene.destinations[0]


def new(array: np.ndarray, usage: Usage = Usage.SHADER_READ | Usage.SHADER_WRITE) -> Callable[[Scene], mps.MPSImage]:
    return lambda scene: scene.image(array, usage)


H, C = pixels(OUTPUTS), pixels(OUTPUTS)
ENCODES: dict[str, tuple[Callable[[Scene], dict[str, Any]], type[mps.Error], str]] = {
    "command None": (
        only(command_buffer=None),
        Type,
        r"^command_buffer: got None \(NoneType\), expected MTLCommandBuffer$",
    ),
    "command is a queue": (
        lambda scene: {"command_buffer": scene.device.make_command_queue()},
        Type,
        r"^command_buffer: got <.*MTLCommandQueue.*expected MTLCommandBuffer$",
    ),
    "command committed": (
        lambda scene: {"command_buffer": scene.committed()},
        Value,
        r"^command_buffer: got one that is already committed, expected one that is not$",
    ),
    "sources None": (only(source_images=None), Type, r"^source_images: got a NoneType, expected a list of MPSImage$"),
    "sources one image": (
        lambda scene: {"source_images": scene.sources[0]},
        Type,
        r"^source_images: got an? MPSImage, expected a list of MPSImage$",
    ),
    "sources an array": (
        only(source_images=pixels(INPUTS)),
        Type,
        r"^source_images: got an? ndarray, expected a list of MPSImage$",
    ),
    "no sources": (sources(), Value, r"^source_images: got an empty list, expected at least one image$"),
    "source None": (
        sources(source, lambda _: None),
        Type,
        r"^source_images\[1\]: got None \(NoneType\), expected MPSImage$",
    ),
    "source array": (
        sources(lambda _: np.zeros(3)),
        Type,
        r"^source_images\[0\]: got array.* \(ndarray\), expected MPSImage$",
    ),
    "destinations None": (
        only(destination_images=None),
        Type,
        r"^destination_images: got a NoneType, expected a list of MPSImage$",
    ),
    "no destinations": (destinations(), Value, r"^destination_images: got an empty list, expected at least one image$"),
    "destination a state": (
        destinations(destination, lambda scene: scene.state),
        Type,
        r"^destination_images\[1\]: got <.*State.*expected MPSImage$",
    ),
    "fewer destinations": (
        destinations(destination),
        Value,
        r"^destination_images: got 1 images, expected 2, one per source image$",
    ),
    "more destinations": (
        destinations(*[destination] * 3),
        Value,
        r"^destination_images: got 3 images, expected 2, one per source image$",
    ),
    "source wider": (
        sources(source, new(pixels(INPUTS, width=5))),
        Value,
        r"^source_images\[1\]: got 5 x 3 pixels and 2 images, expected 4 x 3 pixels and 2 images as in source",
    ),
    "source of a smaller batch": (
        sources(source, new(pixels(INPUTS, n=1))),
        Value,
        r"^source_images\[1\]: got 4 x 3 pixels and 1 images, expected 4 x 3 pixels and 2 images as in",
    ),
    "source of other channels": (
        sources(source, new(pixels(INPUTS + 1))),
        Value,
        r"^source_images\[1\]: got 4 feature channels, expected 3$",
    ),
    "source that kernels may not read": (
        sources(source, new(pixels(INPUTS), Usage.SHADER_WRITE)),
        Value,
        r"^source_images\[1\]: got an image with usage .*SHADER_WRITE.*, expected .*SHADER_READ.* among it$",
    ),
    "destination higher": (
        destinations(destination, new(pixels(OUTPUTS, height=4))),
        Value,
        r"^destination_images\[1\]: got 4 x 4 pixels and 2 images, expected 4 x 3 pixels and 2 images as in",
    ),
    "destination of a larger batch": (
        destinations(destination, new(pixels(OUTPUTS, n=3))),
        Value,
        r"^destination_images\[1\]: got 4 x 3 pixels and 3 images, expected 4 x 3 pixels and 2 images as in",
    ),
    "destination of other channels": (
        destinations(new(pixels(INPUTS)), destination),
        Value,
        r"^destination_images\[0\]: got 3 feature channels, expected 2$",
    ),
    "destination that kernels may not write": (
        destinations(destination, new(pixels(OUTPUTS), Usage.SHADER_READ)),
        Value,
        r"^destination_images\[1\]: got an image with usage .*SHADER_READ.*, expected .*SHADER_WRITE.* among it$",
    ),
    "destination is h of the bottom layer": (
        destinations(destination, lambda scene: scene.state.get_recurrent_output_image(0)),
        Value,
        r"^destination_images\[1\]: got an image that shares memory with layer 0 of recurrent_input_state$",
    ),
    "destination is h of the top layer": (
        destinations(lambda scene: scene.state.get_recurrent_output_image(1), destination),
        Value,
        r"^destination_images\[0\]: got an image that shares memory with layer 1 of recurrent_input_state$",
    ),
    "destination is a memory cell": (
        destinations(destination, lambda scene: scene.state.get_memory_cell_image(1)),
        Value,
        r"^destination_images\[1\]: got an image that shares memory with layer 1 of recurrent_input_state$",
    ),
    "state list": (
        only(recurrent_input_state=[]),
        Type,
        r"^recurrent_input_state: got \[\] \(list\), expected MPSRNN",
    ),
    "state of one layer": (state([H], None), Value, r"^recurrent_input_state: got the state of 1 layers?, expected 2$"),
    "state of three layers": (
        state([H] * 3, None),
        Value,
        r"^recurrent_input_state: got the state of 3 layers, expected 2$",
    ),
    "state without memory cell": (
        state([H, H], None),
        Value,
        r"^recurrent_input_state: got no memory cell for layer 1, expected the state of LSTM$",
    ),
    "state with one memory cell too many": (
        state([H, H], [C, C]),
        Value,
        r"^recurrent_input_state: got a memory cell for layer 0, expected the state of SINGLE_GATE$",
    ),
    "state wider": (
        state([pixels(OUTPUTS, width=5)] * 2, [None, pixels(OUTPUTS, width=5)]),
        Value,
        r"^recurrent_input_state, layer 0: got 5 x 3 pixels and 2 images, expected 4 x 3 pixels and 2 images as in",
    ),
    "state of a smaller batch": (
        state([pixels(OUTPUTS, n=1)] * 2, [None, pixels(OUTPUTS, n=1)]),
        Value,
        r"^recurrent_input_state, layer 0: got 4 x 3 pixels and 1 images, expected 4 x 3 pixels and 2 images as in",
    ),
    "state of other channels": (
        state([H, pixels(3)], [None, pixels(3)]),
        Value,
        r"^recurrent_input_state, layer 1: got 3 feature channels, expected 2$",
    ),
    "states tuple": (
        only(recurrent_output_states=()),
        Type,
        r"^recurrent_output_states: got a tuple, expected a list or None$",
    ),
    "states True": (
        only(recurrent_output_states=True),
        Type,
        r"^recurrent_output_states: got a bool, expected a list or None$",
    ),
}


@pytest.mark.parametrize("case", ENCODES.values(), ids=ENCODES)
def test_bad_encode(
    device: mps.MTLDevice,
    no_leaks: None,
    case: tuple[Callable[[Scene], dict[str, Any]], type[mps.Error], str],
) -> None:
    spoil, error, words = case
    scene = Scene(device)
    scene.layer.store_all_intermediate_states = True
    before = scene.contents()
    changes = spoil(scene)
    refused(lambda: scene.encode(**changes), error, words)
    assert scene.command.dispatch_count == 0
    assert scene.states == [MARK]
    # What has been encoded is nothing, not merely counted as nothing; and the command buffer still takes the good call.
    scene.command.commit()
    scene.command.wait_until_completed()
    assert scene.contents() == before
    scene.command = device.make_command_queue().make_command_buffer()
    scene.encode()
    assert scene.command.dispatch_count == STEPS * scene.layer.number_of_layers
    assert len(scene.states) == 1 + STEPS
    scene.command.commit()
    scene.command.wait_until_completed()
    assert scene.contents() != before


def test_command_buffer_still_takes_good_calls_after_a_bad_one(device: mps.MTLDevice) -> None:
    scene = Scene(device)
    scene.encode()
    refused(lambda: scene.encode(destination_images=scene.sources), Value, r"^destination_images\[0\]: got 3 feature")
    scene.encode()
    scene.command.commit()
    scene.command.wait_until_completed()
    expected, last = scene.layer.predict(np.stack([pixels(INPUTS)] * STEPS), scene.state, return_state=True)
    for image, output in zip(scene.destinations, expected, strict=True):
        np.testing.assert_array_equal(image.to_numpy(), output)
    for state_ in scene.states[1:]:
        found = state_.get_memory_cell_image(1).to_numpy()
        np.testing.assert_array_equal(found, last.get_memory_cell_image(1).to_numpy())


X = np.zeros((STEPS, HEIGHT, WIDTH, INPUTS), np.float32)
FLOATS = "expected float32 or float16$"
PREDICTS: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "None": ({"x": None}, Type, r"^x: got a NoneType, expected an ndarray$"),
    "list": ({"x": X.tolist()}, Type, r"^x: got a list, expected an ndarray$"),
    "3 axes": ({"x": X[0]}, Value, r"^x: got 3 axes, shape \(3, 4, 3\), expected 4 or 5 axes$"),
    "6 axes": ({"x": X[None, None]}, Value, r"^x: got 6 axes, shape \(1, 1, 2, 3, 4, 3\), expected 4 or 5 axes$"),
    "float64": ({"x": X.astype(float)}, Type, rf"^x: got elements of float64, {FLOATS}"),
    "int32": ({"x": X.astype(np.int32)}, Type, rf"^x: got elements of int32, {FLOATS}"),
    "uint8": ({"x": X.astype(np.uint8)}, Type, rf"^x: got elements of uint8, {FLOATS}"),
    "big-endian": ({"x": X.astype(">f4")}, Type, rf"^x: got elements of float32 in foreign byte order, {FLOATS}"),
    "channels": ({"x": X[..., :2]}, Value, r"^x: got 2 channels, expected 3$"),
    "no steps": ({"x": X[:0]}, Value, r"^x: got shape \(0, 3, 4, 3\), expected at least 1 along every axis$"),
    "no rows": ({"x": X[:, :0]}, Value, r"^x: got shape \(2, 0, 4, 3\), expected at least 1 along every axis$"),
    "no channels": ({"x": X[..., :0]}, Value, r"^x: got shape \(2, 3, 4, 0\), expected at least 1 along every axis$"),
    "no batch": (
        {"x": X[:, None][:, :0]},
        Value,
        r"^x: got shape \(2, 0, 3, 4, 3\), expected at least 1 along every axis$",
    ),
    "flag": ({"return_state": 1}, Type, r"^return_state: got 1 \(int\), expected a bool$"),
    "state list": ({"state": [1]}, Type, r"^state: got \[1\] \(list\), expected MPSRNNRecurrentImageState$"),
}


@pytest.mark.parametrize("case", PREDICTS.values(), ids=PREDICTS)
def test_bad_predict(device: mps.MTLDevice, no_leaks: None, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    changes, error, words = case
    layer = two_layers(device)
    before = layer.predict(X)
    refused(lambda: layer.predict(**{"x": X, **changes}), error, words)
    np.testing.assert_array_equal(layer.predict(X), before)


def test_predict_with_the_state_of_another_batch(device: mps.MTLDevice, no_leaks: None) -> None:
    scene = Scene(device)
    before = scene.contents()
    words = r"^state, layer 0: got 4 x 3 pixels and 2 images, expected 4 x 3 pixels and 1 images as in x$"
    refused(lambda: scene.layer.predict(X, scene.state), Value, words)
    assert scene.contents() == before


def test_attributes(device: mps.MTLDevice) -> None:
    layer = two_layers(device)
    name = "store_all_intermediate_states"
    refused(lambda: setattr(layer, name, 1), Type, rf"^{name}: got 1 \(int\), expected a bool$")
    assert layer.store_all_intermediate_states is False
    refused(lambda: setattr(layer, "label", 3), Type, r"^label: got 3 \(int\), expected str")
    assert layer.label is None
    for name in ("device", "input_feature_channels", "output_feature_channels", "number_of_layers"):
        with pytest.raises(AttributeError):
            setattr(layer, name, getattr(layer, name))
