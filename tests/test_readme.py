"""What the README says is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mpsrnn_cy as mps

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["output"].shape == (10, 64, 64, 16)
    assert names["last"].shape == (64, 64, 16)
    assert names["y"].shape == (20, 5, 32)
    assert [part.shape for part in names["parts"]] == [(n, 32) for n in (3, 3, 2, 1)]
    assert all(gradient.to_numpy().any() for gradient in names["gradients"])


@pytest.mark.parametrize("name", re.findall(r"`((?:mpsrnn_cy|objc|metal|tests|docs)/[^`*…]*)`", README))
def test_paths_exist(name: str) -> None:
    first, *others = name.split()
    paths = [Path(first), *(Path(first).parent / other for other in others)]
    for path in paths:
        assert (Path(__file__).parents[1] / path).exists(), path


@pytest.mark.parametrize("name", re.findall(r"`(M(?:PS|TL)[A-Za-z]+)(?:\.[a-z_]+)?`", README))
def test_names_exist(name: str) -> None:
    assert hasattr(mps, name)
