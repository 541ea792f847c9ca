"""`MPSKeyedUnarchiver`: a layer out of an archive, whichever class of layer it is."""

from __future__ import annotations

import reprlib
from collections.abc import Collection
from typing import Any

import numpy as np

from .archive import archived_class
from .arguments import Buffer, buffer_view, instance_of
from .device import MTLDevice
from .errors import BadArgumentError, BadTypeError
from .image_layer import MPSRNNImageInferenceLayer
from .kernel import MPSKernel
from .matrix_layer import MPSRNNMatrixInferenceLayer
from .training_layer import MPSRNNMatrixTrainingLayer

__all__ = ["MPSKeyedUnarchiver"]

_LAYERS: tuple[type[MPSKernel], ...] = (
    MPSRNNImageInferenceLayer,
    MPSRNNMatrixInferenceLayer,
    MPSRNNMatrixTrainingLayer,
)

_ROOT_KEY = "root"


class MPSKeyedUnarchiver:
    """Reads archives of layers, such as `to_bytes` makes, for a device.

    Parameters
    ----------
    for_reading_from
        The bytes of an archive, of any origin: nothing in them is executed.
    device
        Where the layer will run.

    Raises
    ------
    BadArgumentError
        If the bytes are no archive of a layer.
    """

    def __init__(self, for_reading_from: Buffer, device: MTLDevice) -> None:
        self._device = instance_of(device, "device", MTLDevice)
        # A copy, which the caller cannot change between now and the reading of it.
        self._data = buffer_view(for_reading_from, "for_reading_from", np.uint8).tobytes()
        self._class = _layer_class(archived_class(self._data))

    def mps_mtl_device(self) -> MTLDevice:
        """Get the device for which the archive is read."""
        return self._device

    def decode_object(self, of: type | Collection[type], for_key: str = _ROOT_KEY) -> Any:
        """Read the layer.

        Parameters
        ----------
        of
            The class to expect, or several; a base class stands for all that derive from it.
        for_key
            Which object; an archive of a layer has one, the root.

        Returns
        -------
        The layer, or None if there is nothing under that key.
        """
        classes = _classes(of, "of")
        if instance_of(for_key, "for_key", str) != _ROOT_KEY:
            return None
        if not issubclass(self._class, classes):
            raise BadArgumentError(f"data: got an archive of {self._class.__name__}, expected one of {_named(classes)}")
        return self._class.from_bytes(self._data, self._device)

    @classmethod
    def unarchived_object(
        cls,
        of: type | None = None,
        from_: Buffer | None = None,
        device: MTLDevice | None = None,
        *,
        of_classes: Collection[type] | None = None,
    ) -> Any:
        """Read a layer.

        Parameters
        ----------
        of
            The class of layer to expect, or a base class of it.
        from_
            The bytes of an archive, of any origin.
        device
            Where the layer runs.
        of_classes
            Several classes, in place of `of`; which of them it is, the archive says.

        Raises
        ------
        BadArgumentError
            If the bytes are no archive of such a layer.
        """
        if (of is None) == (of_classes is None):
            raise BadTypeError("of: got neither or both of of and of_classes, expected one of them")
        if from_ is None or device is None:
            missing = "from_" if from_ is None else "device"
            raise BadTypeError(f"{missing}: got None, expected {'bytes' if from_ is None else 'an MTLDevice'}")
        expected = _classes(of, "of") if of_classes is None else _classes(of_classes, "of_classes")
        return cls(from_, device).decode_object(expected)


def _layer_class(name: str) -> type[MPSKernel]:
    for layer in _LAYERS:
        if layer.__name__ == name:
            return layer
    raise BadArgumentError(f"data: got an archive of {reprlib.repr(name)}, expected one of {_named(_LAYERS)}")


def _classes(value: object, name: str) -> tuple[type, ...]:
    """Check classes of layers, one or several."""
    classes = (value,) if isinstance(value, type) else value
    if not isinstance(classes, (tuple, list, set, frozenset)) or not all(isinstance(cls, type) for cls in classes):
        raise BadTypeError(f"{name}: got {value!r}, expected a class of layers or several")
    if not classes:
        raise BadArgumentError(f"{name}: got no class, expected at least one")
    for cls in classes:
        if not any(issubclass(layer, cls) for layer in _LAYERS):
            raise BadArgumentError(f"{name}: got {cls.__name__}, expected {_named(_LAYERS)}, or a base of theirs")
    return tuple(classes)


def _named(classes: Collection[type]) -> str:
    return ", ".join(sorted(cls.__name__ for cls in classes))
