"""Types of `image_access.pyx`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .enums import MPSImageFeatureChannelFormat

__all__ = ["as_pixels"]

def as_pixels(
    array: object, name: str, ranks: Sequence[int], formats: Sequence[MPSImageFeatureChannelFormat] = ...
) -> npt.NDArray[np.generic]: ...
