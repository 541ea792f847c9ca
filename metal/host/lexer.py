"""Tokens of Metal Shading Language, each with the file and line it was written on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


class SourceError(Exception):
    """A kernel source that cannot be translated.

    Parameters
    ----------
    file, line : where the offending text stands, file relative to the kernels' folder
    message : what is wrong, and what would be understood instead
    """

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file = file
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Token:
    """One token; `kind` is space, comment, directive, word, number, string or punctuation."""

    kind: str
    text: str
    file: str
    line: int

    @property
    def is_code(self) -> bool:
        return self.kind not in ("space", "comment")

    @property
    def directive(self) -> str:
        """The name of a directive, such as define; empty for other tokens and for a lone '#'."""
        words = directive_words(self) if self.kind == "directive" else []
        return words[0] if words else ""

    def error(self, message: str) -> SourceError:
        return SourceError(self.file, self.line, message)


# `>>` and `]]` come out as two tokens, because they may close two template lists or two brackets.
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<number>\.?[0-9](?:[eEpP][+-]|[\w.])*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<punctuation>::|->|<<=?|[-+*/%&|^!=<>]=|&&|\|\||\+\+|--|[][{}()<>;:,.=+\-*/%&|^!~?])
    """,
    re.S | re.X,
)
_DIRECTIVE_END = re.compile(r"(?<!\\)\n")
_LINE_DIRECTIVE = re.compile(r'#\s*line\s+(\d+)\s+"([^"]+)"\s*$')


def tokenize(text: str, file: str) -> list[Token]:
    """Split `text` into tokens whose texts joined are `text` again.

    A preprocessor directive is one token, with its continuation lines. `#line` directives are obeyed, so that positions
    are those of the files a bundle was made of.
    """
    tokens = []
    position = 0
    line = 1
    at_line_start = True
    while position < len(text):
        kind, value = _next_token(text, position, at_line_start, file, line)
        tokens.append(Token(kind, value, file, line))
        position += len(value)
        line += value.count("\n")
        if kind == "directive":
            renumbered = _LINE_DIRECTIVE.match(value)
            if renumbered:
                line = int(renumbered[1]) - 1  # the directive's own line end still counts
                file = renumbered[2]
        if "\n" in value:
            at_line_start = value.endswith("\n") or kind == "space"
        elif kind not in ("space", "comment"):
            at_line_start = False
    return tokens


def _next_token(text: str, position: int, at_line_start: bool, file: str, line: int) -> tuple[str, str]:
    if text[position] == "#":
        if not at_line_start:
            raise SourceError(file, line, "'#' in the middle of a line")
        end = _DIRECTIVE_END.search(text, position)
        value = text[position : end.start()] if end else text[position:]
        without_strings = re.sub(r'"[^"\n]*"', "", value)
        if "/*" in without_strings.split("//")[0]:
            raise SourceError(file, line, "a /* comment in a preprocessor line is not understood; use //")
        return "directive", value
    match = _TOKEN.match(text, position)
    if match is None or match.lastgroup is None:
        raise SourceError(file, line, f"character {text[position]!r} is not understood")
    return match.lastgroup, match[0]


def directive_words(directive: Token) -> list[str]:
    """The words of a directive without '#' and comments: `# define A 3 // b` gives ['define', 'A', '3']."""
    without_comment = re.sub(r"//[^\n]*", "", directive.text.replace("\\\n", " "))
    return without_comment[1:].split()


def macro_tokens(define: Token) -> Iterator[Token]:
    """The tokens of a #define directive, its '#' and the backslashes before its line ends as punctuation."""
    position = 0
    line = define.line
    while position < len(define.text):
        if define.text[position] in "#\\":
            token = Token("punctuation", define.text[position], define.file, line)
        else:
            kind, value = _next_token(define.text, position, False, define.file, line)
            token = Token(kind, value, define.file, line)
        yield token
        position += len(token.text)
        line += token.text.count("\n")
