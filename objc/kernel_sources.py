"""Writes what the native part is made of besides its own sources: the kernels' text and, off the Mac, their C++."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from incremental import BuildError, write_if_changed


def write_kernel_sources(metal: Path, folder: Path, variants: Sequence[str]) -> dict[Path, str | None]:
    """Generate the C and C++ files of every ``metal/*.metal``.

    Parameters
    ----------
    metal
        The folder of the kernels and of ``host``, the translator.
    folder
        Where to write; files that would not change are left alone.
    variants
        The variants to translate each kernel for; with none, as for Apple's Metal, only the text is written.

    Returns
    -------
    dict
        The path of each file, and the variant it is for; None for those that serve all.

    Raises
    ------
    BuildError
        A kernel has something that the translator does not understand.
    """
    sys.path.insert(0, str(metal.resolve()))
    import host

    try:
        texts = {path.stem: host.bundle(path) for path in sorted(metal.glob("*.metal"))}
        programs = {
            (stem, variant): host.translate(text, stem, variant) for stem, text in texts.items() for variant in variants
        }
    except host.SourceError as error:
        raise BuildError(str(error)) from error
    files: dict[Path, str | None] = {folder / "kernel_sources.c": None}
    write_if_changed(folder / "kernel_sources.c", _sources_file(texts))
    if programs:
        files[folder / "kernel_registry.c"] = None
        write_if_changed(folder / "kernel_registry.c", _registry_file(list(texts), variants))
    for (stem, variant), program in programs.items():
        files[folder / f"{stem}_{variant}.cpp"] = variant
        write_if_changed(folder / f"{stem}_{variant}.cpp", program)
    return files


def write_twin_sources(folder: Path, instruction_sets: Sequence[str]) -> dict[Path, str | None]:
    """Generate the files that build the tuned twins, and the list of their tables.

    Parameters
    ----------
    folder
        Where to write; files that would not change are left alone.
    instruction_sets
        Those that the machine has twins for, as MPSRNN_ISA names them.

    Returns
    -------
    dict
        The path of each file, and the instruction set it is for; None for the list.
    """
    tables = {isa: f"msl_twins_{isa.replace('-', '_')}" for isa in instruction_sets}
    files: dict[Path, str | None] = {folder / "twin_registry.c": None}
    lines = ['#include "twin.h"', *(f"extern const struct msl_twin {table}[];" for table in tables.values())]
    entries = "".join(f'{{"{isa}", {table}}}, ' for isa, table in tables.items())
    lines += [f"const struct msl_twin_table msl_twin_tables[] = {{{entries}{{NULL, NULL}}}};", ""]
    write_if_changed(folder / "twin_registry.c", "\n".join(lines))
    for isa, table in tables.items():
        source = folder / f"{table}.cpp"
        files[source] = isa
        write_if_changed(source, f'#define TWIN_TABLE {table}\n#include "twins.cpp"\n')
    return files


def _sources_file(texts: dict[str, str]) -> str:
    """The text of each kernel as one string, to the byte as Apple's compiler or the portable device shall see it."""
    arrays = [f"const char mpsrnn_metal_{stem}[] =\n{_c_string(text)};\n" for stem, text in texts.items()]
    return "\n".join(arrays)


def _registry_file(stems: Sequence[str], variants: Sequence[str]) -> str:
    """The list of libraries that `msl_program.h` declares."""
    lines = ['#include "msl_program.h"']
    for stem in stems:
        lines += ["", f"extern const char mpsrnn_metal_{stem}[];"]
        lines += [f"extern const struct msl_program msl_program_{stem}_{variant};" for variant in variants]
        lines += [f"static const struct msl_library {stem} = {{", f"    .source = mpsrnn_metal_{stem},"]
        lines += [f"    .{variant} = &msl_program_{stem}_{variant}," for variant in variants]
        lines += ["};"]
    libraries = "".join(f"&{stem}, " for stem in stems)
    lines += ["", f"const struct msl_library *const msl_libraries[] = {{{libraries}NULL}};", ""]
    return "\n".join(lines)


def _c_string(text: str) -> str:
    """`text` as C string literals, one per line; a question mark is escaped for the sake of trigraphs."""
    lines = text.split("\n")
    literals = [f'"{_escape(line)}\\n"' for line in lines[:-1]]
    return "\n".join([*literals, f'"{_escape(lines[-1])}"'])


def _escape(line: str) -> str:
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\?' else f"\\{byte:03o}" for byte in line.encode()
    )
