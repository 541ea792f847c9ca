"""The demonstration: its data, its forecast through the recurrent state, and the command from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mpsrnn_cy as mps
from mpsrnn_cy import __main__ as command_line
from mpsrnn_cy.demo import digits, pictures, report
from mpsrnn_cy.demo.forecast import forecast, persistence
from mpsrnn_cy.demo.model import WEIGHTS, load_layer
from mpsrnn_cy.demo.patches import from_patches, to_patches

SEQUENCES = 4
FRAMES = digits.OBSERVED + digits.FORECAST


def draw(sequences: int = 2, seed: int = 0, frames: int = FRAMES) -> np.ndarray:
    return digits.moving_digits(digits.load_scans("test"), sequences, frames, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def layer() -> mps.MPSRNNImageInferenceLayer:
    return load_layer(mps.MTLCreateSystemDefaultDevice())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the command once, as a user would, and hand out what it printed and where it wrote."""
    output = tmp_path_factory.mktemp("demo") / "made" / "by the command"
    command = [sys.executable, "-m", "mpsrnn_cy", "demo", "--output", str(output), "--sequences", str(SEQUENCES)]
    # Not in the checkout: the installed package is what runs.
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path_factory.getbasetemp()), output


# --- data -------------------------------------------------------------------------------------------------------------


def test_training_and_test_scans_are_disjoint() -> None:
    train, test = digits.load_scans("train"), digits.load_scans("test")
    assert len(train) + len(test) == 1797
    assert not {scan.tobytes() for scan in train} & {scan.tobytes() for scan in test}


def test_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="'validation'"):
        digits.load_scans("validation")


def test_sequences_are_determined_by_the_generator() -> None:
    np.testing.assert_array_equal(draw(seed=5), draw(seed=5))
    assert not np.array_equal(draw(seed=5), draw(seed=6))


def test_sequences_have_the_documented_form() -> None:
    frames = draw(sequences=3)
    assert frames.shape == (FRAMES, 3, digits.CANVAS, digits.CANVAS, 1)
    assert frames.dtype == np.float32
    assert frames.min() == 0
    assert 0.5 < frames.max() <= 1


def test_digits_move_at_their_speed_from_wall_to_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    # A scan with one inked pixel, alone on the canvas: its centre of mass tells where the digit is.
    monkeypatch.setattr(digits, "DIGITS_PER_SEQUENCE", 1)
    dot = np.zeros((1, 8, 8), np.float32)
    dot[0, 4, 4] = 1
    frames = digits.moving_digits(dot, 20, 300, np.random.default_rng(1))[..., 0]
    pixel_centres = np.arange(digits.CANVAS) + 0.5
    ink = frames.sum(axis=(2, 3))
    centre = (
        np.stack((frames.sum(axis=3) @ pixel_centres, frames.sum(axis=2) @ pixel_centres), axis=-1) / ink[..., None]
    )
    # The dot lies 4.5 of 8 scan pixels into the digit. Sampling a tent on whole pixels moves its centre a little.
    corner = centre - 4.5 * digits.DIGIT / 8
    sampling = 0.1
    speed = np.linalg.norm(np.diff(corner, axis=0), axis=-1)
    assert speed.max() <= digits.SPEED[1] + 2 * sampling, "a bounce may shorten a step, nothing may lengthen one"
    assert digits.SPEED[0] <= np.median(speed) <= digits.SPEED[1]
    room = digits.CANVAS - digits.DIGIT
    np.testing.assert_allclose(corner.min(axis=(0, 1)), 0, atol=2 * sampling)
    np.testing.assert_allclose(corner.max(axis=(0, 1)), room, atol=2 * sampling)


def test_patches_are_undone_exactly() -> None:
    frames = draw()
    patches = to_patches(frames)
    assert patches.shape == (FRAMES, 2, digits.CANVAS // 2, digits.CANVAS // 2, 4)
    # One cell holds the pixels of one square, row by row.
    np.testing.assert_array_equal(patches[3, 1, 7, 5], frames[3, 1, 14:16, 10:12, 0].ravel())
    np.testing.assert_array_equal(from_patches(patches), frames)


# --- network and forecast ---------------------------------------------------------------------------------------------


def test_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 2 * 1024 * 1024


def test_stack_is_one_layer_object(layer: mps.MPSRNNImageInferenceLayer) -> None:
    assert isinstance(layer, mps.MPSRNNImageInferenceLayer)
    assert layer.number_of_layers == 3


class WithoutState:
    """A layer that forgets everything between calls."""

    def __init__(self, layer: mps.MPSRNNImageInferenceLayer) -> None:
        self.layer = layer

    def predict(self, x: np.ndarray, state: object, return_state: bool) -> tuple[np.ndarray, None]:
        return self.layer.predict(x), None


def test_forecast_goes_through_the_state(layer: mps.MPSRNNImageInferenceLayer) -> None:
    frames = draw()
    observed, truth = frames[: digits.OBSERVED], frames[digits.OBSERVED :]
    kept = np.stack(list(forecast(layer, observed, 5)))
    dropped = np.stack(list(forecast(WithoutState(layer), observed, 5)))
    # The first forecast frame comes out of the observation itself; from there on the two part.
    np.testing.assert_array_equal(kept[0], dropped[0])
    assert np.abs(kept[1:] - dropped[1:]).max() > 0.1
    assert np.square(kept[1:] - truth[1:5]).mean() < np.square(dropped[1:] - truth[1:5]).mean()


def test_forecast_step_by_step_equals_one_call_over_the_same_frames(layer: mps.MPSRNNImageInferenceLayer) -> None:
    observed = draw(frames=digits.OBSERVED)
    steps = np.stack(list(forecast(layer, observed, 4)))
    fed = np.concatenate((observed, steps[:-1]))
    at_once = from_patches(layer.predict(to_patches(fed)))[digits.OBSERVED - 1 :]
    np.testing.assert_allclose(steps, at_once, rtol=0, atol=1e-5)


def test_sequences_of_a_batch_do_not_mix(layer: mps.MPSRNNImageInferenceLayer) -> None:
    observed = draw(sequences=3, frames=digits.OBSERVED)
    together = np.stack(list(forecast(layer, observed, 2)))
    alone = np.stack(list(forecast(layer, observed[:, 1:2], 2)))
    np.testing.assert_allclose(together[:, 1:2], alone, rtol=0, atol=1e-5)


# --- report and pictures ----------------------------------------------------------------------------------------------


def test_scores_of_the_truth_are_perfect() -> None:
    truth = draw()[digits.OBSERVED :]
    perfect = report.score(truth, truth)
    np.testing.assert_array_equal(perfect.mse, 0)
    np.testing.assert_allclose(perfect.ssim, 1)


def test_one_worse_step_loses_against_the_baseline() -> None:
    baseline = report.Scores(mse=np.array([0.2, 0.2]), ssim=np.array([0.5, 0.5]))
    assert report.Scores(mse=np.array([0.1, 0.1]), ssim=np.array([0.6, 0.6])).beat(baseline)
    assert not report.Scores(mse=np.array([0.1, 0.2]), ssim=np.array([0.6, 0.6])).beat(baseline)
    assert not report.Scores(mse=np.array([0.1, 0.1]), ssim=np.array([0.6, 0.4])).beat(baseline)


def test_only_forecast_frames_are_marked() -> None:
    frames = draw(sequences=1)
    observed, truth = frames[: digits.OBSERVED], frames[digits.OBSERVED :]
    still = persistence(observed, digits.FORECAST)
    marked = [_is_marked(picture) for picture in pictures.animation(observed, still, truth)]
    assert marked == [False] * digits.OBSERVED + [True] * digits.FORECAST


def _is_marked(picture: Image.Image) -> bool:
    """Tell whether anything in a picture is coloured; frames themselves are grey."""
    channels = np.asarray(picture.convert("RGB")).astype(int)
    return bool((channels.max(axis=-1) - channels.min(axis=-1)).max() > 100)


# --- the command ------------------------------------------------------------------------------------------------------


def test_command_succeeds_and_says_where_its_files_are(finished: tuple) -> None:
    process, output = finished
    assert process.returncode == 0, process.stdout + process.stderr
    for name in ("forecast.png", "forecast.gif", "scores.json"):
        assert str(output / name) in process.stdout
        assert (output / name).is_file()


def test_forecast_beats_persistence_at_every_step(finished: tuple) -> None:
    record = json.loads((finished[1] / "scores.json").read_text(encoding="utf-8"))
    assert record["beats_persistence"] is True
    assert [step["step"] for step in record["steps"]] == list(range(1, digits.FORECAST + 1))
    for step in record["steps"]:
        assert step["mse"] < step["mse_persistence"]
        assert step["ssim"] > step["ssim_persistence"]


def test_strip_opens_with_the_right_size(finished: tuple) -> None:
    side = digits.CANVAS * 2 + 8
    with Image.open(finished[1] / "forecast.png") as strip:
        assert strip.size == (72 + FRAMES * side, 22 + SEQUENCES * (2 * side + 8))
        left, right = strip.crop((0, 0, 72 + digits.OBSERVED * side, strip.height)), strip
        assert not _is_marked(left)
        assert _is_marked(right)


def test_animation_opens_with_the_right_frames(finished: tuple) -> None:
    side = digits.CANVAS * 4 + 8
    with Image.open(finished[1] / "forecast.gif") as animation:
        assert animation.n_frames == FRAMES
        assert animation.size == (2 * side + 4, 22 + SEQUENCES * side)


def test_command_fails_when_the_forecast_is_no_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpsrnn_cy.demo.run.run", lambda *arguments: False)
    assert command_line.main(["demo"]) == 1


def test_missing_extra_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [name for name in sys.modules if name.startswith("mpsrnn_cy.demo")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert command_line.main(["demo"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "tqdm" in message
    assert "pip install 'mpsrnn_cy[demo]'" in message


@pytest.mark.parametrize("sequences", ["0", "-3", "many"])
def test_sequences_must_be_a_positive_number(sequences: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["demo", "--sequences", sequences])
    assert "whole number from 1 up" in capsys.readouterr().err


def test_info_names_version_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"mpsrnn_cy {mps.__version__}"
    assert f"device: {mps.MTLCreateSystemDefaultDevice().name}" in lines[1:]
