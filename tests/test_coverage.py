"""The table of Apple's API in docs/coverage.md is up to date, and every line of it is true."""

from __future__ import annotations

import ast
import enum
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import mpsrnn_cy as mps
from census import CLASSES, ENUMS, FUNCTIONS, OURS, UNSAID, AppleClass, AppleEnum, Constant, Function, Kind, Member
from census.__main__ import PATH
from census.document import document
from census.naming import case, signature
from census.objects import OBJECTS

_EXISTING = {name: cls for name, cls in CLASSES.items() if cls.exists}
_PROPERTIES = (Kind.READ_WRITE, Kind.READ_ONLY)

# What Python's own bases bring along.
_BUILTIN = {name for cls in (object, tuple, enum.IntEnum, enum.IntFlag) for name in dir(cls)}


def _lines(*kinds: Kind) -> list[Any]:
    return [
        pytest.param(cls, member, id=f"{cls.name}.{member.python}-{index}")
        for cls in CLASSES.values()
        for index, member in enumerate(cls.members)
        if member.python and member.kind in kinds
    ]


def _implementation(cls: AppleClass) -> Any:
    """The class that has the members: of a protocol, the one that follows it."""
    return mps.ArrayDataSource if cls.name == "MPSCNNConvolutionDataSource" else getattr(mps, cls.name)


@cache
def _stub_classes(path: Path) -> dict[str, ast.ClassDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _constructor_parameters(cls: type) -> set[str]:
    """What a constructor takes; of a compiled class, whose signature Python does not know, by its stub."""
    stub = Path(mps.__file__).with_name(f"{cls.__module__.rpartition('.')[2]}.pyi")
    if not stub.exists():
        return set(inspect.signature(cls).parameters)
    found: set[str] = set()
    for function in _stub_classes(stub)[cls.__name__].body:
        if isinstance(function, ast.FunctionDef) and function.name in ("__new__", "__init__"):
            found |= {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
    return found


@pytest.mark.parametrize(
    ("swift", "python"),
    {
        "getRecurrentOutputImage(forLayerIndex:)": ("get_recurrent_output_image", ("for_layer_index",)),
        "cnnNeuronPReLUDescriptor(with:noCopy:)": ("cnn_neuron_prelu_descriptor", ("with_", "no_copy")),
        "unarchivedObject(of:from:device:)": ("unarchived_object", ("of", "from_", "device")),
        "readBytes(_ dataBytes:imageIndex:)": ("read_bytes", ("data_bytes", "image_index")),
        "rangesForUInt8Kernel()": ("ranges_for_uint8_kernel", ()),
        "mpsMTLDevice()": ("mps_mtl_device", ()),
        "texture2DDescriptor(pixelFormat:)": ("texture_2d_descriptor", ("pixel_format",)),
    }.items(),
    ids=str,
)
def test_rule_of_names(swift: str, python: tuple[str, tuple[str, ...]]) -> None:
    assert signature(swift) == python


@pytest.mark.parametrize(
    ("swift", "python"), {"type2DArray": "TYPE_2D_ARRAY", "reLUN": "RELUN", "float16": "FLOAT16"}.items(), ids=str
)
def test_rule_of_cases(swift: str, python: str) -> None:
    assert case(swift) == python


def test_document_is_the_tables() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), "run `PYTHONPATH=tests python -m census`"


@pytest.mark.parametrize("cls", [*_EXISTING.values()], ids=[*_EXISTING])
def test_class_is_public_and_derives_from_its_base(cls: AppleClass) -> None:
    assert cls.name in mps.__all__
    if cls.base is not None:
        assert issubclass(getattr(mps, cls.name), getattr(mps, cls.base))


@pytest.mark.parametrize(("cls", "member"), _lines(Kind.METHOD, Kind.CLASS_METHOD))
def test_method_takes_the_labels(cls: AppleClass, member: Member) -> None:
    function = getattr(_implementation(cls), member.python)
    if type(function).__module__.startswith(mps.__name__):
        # An object that can be called, and is an instance's property at the same time.
        function = function.__call__
    parameters = inspect.signature(function).parameters
    assert set(member.parameters) <= set(parameters)
    extra = [parameter for name, parameter in parameters.items() if name not in (*member.parameters, "self")]
    assert all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in extra), extra
    # A method of an object still wants one; a property that can be called on the class does not.
    assert ("self" in parameters) == (member.kind is Kind.METHOD)


@pytest.mark.parametrize(("cls", "member"), _lines(Kind.INITIALISER))
def test_constructor_takes_the_labels(cls: AppleClass, member: Member) -> None:
    assert set(member.parameters) <= _constructor_parameters(getattr(mps, cls.name))


# Reading a deprecated property warns, and so does dropping a temporary object that nothing has read.
_quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@_quiet
@pytest.mark.parametrize(("cls", "member"), _lines(*_PROPERTIES))
def test_default(device: mps.MTLDevice, cls: AppleClass, member: Member) -> None:
    value = getattr(OBJECTS[cls.name](device), member.python)
    assert not callable(value)
    if isinstance(member.default, Constant):
        assert value == getattr(mps, member.default.name)
    elif member.default is not UNSAID:
        assert value == member.default
        assert isinstance(value, type(member.default))


def _another(value: Any) -> Any:
    """A value to set in the place of one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (enum.IntEnum, enum.IntFlag)):
        return value
    if isinstance(value, float):
        return value + 0.5
    if value is None or isinstance(value, str):
        return None
    return value


@_quiet
@pytest.mark.parametrize(("cls", "member"), _lines(*_PROPERTIES))
def test_what_can_be_set(device: mps.MTLDevice, cls: AppleClass, member: Member) -> None:
    made = OBJECTS[cls.name](device)
    value = getattr(made, member.python)
    if member.kind is Kind.READ_ONLY:
        with pytest.raises(AttributeError):
            setattr(made, member.python, value)
        return
    setattr(made, member.python, _another(value))
    found = getattr(made, member.python)
    assert found == _another(value)


@pytest.mark.parametrize("cls", [*_EXISTING.values()], ids=[*_EXISTING])
def test_nothing_is_public_that_is_not_told(cls: AppleClass) -> None:
    told: set[str] = set()
    entry: AppleClass | None = cls
    while entry is not None:
        told |= {member.python for member in entry.members} | set(entry.ours)
        assert all(hasattr(_implementation(cls), name) for name in entry.ours), cls.name
        entry = CLASSES[entry.base] if entry.base else None
    found = {name for name in dir(getattr(mps, cls.name)) if not name.startswith("_")}
    assert found - told - _BUILTIN == set()


def test_every_absence_is_explained() -> None:
    for cls in CLASSES.values():
        assert all(member.python or member.note for member in cls.members), cls.name
        assert cls.exists or not hasattr(mps, cls.name)


def test_every_public_name_is_told() -> None:
    told = {*_EXISTING, *(entry.name for entry in ENUMS), *(function.name for function in FUNCTIONS), *OURS}
    assert set(mps.__all__) == told
    assert set(OBJECTS) == set(_EXISTING)


@pytest.mark.parametrize("entry", ENUMS, ids=lambda entry: entry.name)
def test_enum(entry: AppleEnum) -> None:
    cls = getattr(mps, entry.name)
    expected = {entry.python(swift): value for swift, value in entry.cases.items() if swift not in entry.omitted}
    assert {name: case.value for name, case in cls.__members__.items()} == expected
    public = {name for name in vars(cls) if not name.startswith("_")}
    assert public - set(expected) == set(entry.ours)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_function(function: Function) -> None:
    found = getattr(mps, function.name)
    if function.parameters is None:
        assert not callable(found)
    else:
        assert tuple(inspect.signature(found).parameters) == function.parameters
