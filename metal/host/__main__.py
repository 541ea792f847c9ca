"""Command line: `python metal/host lint FILE...`, `... bundle FILE`, `... translate FILE VARIANT`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from host import VARIANTS, SourceError, bundle, clang_lint, translate


def main() -> int:
    """Run one command; the texts go to standard output, messages about the sources to standard error."""
    parser = argparse.ArgumentParser(
        prog="metal/host", description="How a .metal file is built without Apple's compiler."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    lint_command = commands.add_parser("lint", help="check kernel files with clang")
    lint_command.add_argument("files", nargs="+")
    bundle_command = commands.add_parser("bundle", help="print a kernel file with its headers inlined")
    bundle_command.add_argument("file")
    translate_command = commands.add_parser("translate", help="print a kernel file as C++ for the CPU")
    translate_command.add_argument("file")
    translate_command.add_argument("variant", choices=VARIANTS)
    arguments = parser.parse_args()
    if arguments.command == "lint":
        return clang_lint.main(arguments.files)
    try:
        text = bundle(arguments.file)
        if arguments.command == "translate":
            text = translate(text, Path(arguments.file).stem, arguments.variant)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
