"""Archives changed at random: each is refused in plain words, or is a layer that descriptors could have made."""

from __future__ import annotations

import copy
import random
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import archives
import mpsrnn_cy as mps
from archives import CLASS, Parts
from mpsrnn_cy.archive import decode_layer, encode_layer

SAMPLES = {
    CLASS: (archives.single_gate, archives.stack, archives.bidirectional),
    "MPSRNNMatrixInferenceLayer": (archives.single_gate, archives.matrix_stack, archives.bidirectional),
    "MPSRNNMatrixTrainingLayer": (archives.single_gate, archives.trained),
}
CORPUS = {name: [archives.archive(make(), name) for make in samples] for name, samples in SAMPLES.items()}
PARTS = {name: [archives.unpack(data) for data in corpus] for name, corpus in CORPUS.items()}

# What may stand where something else is expected.
VALUES = (
    *(None, True, False, 0, 1, 2, 3, 4, 8, 10, 16, -1, 8192, 8193, 32767, 2**31, 2**53, 2**63, 2**64, 10**30),
    *(0.0, -0.0, 0.5, 1.0, 1e-46, 3.5e38, 1e300, float("inf")),
    *("", "F16", "F32", "F64", "BF16", "F8_E4M3", "mpsrnn_cy", "\ud800", "é", "x" * 3000),
    *([], {}, [1, 1], [1], [0, 1], [2**31, 1], [1, 2, 3], [0, 4], [8, 1, 1, 8], [0], {"dilation": [1, 1], "groups": 1}),
    *({"type": 10, "a": 0.0, "b": 0.0, "c": 0.0}, {"type": 5, "a": 1.0, "b": 1.0, "c": 0.0}),
)

# What a value may become without changing its type.
TWEAKS: dict[type, tuple[Any, ...]] = {
    bool: (False, True),
    int: (0, 1, 2, 3, 4, 8, 10, 16, 8193, 2**31),
    float: (0.0, -0.0, 0.3, 1.0, 2.0, -1.0, 1e-46, 3.5e38),
    str: ("F16", "F32", "F64", "", archives.CLASS),
    type(None): ({"dilation": [1, 1], "groups": 1},),
}


def outcome(data: bytes, class_name: str = CLASS) -> str:
    """Read an archive; the line that refused it, or "" for a layer that has been found to be a possible one."""
    try:
        cells, settings = decode_layer(data, class_name)
    except mps.BadArgumentError as error:
        words = str(error)
        assert words.startswith("data: "), words
        assert len(words) < 1200, words
        line = traceback.extract_tb(error.__traceback__)[-1]
        return f"{Path(line.filename).name}:{line.lineno}"
    archives.assert_same(cells, archives.reread(cells, archives.FAMILIES[class_name]))
    again, settings_again = decode_layer(encode_layer(class_name, cells, settings), class_name)
    archives.assert_same(again, cells)
    assert settings_again == settings
    return ""


# Mutations ----------------------------------------------------------------------------------------------------


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    data[start : start + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))


def insert(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.choice((rng.randbytes(rng.randrange(1, 9)), b"[", b'"', b"\\u0000", b"-", b"9", b"\0" * 64))


def delete(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 1, 2, 8, 64, 512))]


def repeat(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    chunk = data[start : start + rng.choice((1, 4, 16, 64, 256))]
    data[start:start] = chunk


def splice(rng: random.Random, data: bytearray) -> None:
    other = rng.choice(rng.choice(list(CORPUS.values())))
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def mended(change: Callable[[random.Random, bytearray], None]) -> Callable[[random.Random, bytearray], None]:
    """A mutation of the header alone, whose length is then put right."""

    def mutate(rng: random.Random, data: bytearray) -> None:
        end = 8 + int.from_bytes(data[:8], "little")
        header, rest = data[8:end], data[end:]
        if header:
            change(rng, header)
        data[:] = archives.with_header(bytes(header), bytes(rest))

    return mutate


BYTES = (flip, overwrite, insert, delete, repeat, splice)
MUTATIONS = (*BYTES, *(mended(change) for change in BYTES))


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a node of JSON."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, value in items:
        found.append((node, key))
        found += places(value)
    return found


def edit(rng: random.Random, parts: Parts) -> None:
    """Change one thing of the JSON, the header's or ours."""
    node = rng.choice((parts.entry, parts.entry, parts.header))
    container, key = rng.choice(places(node) or [(parts.header, "new")])
    kind = rng.randrange(12)
    if kind >= 6 and isinstance(container, dict) and key in container and type(container[key]) in TWEAKS:
        container[key] = copy.deepcopy(rng.choice(TWEAKS[type(container[key])]))
    elif kind == 0 and key in container:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice((*container, "new", ""))] = copy.deepcopy(rng.choice(VALUES))
    elif kind == 2 and isinstance(container, dict) and key in container:
        container[rng.choice(("new", *(name for _, name in places(node) if isinstance(name, str))))] = container.pop(
            key
        )
    elif kind == 3:
        # From elsewhere in an archive: mostly of the right type, from under the same key.
        donors = places(rng.choice(rng.choice(list(PARTS.values()))).entry)
        same = [place for place in donors if place[1] == key]
        donor, name = rng.choice(same if same and rng.random() < 0.8 else donors)
        container[key] = copy.deepcopy(donor[name])
    elif kind == 4 and isinstance(container, list):
        container.insert(key, copy.deepcopy(rng.choice(container)))
    else:
        container[key] = copy.deepcopy(rng.choice(VALUES))


def mutated(rng: random.Random, class_name: str) -> bytes:
    """An archive after one to four changes, by its bytes, by its structure, or both."""
    index = rng.randrange(len(CORPUS[class_name]))
    data = CORPUS[class_name][index]
    if rng.random() < 0.8:
        parts = copy.deepcopy(PARTS[class_name][index])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            edit(rng, parts)
        if parts.data and rng.random() < 0.2:
            changed = bytearray(parts.data)
            flip(rng, changed)
            parts.data = bytes(changed)
        data = archives.pack(parts)
        if rng.random() < 0.95:
            return data
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if result:
            rng.choice(MUTATIONS)(rng, result)
    return bytes(result)


# Tests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0xFF, 0x01, 0x20, 0x80], ids=hex)
def test_each_byte_changed(bits: int) -> None:
    data = CORPUS[CLASS][0]
    tensors = 8 + int.from_bytes(data[:8], "little")
    accepted = Counter()
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= bits
        if outcome(bytes(changed)) == "":
            accepted["tensors" if index >= tensors else "header"] += 1
    assert accepted["header"] < 100
    assert accepted["tensors"] <= len(data) - tensors


@pytest.mark.parametrize("class_name", CORPUS)
@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_random_changes(count: int, class_name: str) -> None:
    rng = random.Random(count)
    outcomes = Counter(outcome(mutated(rng, class_name), class_name) for _ in range(count))
    accepted = outcomes.pop("")
    print(f"{count} changes: {accepted} accepted, the others refused in {len(outcomes)} places: {dict(outcomes)}")
    # The changes are worth their time if they get to the checks behind the first ones, and past them all.
    assert count / 50 < accepted < count / 2
    assert len(outcomes) > 20
