"""What layers have from their base classes: settings, and refusals of bad ones. Copies are in test_image_layer_copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import archives
import conversion
import mpsrnn_cy as mps
from image_stacks import STACKS, assert_same_bits, frames
from refusal import refused

# Every setting of a kernel over images: its default, another value, and plainer forms of that.
SETTINGS: dict[str, tuple[Any, Any, list[Any]]] = {
    "label": (None, "läyer", []),
    "options": (mps.MPSKernelOptions.NONE, mps.MPSKernelOptions.SKIP_API_VALIDATION | 16, [17, np.int64(17)]),
    "offset": (mps.MPSOffset(0, 0, 0), mps.MPSOffset(-1, 2, -(2**63)), [(-1, 2, -(2**63)), [-1, 2, -(2**63)]]),
    "clip_rect": (
        mps.MPSRectNoClip,
        mps.MTLRegion(mps.MTLOrigin(1, 2, 3), mps.MTLSize(4, 5, 6)),
        [((1, 2, 3), (4, 5, 6)), [[1, 2, 3], [4, 5, 6]]],
    ),
    "destination_feature_channel_offset": (0, 4, [np.int32(4)]),
    "source_feature_channel_offset": (0, 8, [np.uint8(8)]),
    "source_feature_channel_max_count": (2**64 - 1, 3, []),
    "edge_mode": (mps.MPSImageEdgeMode.ZERO, mps.MPSImageEdgeMode.CLAMP, [1]),
}

REFUSED: dict[str, tuple[str, Any, type[mps.Error], str]] = {
    "label of a number": ("label", 3, mps.BadTypeError, "label: got 3"),
    "options as text": ("options", "NONE", mps.BadTypeError, "options: got 'NONE'"),
    "options of another kind": ("options", mps.MTLTextureUsage.SHADER_READ, mps.BadTypeError, "options: got .*SHADER"),
    "unknown option": (
        "options",
        32,
        mps.BadArgumentError,
        "options: got 32, expected a set of MPSKernel",
    ),
    "negative options": ("options", -1, mps.BadArgumentError, "options: got -1"),
    "offset of two": ("offset", (1, 2), mps.BadTypeError, r"offset: got \(1, 2\), expected MPSOffset"),
    "offset of a fraction": ("offset", (0, 0.5, 0), mps.BadTypeError, r"offset\.y: got 0\.5"),
    "offset too far": ("offset", (0, 0, 2**63), mps.BadArgumentError, r"offset\.z: got 9223372036854775808"),
    "clip_rect of six": ("clip_rect", (0, 0, 0, 1, 1, 1), mps.BadTypeError, "clip_rect: got .*, expected MTLRegion"),
    "clip_rect before the image": (
        "clip_rect",
        ((-1, 0, 0), (1, 1, 1)),
        mps.BadArgumentError,
        r"rect\.origin\.x: ",
    ),
    "clip_rect too large": ("clip_rect", ((0, 0, 0), (1, 2**64, 1)), mps.BadArgumentError, r"clip_rect\.size\.height"),
    "offset within a slice": (
        "source_feature_channel_offset",
        2,
        mps.BadArgumentError,
        "got 2, expected a multiple",
    ),
    "negative channel": ("destination_feature_channel_offset", -4, mps.BadArgumentError, "got -4"),
    "flag for a count": ("source_feature_channel_max_count", True, mps.BadTypeError, "max_count: got True"),
    "count too large": ("source_feature_channel_max_count", 2**64, mps.BadArgumentError, "max_count: got 1844"),
    "no edge mode": ("edge_mode", 5, mps.BadArgumentError, "edge_mode: got 5"),
}


@pytest.fixture
def layer(device: mps.MTLDevice) -> mps.MPSRNNImageInferenceLayer:
    return conversion.layer(device, STACKS["stack"](np.random.default_rng(40)))


def test_hierarchy(layer: mps.MPSRNNImageInferenceLayer) -> None:
    assert isinstance(layer, mps.MPSCNNKernel)
    assert isinstance(layer, mps.MPSKernel)
    assert (layer.is_backwards, layer.is_state_modified) == (False, False)


@pytest.mark.parametrize("base", [mps.MPSKernel, mps.MPSCNNKernel])
def test_bases_make_no_objects(device: mps.MTLDevice, base: type[mps.MPSKernel]) -> None:
    class Derived(base):
        pass

    for cls in (base, Derived):
        for make in (lambda cls=cls: cls(device), lambda cls=cls: cls.__new__(cls), lambda cls=cls: cls(device, key=1)):
            refused(make, mps.BadTypeError, f"^{cls.__name__}: cannot be constructed")


def test_cells_of_another_layer_are_not_for_callers(device: mps.MTLDevice) -> None:
    refused(
        lambda: mps.MPSRNNImageInferenceLayer(device, (), key=object()),
        mps.BadTypeError,
        "MPSRNNImageInferenceLayer: got an unexpected argument key",
    )


# Settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_setting(layer: mps.MPSRNNImageInferenceLayer, name: str) -> None:
    default, value, forms = SETTINGS[name]
    assert getattr(layer, name) == default
    for form in (value, *forms):
        setattr(layer, name, default)
        setattr(layer, name, form)
        assert getattr(layer, name) == value
        assert type(getattr(layer, name)) is type(value)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_setting(layer: mps.MPSRNNImageInferenceLayer, name: str) -> None:
    setting, value, error, words = REFUSED[name]
    refused(lambda: setattr(layer, setting, value), error, words)
    assert getattr(layer, setting) == SETTINGS[setting][0]


def test_settings_without_effect(layer: mps.MPSRNNImageInferenceLayer) -> None:
    x = frames(np.random.default_rng(41), STACKS["stack"](np.random.default_rng(40)))
    expected = layer.predict(x)
    for name, (_, value, _) in SETTINGS.items():
        setattr(layer, name, value)
    layer.padding = object()
    assert_same_bits(layer.predict(x), expected)


@pytest.mark.parametrize("how", [lambda layer: layer.copy(), lambda layer: type(layer).from_bytes(layer.to_bytes())])
def test_settings_are_copied_and_archived(layer: mps.MPSRNNImageInferenceLayer, how: Any) -> None:
    for name, (_, value, _) in SETTINGS.items():
        setattr(layer, name, value)
    other = how(layer)
    for name, (default, value, _) in SETTINGS.items():
        assert getattr(other, name) == value
        assert type(getattr(other, name)) is type(value)
        setattr(other, name, default)
        assert getattr(layer, name) == value


def test_objects_are_shared_by_copies_and_refused_by_archives(layer: mps.MPSRNNImageInferenceLayer) -> None:
    assert layer.padding is None
    layer.padding = object()
    assert layer.copy().padding is layer.padding
    refused(layer.to_bytes, mps.BadTypeError, r"settings\.padding: got <object")


def test_save_writes_nothing_if_it_cannot(layer: mps.MPSRNNImageInferenceLayer, tmp_path: Any) -> None:
    path = tmp_path / "layer"
    layer.save(path)
    before = path.read_bytes()
    layer.padding = object()
    refused(lambda: layer.save(path), mps.BadTypeError, "padding")
    assert path.read_bytes() == before


# Archives of another age --------------------------------------------------------------------------------------


def test_archive_of_version_1(layer: mps.MPSRNNImageInferenceLayer) -> None:
    layer.label = "old"
    layer.edge_mode = 1
    parts = archives.unpack(layer.to_bytes())
    parts.entry["version"] = 1
    known = ("label", "store_all_intermediate_states", "bidirectional_combine_mode")
    parts.entry["settings"] = {name: parts.entry["settings"][name] for name in known}
    other = type(layer).from_bytes(archives.pack(parts))
    assert (other.label, other.edge_mode) == ("old", mps.MPSImageEdgeMode.ZERO)
    x = frames(np.random.default_rng(42), STACKS["stack"](np.random.default_rng(40)))
    assert_same_bits(other.predict(x), layer.predict(x))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"no_such": 1}, "settings: got 'no_such', expected some of bidirectional_combine_mode, "),
        ({"device": None}, "settings: got 'device'"),
        ({"edge_mode": 7}, "edge_mode: got 7"),
        ({"clip_rect": [[0, 0, 0], 1]}, r"clip_rect\.size: got 1"),
    ],
)
def test_archive_with_other_settings(
    layer: mps.MPSRNNImageInferenceLayer, settings: dict[str, Any], words: str
) -> None:
    parts = archives.unpack(layer.to_bytes())
    parts.entry["settings"] = settings
    with pytest.raises(mps.Error, match=words):
        type(layer).from_bytes(archives.pack(parts))


# The window over the input ------------------------------------------------------------------------------------


def window(layer: mps.MPSCNNKernel) -> tuple[int, ...]:
    sizes = layer.kernel_width, layer.kernel_height, layer.stride_in_pixels_x, layer.stride_in_pixels_y
    return (*sizes, layer.dilation_rate_x, layer.dilation_rate_y)


def test_window(device: mps.MTLDevice) -> None:
    gru = mps.MPSGRUDescriptor.create_gru_descriptor(2, 3)
    assert window(mps.MPSRNNImageInferenceLayer(device, gru)) == (1, 1, 1, 1, 1, 1)
    gru.input_gate_recurrent_weights = mps.ArrayDataSource(np.zeros((3, 7, 7, 3), np.float32))
    gru.recurrent_gate_input_weights = mps.ArrayDataSource(np.zeros((3, 5, 4, 2), np.float32), dilation_rate=(3, 2))
    above = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(3, 3)
    above.input_weights = mps.ArrayDataSource(np.zeros((3, 9, 9, 3), np.float32))
    layer = mps.MPSRNNImageInferenceLayer(device, [gru, above])
    assert window(layer) == (4, 5, 1, 1, 2, 3)
    assert window(layer.copy()) == (4, 5, 1, 1, 2, 3)
