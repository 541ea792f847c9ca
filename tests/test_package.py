"""What is in a package, and that it builds and runs where there is nothing but Python and a C compiler."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from source_tree import MODULES, ROOT, run, shared_object

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "darwin", reason="the sources of a Linux build")]

# A C compiler as most machines have it: told to compile Objective-C, it fails.
ONLY_C = """#!/bin/sh
for argument; do
    case "$argument" in *.m) echo "cc1obj: no such program" >&2; exit 1;; esac
done
exec {compiler} "$@"
"""

# Another package, compiled against what this one installs.
CONSUMER = """
from mpsrnn_cy cimport native
from mpsrnn_cy.device cimport api

def live_handles():
    return api.live_handle_count()
"""


def defined(*options: str, path: Path) -> set[str]:
    lines = run("nm", "--defined-only", *options, path, cwd=path.parent).splitlines()
    return {line.split()[-1] for line in lines if len(line.split()) == 3}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_exports_its_init_function_alone(built: Path, module: str) -> None:
    assert defined("-D", path=shared_object(built, module)) == {f"PyInit_{module}"}


def test_native_code_is_in_one_module(built: Path) -> None:
    (objects,) = built.glob("build/temp.*")
    native = set()
    for path in [*(objects / "objc").rglob("*.o"), *(objects / "kernels").glob("*.o")]:
        native |= defined("--extern-only", path=path)
    assert "msl_libraries" in native
    assert "mpsrnn_get_api" in native
    for module in MODULES:
        found = native & defined(path=shared_object(built, module))
        assert found == (native if module == "device" else set())


def test_an_object_of_kernels_defines_nothing_that_another_could_take(built: Path) -> None:
    # The linker keeps one copy of what several objects define alike, such as an inline function: were it the one for a
    # newer instruction set, an older processor would meet it in the baseline kernels too.
    objects = list(built.glob("build/temp.*/kernels/*.cpp.o"))
    assert objects
    for path in objects:
        name = path.name.removesuffix(".cpp.o")
        table = name if name.startswith("msl_twins_") else f"msl_program_{name}"
        assert defined("--extern-only", path=path) == {table}


def wheel_of(tree: Path, *options: str, **environment: str) -> Path:
    folder = tree.parent / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, *options, tree)
    run(*command, cwd=tree.parent, **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def names(wheel: Path) -> set[str]:
    """The files of a wheel, less its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_has_the_package_and_nothing_else(tree: Path) -> None:
    expected = {shared_object(tree, module).relative_to(tree).as_posix() for module in MODULES}
    for pattern in ("*.py", "*.pyi", "*.pxd", "*.safetensors", "py.typed"):
        found = {path.relative_to(tree).as_posix() for path in (tree / "mpsrnn_cy").rglob(pattern)}
        assert found, pattern
        expected |= found
    assert names(wheel_of(tree, "--no-build-isolation")) == expected | {"mpsrnn_cy/include/mpsrnn.h"}


def test_wheel_does_not_keep_a_removed_file(tree: Path) -> None:
    (tree / "mpsrnn_cy/gone.py").write_text("")
    assert "mpsrnn_cy/gone.py" in names(wheel_of(tree, "--no-build-isolation"))
    (tree / "mpsrnn_cy/gone.py").unlink()
    assert "mpsrnn_cy/gone.py" not in names(wheel_of(tree, "--no-build-isolation"))


@pytest.fixture(scope="session")
def sdist(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    make = "import sys; sys.path.insert(0, 'objc'); import build_backend; build_backend.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", make, folder, cwd=shutil.copytree(built, folder / "tree"))
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder)
    return folder / archive.name.removesuffix(".tar.gz")


def test_source_distribution_has_all_sources_and_no_output(sdist: Path, built: Path) -> None:
    def sources(folder: Path) -> set[str]:
        paths = (path for part in ("metal", "objc", "mpsrnn_cy") for path in (folder / part).rglob("*"))
        return {path.relative_to(folder).as_posix() for path in paths if path.is_file()}

    outputs = {name for name in sources(built) if name.endswith(".so") or "__pycache__" in name}
    assert sources(sdist) == sources(built) - outputs
    for name in ("LICENSE", "Makefile", "README.md", "pyproject.toml", "setup.py"):
        assert (sdist / name).read_bytes() == (built / name).read_bytes()


@pytest.fixture(scope="session")
def site(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it from source, with a build of its own, where no compiler knows Objective-C."""
    folder = tmp_path_factory.mktemp("site")
    programs = folder / "programs"
    programs.mkdir()
    for name in ("cc", "gcc", "clang"):
        (programs / name).write_text(ONLY_C.format(compiler=shutil.which("gcc") or shutil.which("cc")))
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CC": "gcc", "OBJC": ""}
    wheel = wheel_of(shutil.copytree(sdist, folder / "source"), **environment)
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", folder / "packages", wheel, cwd=folder)
    return folder / "packages"


def test_package_built_without_an_objective_c_compiler_runs(site: Path, tmp_path: Path) -> None:
    code = "import mpsrnn_cy; print(mpsrnn_cy.__file__, mpsrnn_cy.MTLCreateSystemDefaultDevice().name)"
    printed = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert printed.startswith(str(site / "mpsrnn_cy"))


def test_another_package_can_cimport_this_one(site: Path, tmp_path: Path) -> None:
    (tmp_path / "consumer.pyx").write_text(CONSUMER)
    (tmp_path / "setup.py").write_text(
        "import mpsrnn_cy\n"
        "from Cython.Build import cythonize\n"
        "from setuptools import Extension, setup\n"
        "extension = Extension('consumer', ['consumer.pyx'], include_dirs=[mpsrnn_cy.get_include()])\n"
        f"setup(ext_modules=cythonize([extension], include_path=[{str(site)!r}]))\n"
    )
    run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=tmp_path, PYTHONPATH=str(site))
    code = "import consumer; print(consumer.live_handles())"
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=f"{site}{os.pathsep}{tmp_path}") == "0\n"


def test_build_requirements_are_the_same_with_and_without_isolation() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    group = set(project["dependency-groups"]["build"])
    assert group == {*project["build-system"]["requires"], "ziglang; sys_platform == 'linux'"}
