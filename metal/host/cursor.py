"""A position in the code tokens of a source, and the few ways of moving it that a parser of declarations needs."""

from __future__ import annotations

from .declarations import ADDRESS_SPACES, AddressSpaceType, Source, Span
from .lexer import SourceError, Token

_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
_QUALIFIERS = ("const", "volatile")
_ARITHMETIC_WORDS = frozenset({"unsigned", "signed", "char", "short", "int", "long"})


class Cursor:
    """Where a parser stands; every step that cannot be taken raises SourceError."""

    def __init__(self, source: Source, position: int = 0, end: int | None = None) -> None:
        self.source = source
        self.position = position
        self.end = len(source.code) if end is None else end

    @property
    def at_end(self) -> bool:
        return self.position >= self.end

    def token(self, ahead: int = 0) -> Token:
        """The token here or `ahead` of here; past the end an empty one, which equals nothing a parser looks for."""
        index = self.position + ahead
        if 0 <= index < self.end:
            return self.source.token(index)
        last = self.source.token(self.end - 1)
        return Token("end", "", last.file, last.line)

    def text(self, ahead: int = 0) -> str:
        return self.token(ahead).text

    def error(self, message: str) -> SourceError:
        return self.token().error(message)

    def expect(self, *texts: str) -> None:
        """Step over tokens that must be these."""
        for text in texts:
            if self.text() != text:
                raise self.error(f"expected '{text}', got '{self.text()}'")
            self.position += 1

    def word(self, what: str) -> str:
        if self.token().kind != "word":
            raise self.error(f"expected {what}, got '{self.text()}'")
        self.position += 1
        return self.text(-1)

    def brackets(self) -> Span:
        """Step over a bracketed group and return what is inside.

        Inside < > only brackets count; a comparison in a template argument has to be parenthesised, as `>` in C++ has.
        """
        opening = self.token()
        stack = [_CLOSING[opening.text]]
        start = self.position + 1
        while stack:
            self.position += 1
            text = self.text()
            if self.at_end:
                raise opening.error(f"'{opening.text}' is never closed")
            if text == stack[-1]:
                stack.pop()
            elif text in "([{" or (text == "<" and stack[-1] == ">"):
                stack.append(_CLOSING[text])
            elif text in ")]}":
                raise self.error(
                    f"'{text}' where '{stack[-1]}' for the '{opening.text}' on line {opening.line} belongs"
                )
        self.position += 1
        return Span(start, self.position - 1)

    def skip_to(self, *texts: str) -> None:
        """Step to the next of `texts` that is not inside round, square or curly brackets."""
        start = self.token()
        while self.text() not in texts:
            if self.at_end:
                raise start.error(f"expected one of {' '.join(texts)} after '{start.text}'")
            if self.text() in ("(", "[", "{"):
                self.brackets()
            else:
                self.position += 1

    def at_attribute(self) -> bool:
        return self.text() == "[" and self.text(1) == "["

    def type_name(self) -> Span:
        """Step over the name of a type without qualifiers: `unsigned int`, `metal::vec<T, 4>`, `struct x`."""
        start = self.position
        if self.text() in ("struct", "typename"):
            self.position += 1
        if self.text() in _ARITHMETIC_WORDS:
            while self.text() in _ARITHMETIC_WORDS:
                self.position += 1
            return Span(start, self.position)
        while True:
            self.word("the name of a type")
            if self.text() == "<":
                self.brackets()
            if self.text() != "::":
                return Span(start, self.position)
            self.position += 1

    def at_address_space(self) -> bool:
        ahead = 0
        while self.text(ahead) in _QUALIFIERS:
            ahead += 1
        return self.text(ahead) in ADDRESS_SPACES

    def address_space_type(self) -> AddressSpaceType:
        """Step over `device const T` or `const device T`, up to its `*` or `&`."""
        start = self.position
        is_const = self._qualifiers()
        space = self.word("an address space")
        is_const = self._qualifiers() or is_const
        type_span = self.type_name()
        is_const = self._qualifiers() or is_const
        if self.text() not in ("*", "&"):
            raise self.error(
                f"expected '*' or '&' after '{space} {self.source.text(type_span)}', got '{self.text()}': "
                f"only pointers, references and file-scope constants have an address space"
            )
        if self.source.text(type_span) == "auto":
            raise self.error(f"'{space} auto' is not understood; write the type")
        return AddressSpaceType(
            space, is_const or space == "constant", Span(start, self.position), type_span, self.text()
        )

    def _qualifiers(self) -> bool:
        is_const = False
        while self.text() in _QUALIFIERS:
            if self.text() == "volatile":
                raise self.error("'volatile' is not understood")
            is_const = True
            self.position += 1
        return is_const
