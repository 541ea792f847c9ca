"""One way to run a workload: a library, set up and ready to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What the package's own contenders give as their library.
OURS = "mpsrnn_cy"


@dataclass(frozen=True)
class Contender:
    """A library with its model built and its inputs in place.

    Attributes
    ----------
    library : as bars and tables name it
    variant : which of several ways this is; empty where there is one
    version : the library's
    run : runs the whole sequence once, and returns when the outputs are there
    outputs : what the last run made, with the axes of the workload's data
    reduced : whether it computes in less than float32
    reset_after : whether its GRU is the one with the reset after the product
    call : how the variant is called, where there is more than one way; of one variant the fastest counts
    """

    library: str
    variant: str
    version: str
    run: Callable[[], object]
    outputs: Callable[[], NDArray[np.floating]]
    reduced: bool = False
    reset_after: bool = False
    call: str = ""

    @property
    def label(self) -> str:
        return f"{self.library} ({self.kind})" if self.kind else self.library

    @property
    def kind(self) -> str:
        """The variant, and how it is called."""
        return ", ".join(filter(None, [self.variant, self.call]))

    @property
    def is_ours(self) -> bool:
        return self.library == OURS
