"""Metal's standard library as far as kernels may use it: the names of its functions, and what is not there yet."""

from __future__ import annotations

import re

_FUNCTION_NAMES = """
    abs all any as_type ceil clamp copysign dot exp exp2 fabs floor fma fmax fmin fract isfinite isinf isnan log log2
    max min mix pow powr rint rsqrt select sign sqrt step tanh trunc
"""

# Both preludes declare exactly these. A kernel source must not reuse the names: its own functions become members of a
# class, and a member hides every overload of a library function.
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())

# Of these there is one of each name in the namespaces precise and fast.
PRECISE_FUNCTIONS = frozenset(("exp", "exp2", "log", "log2", "pow", "powr", "rsqrt", "sqrt", "tanh"))

_UNSUPPORTED = {
    r"asm|catch|dynamic_cast|new|throw|try|typeid|delete|double|goto|thread_local|virtual": "what Metal leaves out",
    r"extern|friend|mutable|register|volatile": "this word",
    r"vertex|fragment": "other functions than kernels",
    r"(threadgroup|simdgroup)_barrier": "barriers",
    r"threadgroup|threadgroup_imageblock": "threadgroup memory",
    r"(simd|quad)_\w+|simdgroup_\w+|(thread_index_in|threads_per)_simdgroup|simdgroups_\w+": "simdgroups",
    r"atomic\w*": "atomics",
    r"sampler": "samplers",
    r"texture1d\w*|texture3d|texturecube\w*|texture2d_ms\w*|texture_buffer|depth(2d|cube)\w*": "this kind of texture",
    r"is_function_constant_defined": "optional function constants",
}
_UNSUPPORTED_NAMES = [(re.compile(pattern), what) for pattern, what in _UNSUPPORTED.items()]


def why_unsupported(name: str) -> str | None:
    """What a name stands for that Metal does not have or the CPU build does not offer, or None."""
    for pattern, what in _UNSUPPORTED_NAMES:
        if pattern.fullmatch(name):
            return what
    return None
