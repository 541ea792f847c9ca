"""Apple's names, one by one, and what the package has for each: the source of docs/coverage.md and of its test."""

from .cells import CELLS
from .entries import UNSAID, AppleClass, AppleEnum, Constant, Function, Kind, Member
from .enumerations import ENUMS
from .functions import FUNCTIONS, OURS
from .images import IMAGES
from .layers import LAYERS
from .matrices import MATRICES
from .metal import METAL
from .states import STATES
from .weights import WEIGHTS

__all__ = [
    "CLASSES",
    "ENUMS",
    "FAMILIES",
    "FUNCTIONS",
    "OURS",
    "UNSAID",
    "AppleClass",
    "AppleEnum",
    "Constant",
    "Function",
    "Kind",
    "Member",
]

FAMILIES: dict[str, tuple[AppleClass, ...]] = {
    "Descriptors of recurrent layers": CELLS,
    "Neurons, convolutions, data sources": WEIGHTS,
    "Kernels": LAYERS,
    "States": STATES,
    "Images": IMAGES,
    "Matrices and vectors": MATRICES,
    "Metal": METAL,
}

CLASSES: dict[str, AppleClass] = {cls.name: cls for family in FAMILIES.values() for cls in family}
