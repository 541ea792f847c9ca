"""Metal's standard library as far as kernels may use it: the names of its functions, and what is not there yet."""

from __future__ import annotations

import re

_FUNCTION_NAMES = """
    abs all any as_type ceil clamp copysign dot exp exp2 fabs floor fma fmax fmin fract isfinite isinf isnan log log2
    max min mix pow powr rint rsqrt select sign sqrt step tanh threadgroup_barrier trunc
"""

# Both preludes declare exactly these. A kernel source must not reuse the names: its own functions become members of a
# class, and a member hides every overload of a library function.
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())

# Of these there is one of each name in the namespaces precise and fast.
PRECISE_FUNCTIONS = frozenset(("exp", "exp2", "log", "log2", "pow", "powr", "rsqrt", "sqrt", "tanh"))

_REASONS = {
    "it does not exist in Metal": "asm|catch|delete|double|dynamic_cast|goto|new|thread_local|throw|try|typeid|virtual",
    "names that begin so are the translation's own": r"(msl|MSL)_\w+",
    "it is not supported": "extern|friend|mutable|register|volatile|is_function_constant_defined",
    "only kernels are supported": "vertex|fragment",
    "image blocks are not supported": "threadgroup_imageblock|mem_threadgroup_imageblock",
    "simdgroups are not supported": r"(simd|quad|simdgroups?)_\w+|(thread_index_in|threads_per)_simdgroup",
    "atomics are not supported": r"atomic\w*",
    "sampling is not supported": "sampler",
    "this kind of texture is not supported": r"texture(1d|3d|cube|2d_ms|_buffer)\w*|depth(2d|cube)\w*",
}
_UNSUPPORTED = [(re.compile(pattern), reason) for reason, pattern in _REASONS.items()]


def why_unsupported(name: str) -> str | None:
    """Why a source must not use a name, or None when it may."""
    for pattern, reason in _UNSUPPORTED:
        if pattern.fullmatch(name):
            return reason
    return None
