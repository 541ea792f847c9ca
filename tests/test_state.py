"""States: their resources, persistent and temporary, and what is done to many of them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Value, Type, Lifetime = mps.BadArgumentError, mps.BadTypeError, mps.LifetimeError
Resource = mps.MPSStateResourceType
Descriptor = mps.MTLTextureDescriptor
NO_TEXTURE = (0, 0, 0, 0, 0, 0, 0)


def texture_descriptor() -> mps.MTLTextureDescriptor:
    return Descriptor.texture_2d_descriptor(mps.MTLPixelFormat.R32_FLOAT, 5, 3)


@pytest.fixture
def command(device: mps.MTLDevice) -> mps.MTLCommandBuffer:
    return device.make_command_queue().make_command_buffer()


def test_state_over_a_buffer_still_to_be_made(device: mps.MTLDevice, no_leaks: None) -> None:
    before = device.current_allocated_size
    state = mps.MPSState(device=device, buffer_size=100)
    assert (state.resource_count, state.buffer_size(0), state.resource_type(0)) == (1, 100, Resource.BUFFER)
    assert state.texture_info(0) == NO_TEXTURE
    assert state.resource(at_index=0, allocate_memory=False) is None
    assert (state.resource_size(), device.current_allocated_size) == (0, before)
    buffer = state.resource(at_index=0, allocate_memory=True)
    assert (type(buffer), buffer.length, buffer.storage_mode) == (mps.MTLBuffer, 100, mps.MTLStorageMode.SHARED)
    assert state.resource(0) is state.resource(0, False) is state.resource() is buffer
    assert (state.resource_size(), state.device) == (100, device)


def test_state_over_a_texture_still_to_be_made(device: mps.MTLDevice, no_leaks: None) -> None:
    descriptor = texture_descriptor()
    state = mps.MPSState(device=device, texture_descriptor=descriptor)
    descriptor.width = 50
    info = state.texture_info(at_index=0)
    assert (info.width, info.height, info.depth, info.array_length) == (5, 3, 1, 1)
    assert (info.pixel_format, info.texture_type) == (mps.MTLPixelFormat.R32_FLOAT, mps.MTLTextureType.TYPE_2D)
    assert info.usage == mps.MTLTextureUsage.SHADER_READ
    assert (state.resource_type(0), state.buffer_size(0), state.resource_size()) == (Resource.TEXTURE, 0, 0)
    texture = state.resource()
    assert (type(texture), texture.width, texture.height) == (mps.MTLTexture, 5, 3)
    assert state.resource_size() == texture.allocated_size >= 5 * 3 * 4


def test_state_over_a_list(device: mps.MTLDevice, no_leaks: None) -> None:
    resources = mps.MPSStateResourceList(texture_descriptors=[texture_descriptor()], buffer_sizes=[7])
    resources.append_buffer(8)
    resources.append_texture(texture_descriptor())
    states = [mps.MPSState(device=device, resource_list=resources) for _ in range(2)]
    resources.append_buffer(9)
    for state in states:
        types = [state.resource_type(index) for index in range(5)]
        assert types == [Resource.TEXTURE, Resource.BUFFER, Resource.BUFFER, Resource.TEXTURE, Resource.NONE]
        assert [state.buffer_size(index) for index in range(5)] == [0, 7, 8, 0, 0]
        assert [state.texture_info(index).width for index in range(5)] == [5, 0, 0, 5, 0]
        assert state.resource(4) is None
        assert state.resource_count == 4
    assert states[0].resource(1) is not states[1].resource(1)


def test_states_over_what_exists(device: mps.MTLDevice, no_leaks: None) -> None:
    buffer, texture = device.make_buffer(length=6), device.make_texture(texture_descriptor())
    for state in (mps.MPSState(resource=buffer), mps.MPSState(resources=[buffer, texture])):
        assert state.device is device
        assert state.resource(0, allocate_memory=False) is buffer
    assert state.resource(1) is texture
    assert state.resource_size() == 6 + texture.allocated_size
    assert state.texture_info(1).height == 3


def test_persistent_states_have_no_read_count(device: mps.MTLDevice, command: mps.MTLCommandBuffer) -> None:
    state = mps.MPSState(device=device, buffer_size=1)
    assert (state.read_count, state.is_temporary) == (0, False)
    for value in (0, 1):
        with pytest.raises(
            Lifetime, match=rf"^read_count: got {value} for a persistent state, expected a temporary one$"
        ):
            state.read_count = value
    assert state.synchronize(on_command_buffer=command) is None


@pytest.mark.parametrize("what", ["buffer_size", "texture_descriptor", "resource_list", None])
def test_temporary_states(
    device: mps.MTLDevice, command: mps.MTLCommandBuffer, no_leaks: None, what: str | None
) -> None:
    before = device.current_allocated_size
    values: dict[str, Any] = {
        "buffer_size": 10,
        "texture_descriptor": texture_descriptor(),
        "resource_list": mps.MPSStateResourceList(buffer_sizes=[10]),
    }
    arguments = {} if what is None else {what: values[what]}
    state = mps.MPSState.temporary_state(with_command_buffer=command, **arguments)
    assert (state.read_count, state.is_temporary, state.device) == (1, True, device)
    assert state.resource_count == len(arguments)
    if arguments:
        assert state.resource(0).storage_mode == mps.MTLStorageMode.PRIVATE
        assert device.current_allocated_size > before
    state.read_count = 0
    assert device.current_allocated_size == before
    with pytest.raises(Lifetime, match=r"^MPSState: its last read has been encoded, its resources are gone$"):
        state.resource(0)


def test_classes_of_ones_own(device: mps.MTLDevice, no_leaks: None) -> None:
    class Counter(mps.MPSState):
        def __init__(self, device: mps.MTLDevice) -> None:
            super().__init__(device=device, buffer_size=4)
            self.seen = 0

        def destination_image_descriptor(self, *arguments: Any) -> Any:
            self.seen += 1
            return super().destination_image_descriptor(*arguments)

    state = Counter(device)
    assert isinstance(state.resource(), mps.MTLBuffer)
    suggested = mps.MPSImageDescriptor(mps.MPSImageFeatureChannelFormat.FLOAT32, 1, 1, 1)
    assert state.destination_image_descriptor([], None, None, suggested) is suggested
    assert state.seen == 1
    plain = mps.MPSState(device=device, buffer_size=4)
    found = plain.destination_image_descriptor(
        source_images=[], source_states=[plain], for_kernel=None, suggested_descriptor=suggested
    )
    assert found is suggested


def test_label(device: mps.MTLDevice) -> None:
    state = mps.MPSState(device=device, buffer_size=4)
    assert state.label is None
    state.label = "carry"
    assert state.label == "carry"
    refused(lambda: setattr(state, "label", 1), Type, r"^label: got 1 \(int\), expected str or None$")


# Of a device, a buffer and a command buffer.
BAD: dict[str, tuple[Callable[[Any, Any, Any], object], type[mps.Error], str]] = {
    "nothing": (lambda d, b, c: mps.MPSState(), Type, "^MPSState: expected exactly one of buffer_size, "),
    "device alone": (lambda d, b, c: mps.MPSState(device=d), Type, "^MPSState: expected exactly one of buffer_size, "),
    "two": (lambda d, b, c: mps.MPSState(device=d, buffer_size=1, resource=b), Type, "^MPSState: expected exactly one"),
    "two described": (
        lambda d, b, c: mps.MPSState(device=d, buffer_size=1, texture_descriptor=Descriptor()),
        Type,
        "^MPSState: expected only one of buffer_size, texture_descriptor and resource_list$",
    ),
    "no device": (lambda d, b, c: mps.MPSState(buffer_size=1), Type, "^device: got None"),
    "device besides": (lambda d, b, c: mps.MPSState(device=d, resource=b), Value, "^device: got a device besides"),
    "size 0": (lambda d, b, c: mps.MPSState(device=d, buffer_size=0), Value, "^buffer_size: got 0, expected an int"),
    "texture int": (lambda d, b, c: mps.MPSState(device=d, texture_descriptor=3), Type, "^texture_descriptor: got 3"),
    "list int": (lambda d, b, c: mps.MPSState(device=d, resource_list=3), Type, "^resource_list: got 3"),
    "resource int": (
        lambda d, b, c: mps.MPSState(resource=3),
        Type,
        r"^resource: got 3 \(int\), expected MTLBuffer or",
    ),
    "resources empty": (lambda d, b, c: mps.MPSState(resources=[]), Value, "^resources: got an empty list"),
    "resources int": (
        lambda d, b, c: mps.MPSState(resources=[b, 3]),
        Type,
        r"^resources\[1\]: got 3 \(int\), expected",
    ),
    "temporary on a device": (
        lambda d, b, c: mps.MPSState.temporary_state(d),
        Type,
        "^with_command_buffer: got <MTLDevice",
    ),
    "temporary two": (
        lambda d, b, c: mps.MPSState.temporary_state(
            c, buffer_size=1, resource_list=mps.MPSStateResourceList(buffer_sizes=[1])
        ),
        Type,
        r"^temporary_state\(\): expected only one of",
    ),
    "temporary derived": (
        lambda d, b, c: mps.MPSRNNRecurrentMatrixState.temporary_state(c),
        Type,
        r"^MPSRNNRecurrentMatrixState: got temporary_state\(\) of a derived class",
    ),
    "sizes": (lambda d, b, c: mps.MPSStateResourceList(buffer_sizes=[1, 0]), Value, r"^buffer_sizes\[1\]: got 0"),
    "textures": (lambda d, b, c: mps.MPSStateResourceList(texture_descriptors=[3]), Type, r"^texture_descriptors\[0\]"),
    "append buffer": (lambda d, b, c: mps.MPSStateResourceList().append_buffer("1"), Type, "^size: got '1'"),
    "append texture": (lambda d, b, c: mps.MPSStateResourceList().append_texture(1), Type, "^descriptor: got 1"),
    "index -1": (lambda d, b, c: mps.MPSState(resource=b).resource(-1), Value, "^at_index: got -1, expected an int"),
    "index None": (lambda d, b, c: mps.MPSState(resource=b).buffer_size(None), Type, "^at_index: got None"),
    "allocate 1": (lambda d, b, c: mps.MPSState(resource=b).resource(0, 1), Type, r"^allocate_memory: got 1 \(int\)"),
    "synchronize": (lambda d, b, c: mps.MPSState(resource=b).synchronize(d), Type, "^on_command_buffer: got <MTLDev"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_arguments(
    device: mps.MTLDevice,
    command: mps.MTLCommandBuffer,
    no_leaks: None,
    case: tuple[Callable[[Any, Any, Any], object], type[mps.Error], str],
) -> None:
    call, error, words = case
    buffer = device.make_buffer(length=3)
    refused(lambda: call(device, buffer, command), error, words)


def test_a_resource_is_made_once(device: mps.MTLDevice, no_leaks: None) -> None:
    state = mps.MPSState(device=device, buffer_size=1 << 20)
    barrier, found = threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        found.append(state.resource())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(buffer) for buffer in found}) == 1


def test_batches(device: mps.MTLDevice, command: mps.MTLCommandBuffer, no_leaks: None) -> None:
    persistent = mps.MPSRNNRecurrentMatrixState.from_numpy(device, [np.zeros((1, 4), np.float32)])
    one, two = (mps.MPSState.temporary_state(command, buffer_size=10) for _ in range(2))
    batch = [one, persistent, two, one, persistent]
    assert mps.MPSStateBatchIncrementReadCount(batch, 2) == 3
    assert (one.read_count, two.read_count, persistent.read_count) == (3, 3, 0)
    two.read_count = 1
    with pytest.raises(Lifetime, match=r"^batch\[2\]: got read count 1 to change by -2, expected more$"):
        mps.MPSStateBatchIncrementReadCount(batch, -2)
    assert (one.read_count, two.read_count) == (3, 1)
    one.resource()
    assert mps.MPSStateBatchResourceSize(batch) == 10 + persistent.resource_size()
    with pytest.raises(Lifetime, match=r"^batch\[0\]: got a temporary state, expected one that the CPU can reach$"):
        mps.MPSStateBatchSynchronize(batch, command)
    assert mps.MPSStateBatchSynchronize([persistent, persistent], command) is None
    assert mps.MPSStateBatchIncrementReadCount([two], -1) == 1
    with pytest.raises(Lifetime, match=r"^batch\[0\]: got read count 0 to change by 1, expected more$"):
        mps.MPSStateBatchIncrementReadCount([two], 1)
    one.read_count = 0
    refused(lambda: mps.MPSStateBatchIncrementReadCount([], 1), Value, "^batch: got an empty list")
    refused(lambda: mps.MPSStateBatchResourceSize([1]), Type, r"^batch\[0\]: got 1")
    refused(lambda: mps.MPSStateBatchIncrementReadCount([one], 1.5), Type, "^amount: got 1.5")
