"""Numbers: Metal has no double, so a floating literal without suffix is a float; `h` makes a half."""

from __future__ import annotations

import re

from .lexer import Token

_DECIMAL = r"(?!0[xX])(?=[\d.]*[.eE])[\d.]+(?:[eE][+-]?\d+)?"
_FLOATING = re.compile(rf"{_DECIMAL}|0[xX][\da-fA-F.]+[pP][+-]?\d+")
_HALF = re.compile(rf"({_DECIMAL}|\d+)[hH]")
_LONG_DOUBLE = re.compile(rf"{_DECIMAL}[lL]")


def with_suffix(token: Token) -> str:
    """The number with an `f` where Metal means one."""
    if _LONG_DOUBLE.fullmatch(token.text):
        raise token.error(f"the literal {token.text}: Metal has no long double")
    return f"{token.text}f" if _FLOATING.fullmatch(token.text) else token.text


def in_cxx(token: Token) -> str:
    """The same for a language without a literal for half."""
    half = _HALF.fullmatch(token.text)
    if half is None:
        return with_suffix(token)
    return f"half({half[1] if _FLOATING.fullmatch(half[1]) else f'{half[1]}.'}f)"
