"""States: what one encode call leaves for another, persistent or temporary."""

cimport cython

from .arguments import boolean, instance_of, integer
from .arguments import label as checked_label
from .command_checks import check_command_buffer
from .device import MTLDevice as Device
from .enums import MPSStateResourceType, MTLStorageMode
from .errors import BadArgumentError, BadTypeError, LifetimeError
from .layer_checks import check_list
from .state_resources import MPSStateResourceList, Resource
from .structures import MPSStateTextureInfo
from .temporary import ReadCount
from .texture_descriptor import MTLTextureDescriptor

__all__ = ["MPSState"]


@cython.auto_pickle(False)
cdef class MPSState:
    """Base of all states: a list of resources, each of which gets its memory when it is first asked for.

    Exactly one of the arguments after `device` is given. Classes of one's own may derive from it.

    Parameters
    ----------
    device : MTLDevice
        Where resources still to be made will live; not given with `resource` and `resources`.
    buffer_size : int
        One buffer of so many bytes.
    texture_descriptor : MTLTextureDescriptor
        One texture; storage modes are the state's.
    resource_list : MPSStateResourceList
        Any number of resources.
    resource : MTLBuffer or MTLTexture
        One that exists.
    resources : list of (MTLBuffer or MTLTexture)
        Several that exist, of one device.

    Attributes
    ----------
    device : MTLDevice
        Where its resources live. Ours, not Apple's.
    """

    def __init__(
        self,
        *,
        device=None,
        buffer_size=None,
        texture_descriptor=None,
        resource_list=None,
        resource=None,
        resources=None,
    ):
        described = _one_of("MPSState", buffer_size, texture_descriptor, resource_list)
        if (described is not None) + (resource is not None) + (resources is not None) != 1:
            raise BadTypeError(
                f"{type(self).__name__}: expected exactly one of buffer_size, texture_descriptor, resource_list, "
                "resource and resources"
            )
        if described is not None:
            self.device = instance_of(device, "device", Device)
            self._resources = described.make_resources(self.device, MTLStorageMode.SHARED)
            return
        if device is not None:
            raise BadArgumentError("device: got a device besides resources, which have one, expected None")
        self._resources, self.device = _existing(resource, resources)

    @classmethod
    def temporary_state(
        cls, with_command_buffer, *, buffer_size=None, texture_descriptor=None, resource_list=None
    ):
        """Make a temporary state: its memory is out of the CPU's reach, and goes when its read count reaches 0.

        Parameters
        ----------
        with_command_buffer : MTLCommandBuffer
            The one whose encode calls may use it; not yet committed.
        buffer_size, texture_descriptor, resource_list
            At most one, as of the constructor; without, the state has no resources.
        """
        cdef MPSState state
        if cls is not MPSState:
            raise BadTypeError(f"{cls.__name__}: got temporary_state() of a derived class, expected MPSState's")
        command = check_command_buffer(with_command_buffer, None, "with_command_buffer")
        described = _one_of("temporary_state()", buffer_size, texture_descriptor, resource_list)
        held = [] if described is None else described.make_resources(command.device, MTLStorageMode.PRIVATE)
        state = MPSState.__new__(MPSState)
        state.device = command.device
        state._read_count = ReadCount(command, "MPSState", held)
        return state

    @property
    def label(self):
        """A name for people, or None."""
        return self._label

    @label.setter
    def label(self, value):
        self._label = checked_label(value)

    @property
    def is_temporary(self):
        """Whether it lives on one command buffer, and its memory goes with its last read."""
        return self._read_count is not None

    @property
    def read_count(self):
        """How often encode calls may still read a temporary state; 0 for a persistent one.

        Setting it raises `LifetimeError` if it is 0, and on a persistent state.
        """
        return 0 if self._read_count is None else self._read_count.value

    @read_count.setter
    def read_count(self, value):
        if self._read_count is None:
            raise LifetimeError(f"read_count: got {value!r} for a persistent state, expected a temporary one")
        self._read_count.set(value, "read_count")

    @property
    def resource_count(self):
        """Number of its resources."""
        return len(self._held())

    def resource(self, at_index=0, allocate_memory=True):
        """Get a resource. Without arguments it is what Apple's deprecated property of this name gives.

        Parameters
        ----------
        at_index : int
            Which.
        allocate_memory : bool
            Whether to make it if it does not exist yet.

        Returns
        -------
        MTLBuffer, MTLTexture or None
            None if there is no such resource, or if it does not exist yet and is not made.
        """
        found = _at(self, at_index)
        return None if found is None else found.get(boolean(allocate_memory, "allocate_memory"))

    def buffer_size(self, at_index):
        """Bytes of a buffer; 0 if the resource is none, or there is no such resource."""
        found = _at(self, at_index)
        return 0 if found is None else found.buffer_size

    def texture_info(self, at_index):
        """What a texture looks like, an `MPSStateTextureInfo`; zeros if the resource is none, or there is none."""
        found = _at(self, at_index)
        return MPSStateTextureInfo() if found is None else found.texture_info

    def resource_type(self, at_index):
        """What a resource is, an `MPSStateResourceType`; NONE if there is no such resource."""
        found = _at(self, at_index)
        return MPSStateResourceType.NONE if found is None else found.resource_type

    def synchronize(self, on_command_buffer):
        """Encode that the CPU will read what kernels have written. Devices here share its memory: nothing to do.

        Parameters
        ----------
        on_command_buffer : MTLCommandBuffer
            Not yet committed.

        Raises
        ------
        LifetimeError
            If the state is temporary: the CPU cannot reach it.
        """
        check_command_buffer(on_command_buffer, self.device, "on_command_buffer")
        if self._read_count is not None:
            raise LifetimeError(f"{type(self).__name__}: a temporary state cannot be synchronised, expected another")

    def resource_size(self):
        """Bytes of memory that its resources have been given so far."""
        return sum(resource.allocated_size for resource in self._held())

    def destination_image_descriptor(self, source_images, source_states, for_kernel, suggested_descriptor):
        """Choose how the destination of a kernel that reads this state looks: as suggested, unless overridden.

        Apple's kernels for neural networks ask for it; recurrent layers do not.
        """
        return suggested_descriptor

    cdef list _held(self):
        held = self._resources if self._read_count is None else self._read_count.storage
        if held is None:
            raise LifetimeError(f"{type(self).__name__}: its last read has been encoded, its resources are gone")
        return held


cdef _at(MPSState state, at_index):
    """The resource of a number, or None."""
    index = integer(at_index, "at_index")
    held = state._held()
    return held[index] if index < len(held) else None


def _one_of(what, buffer_size, texture_descriptor, resource_list):
    """The resources that a caller described, a list of them or None; in one way at most."""
    if (buffer_size is not None) + (texture_descriptor is not None) + (resource_list is not None) > 1:
        raise BadTypeError(f"{what}: expected only one of buffer_size, texture_descriptor and resource_list")
    if resource_list is not None:
        return instance_of(resource_list, "resource_list", MPSStateResourceList)
    if buffer_size is None and texture_descriptor is None:
        return None
    described = MPSStateResourceList()
    if buffer_size is not None:
        described.append_buffer(integer(buffer_size, "buffer_size", minimum=1, maximum=2**63 - 1))
    else:
        described.append_texture(instance_of(texture_descriptor, "texture_descriptor", MTLTextureDescriptor))
    return described


def _existing(resource, resources):
    """Resources that exist, and their device."""
    if resources is None:
        return [Resource.of(resource, "resource")], resource.device
    given = check_list(resources, "resources", object, "resource")
    held = [Resource.of(each, f"resources[{index}]") for index, each in enumerate(given)]
    device = given[0].device
    for index, each in enumerate(given):
        if each.device != device:
            raise BadArgumentError(f"resources[{index}]: got one of {each.device!r}, expected one of {device!r}")
    return held, device
