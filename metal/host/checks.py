"""Rules about a whole source that no single declaration shows: unsupported names, hidden names, recursion."""

from __future__ import annotations

from collections import Counter

from .cursor import Cursor
from .declarations import Source, Span
from .lexer import SourceError, Token, macro_tokens
from .library import FUNCTIONS, why_unsupported

# Words that begin a statement and are not the name of a type.
_STATEMENT_WORDS = frozenset(
    ("return", "case", "else", "do", "if", "for", "while", "switch", "break", "continue", "default", "sizeof")
)


def check(source: Source) -> None:
    """Raise SourceError for the first thing in `source` that cannot be built."""
    _check_names(source)
    _check_hidden_functions(source)
    _check_bodies(source)
    _check_variables(source)
    _check_recursion(source)


def functions_using(source: Source, names: set[str]) -> set[str]:
    """Names of the functions that mention one of `names`, or a function that does, to any depth."""
    words: dict[str, set[str]] = {}
    for function in source.functions:
        words.setdefault(function.name, set()).update(_words(source, function.body))
    users: set[str] = set()
    while True:
        more = {name for name, mentioned in words.items() if mentioned & (names | users)} - users
        if not more:
            return users
        users |= more


def _words(source: Source, span: Span) -> set[str]:
    """Identifiers in a span, those of the macros it uses included."""
    return expanded_words(source, *(source.token(index).text for index in span if source.token(index).kind == "word"))


def expanded_words(source: Source, *words: str) -> set[str]:
    """Identifiers, and those of the macros that they are."""
    found: set[str] = set()
    waiting = list(words)
    while waiting:
        word = waiting.pop()
        if word not in found:
            found.add(word)
            waiting += [token.text for token in source.macros.get(word, []) if token.kind == "word"]
    return found


def _check_names(source: Source) -> None:
    for index in source.code:
        token = source.tokens[index]
        inner: list[Token] = [token]
        if token.kind == "directive":
            inner = list(macro_tokens(token)) if token.directive == "define" else []
        for word in inner:
            why = why_unsupported(word.text) if word.kind == "word" else None
            if why:
                raise word.error(f"'{word.text}': {why}")


def _check_hidden_functions(source: Source) -> None:
    for function in source.functions:
        if function.name in FUNCTIONS:
            raise function.name_token.error(f"'{function.name}' would hide Metal's function of this name; rename it")


def _check_bodies(source: Source) -> None:
    kernels = {kernel.name for kernel in source.kernels}
    for function in source.functions:
        for index in function.body:
            token = source.token(index)
            if token.text == "static":
                raise token.error(f"'static' in '{function.name}': threads have no variables in common")
            if token.text == "[" and _starts_lambda(source, index):
                raise token.error("Metal has no lambda expressions")
            if token.text in kernels and source.token(index + 1).text in ("(", "<"):
                raise token.error(f"'{function.name}' calls the kernel '{token.text}'; only the host can")


def _starts_lambda(source: Source, bracket: int) -> bool:
    """Whether a '[' is neither a subscript, nor an array bound, nor part of an attribute."""
    before, after = source.token(bracket - 1), source.token(bracket + 1)
    if "[" in (before.text, after.text):
        return False
    is_name = before.kind == "word" and before.text not in _STATEMENT_WORDS
    return not is_name and before.text not in (")", "]")


def _check_variables(source: Source) -> None:
    """Reject `T *p = ...;` and `T &r = ...;` without an address space, as variables and as members of structs."""
    for position in range(1, len(source.code)):
        before = source.token(position - 1).text
        starts_statement = before in (";", "{", "}") or (before == "(" and source.token(position - 2).text == "for")
        if starts_statement and source.token(position).kind == "word":
            declared = _declares_pointer(Cursor(source, position))
            if declared:
                raise source.token(position).error(
                    f"'{declared}' is a pointer or reference without address space: "
                    f"device, constant, thread or threadgroup"
                )


def _declares_pointer(cursor: Cursor) -> str | None:
    """The name that a statement `const T *name =` declares, None for other statements."""
    try:
        while cursor.text() == "const":
            cursor.position += 1
        if cursor.text() in _STATEMENT_WORDS or cursor.at_address_space():
            return None
        cursor.type_name()
    except SourceError:
        return None
    while cursor.text() == "const":
        cursor.position += 1
    if cursor.text() not in ("*", "&", "&&"):
        return None
    while cursor.text() in ("*", "&", "&&", "const"):
        cursor.position += 1
    return cursor.text() if cursor.token().kind == "word" and cursor.text(1) in ("=", ";", ",", "[", "{") else None


def _check_recursion(source: Source) -> None:
    """Reject what Metal cannot call. Overloads are told apart by types, which are not known here, so they pass."""
    counts = Counter(function.name for function in source.functions)
    once = {name for name, count in counts.items() if count == 1}
    for function in source.functions:
        if function.name in once and function.name in functions_using(source, {function.name}) & once:
            raise function.name_token.error(f"'{function.name}' calls itself, directly or not; Metal has no recursion")
