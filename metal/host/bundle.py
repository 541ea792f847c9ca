"""One self-contained text out of a .metal file and the local headers it includes."""

from __future__ import annotations

import re
from pathlib import Path

from .lexer import Token, directive_words, tokenize

_LOCAL_INCLUDE = re.compile(r'#\s*include\s+"([^"]+)"')


def bundle(path: str | Path) -> str:
    """Return the text of the .metal file at `path` with its local headers in place of their #include lines.

    The first #include of a header is replaced by its text, later ones by an empty line. `#line` directives name the
    files relative to the folder of `path`, so the result is the same wherever the sources lie. This text is what the
    shim hands to Metal and, to the byte, what the portable device recognises.

    Raises
    ------
    SourceError : a header is not there, is outside the folder, or is included inside an #if
    """
    path = Path(path).resolve()
    included: set[Path] = {path}
    return "".join(_inline(path, path.parent, included))


def _inline(path: Path, root: Path, included: set[Path]) -> list[str]:
    name = path.relative_to(root).as_posix()
    pieces = [f'#line 1 "{name}"\n']
    open_conditionals = 0
    for token in tokenize(_read(path), name):
        if token.directive in ("if", "ifdef", "ifndef"):
            open_conditionals += 1
        elif token.directive == "endif":
            open_conditionals -= 1
        elif token.directive == "line":
            raise token.error("#line is written by the bundler, not by hand")
        elif token.directive == "pragma" and directive_words(token)[1:] == ["once"]:
            continue  # every header comes once anyway, and Metal warns about the pragma in a main file
        local = _LOCAL_INCLUDE.match(token.text) if token.kind == "directive" else None
        if local is None:
            pieces.append(token.text)
            continue
        if open_conditionals > _guard_depth(path):
            raise token.error("a local #include inside a preprocessor conditional is not understood")
        header = _find_header(token, local[1], path, root)
        if header not in included:
            included.add(header)
            pieces += _inline(header, root, included)
            pieces.append(f'#line {token.line} "{name}"\n')
    return pieces


def _read(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text if text.endswith("\n") else text + "\n"


def _guard_depth(path: Path) -> int:
    """1 when the file opens with an include guard, inside which everything stands, else 0."""
    directives = [directive_words(token) for token in tokenize(_read(path), path.name) if token.kind == "directive"]
    if len(directives) < 2 or directives[0][0] != "ifndef":
        return 0
    return 1 if directives[1] == ["define", directives[0][1]] else 0


def _find_header(include: Token, name: str, includer: Path, root: Path) -> Path:
    header = (includer.parent / name).resolve()
    if not header.is_relative_to(root):
        raise include.error(f'#include "{name}" leaves the folder of the kernel file')
    if not header.is_file():
        raise include.error(f'#include "{name}": no such file beside {includer.name}')
    return header
