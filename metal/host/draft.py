"""A source under edit: every token's replacement text, lines kept."""

from __future__ import annotations

from .declarations import Source, Span


class Draft:
    """`edits[i]` is what stands in place of token i of the source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.edits = [token.text for token in source.tokens]

    def text(self) -> str:
        return "".join(self.edits)

    def replace(self, span: Span, text: str) -> None:
        """Put `text` in place of a span of code tokens; what stood there, comments too, leaves its line ends."""
        first, last = self.source.code[span.start], self.source.code[span.stop - 1]
        for index in range(first, last + 1):
            self.edits[index] = "\n" * self.source.tokens[index].text.count("\n")
        self.edits[first] = text + self.edits[first]

    def replace_token(self, index: int, text: str) -> None:
        self.replace(Span(index, index + 1), text)

    def insert_before(self, index: int, text: str) -> None:
        position = self.source.code[index]
        self.edits[position] = text + self.edits[position]

    def is_untouched(self, index: int) -> bool:
        position = self.source.code[index]
        return self.edits[position] == self.source.tokens[position].text
