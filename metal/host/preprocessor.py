"""What the preprocessor lines of a source mean for its translation.

The lines themselves are left to the C++ compiler. The translation has to know the values of macros that are used as
binding indices, and which declarations stand inside a conditional: those may not be there at all.
"""

from __future__ import annotations

from .declarations import Source
from .lexer import Token, directive_words, macro_tokens

_CONDITIONS = ("if", "ifdef", "ifndef")
_PASSED_ON = frozenset((*_CONDITIONS, "elif", "else", "endif", "define", "undef", "error", "line"))


def read_directives(source: Source) -> None:
    """Fill `macros`, `uncertain_macros` and `conditional` of a source; reject lines that are not understood."""
    conditionals: list[bool] = []  # of each open #if, whether it is more than an include guard
    for index in range(len(source.code)):
        token = source.token(index)
        if token.kind == "directive":
            _check(token, bool(conditionals))
            if token.directive in _CONDITIONS:
                conditionals.append(not _is_include_guard(source, index))
            elif token.directive in ("elif", "else", "endif") and not conditionals:
                raise token.error(f"#{token.directive} without #if")
            elif token.directive == "endif":
                conditionals.pop()
            elif token.directive in ("define", "undef"):
                _macro(source, token, any(conditionals))
        source.conditional.append(any(conditionals))
    if conditionals:
        raise source.tokens[-1].error("#if without #endif")


def _check(token: Token, in_conditional: bool) -> None:
    words = directive_words(token)
    if token.directive == "include":
        # A system header is for the other readers of a shared header, behind #ifndef __METAL_VERSION__.
        if not (words[1:] and words[1].startswith("<") and (in_conditional or words[1].startswith("<metal_"))):
            raise token.error(
                f"'{token.text.strip()}': only <metal_...> can be included; local headers are inlined by the bundler"
            )
    elif token.directive == "pragma":
        if words[1:] != ["unroll"]:
            raise token.error(f"'{token.text.strip()}' is not understood; known is #pragma unroll")
    elif token.directive not in _PASSED_ON:
        raise token.error(f"#{token.directive} is not understood")


def _is_include_guard(source: Source, index: int) -> bool:
    if index + 1 == len(source.code):
        return False
    condition, definition = directive_words(source.token(index)), source.token(index + 1)
    return (
        condition[0] == "ifndef"
        and definition.directive == "define"
        and directive_words(definition) == ["define", *condition[1:]]
    )


def _macro(source: Source, token: Token, is_conditional: bool) -> None:
    words = directive_words(token)
    name = words[1].split("(")[0] if words[1:] else ""
    if not name.isidentifier():
        raise token.error(f"#{token.directive} without a name")
    if is_conditional or name in source.macros or token.directive == "undef":
        source.uncertain_macros.add(name)
    if token.directive == "define":
        definition = [word for word in macro_tokens(token) if word.is_code]
        source.macros[name] = source.macros.get(name, []) + definition[3:]  # after '#', 'define' and the name
