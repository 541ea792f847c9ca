"""The command line: ``python -m mpsrnn_cy info`` and ``python -m mpsrnn_cy demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mpsrnn_cy as mps


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    status: int = options.command(options)
    return status


def _info(options: argparse.Namespace) -> int:
    """Print what is installed and what it runs on."""
    print(f"mpsrnn_cy {mps.__version__}")
    for device in mps.MTLCopyAllDevices():
        print(f"device: {device.name}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    """Forecast moving digits; succeed if the forecast is better than assuming that nothing moves."""
    try:
        from .demo.run import run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith(__package__):
            raise
        print(f"The demonstration needs {missing.name}: pip install 'mpsrnn_cy[demo]'", file=sys.stderr)
        return 2
    return 0 if run(options.output, options.sequences, options.seed) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mpsrnn_cy", description="Recurrent layers over images.")
    commands = parser.add_subparsers(title="commands", required=True)

    info = commands.add_parser("info", help="print the version and the devices")
    info.set_defaults(command=_info)

    demo = commands.add_parser(
        "demo",
        help="forecast moving handwritten digits",
        description="Observe ten frames of moving handwritten digits, forecast the next ten, compare with the truth.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR", help="folder for the pictures")
    demo.add_argument("--sequences", type=_positive, default=16, metavar="N", help="how many sequences to forecast")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="which sequences to draw")
    demo.set_defaults(command=_demo)
    return parser


def _positive(text: str) -> int:
    """Read a whole number from 1 up."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, not {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
