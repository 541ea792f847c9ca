"""How a .metal file is built without Apple's compiler: bundled, translated to C++ for the CPU, and linted."""

from .bundle import bundle
from .emit_cpu import VARIANTS, translate
from .emit_lint import lint
from .lexer import SourceError

__all__ = ["VARIANTS", "SourceError", "bundle", "lint", "translate"]
