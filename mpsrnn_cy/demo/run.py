"""The demonstration from end to end: draw sequences, forecast them, judge, picture, write."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import mpsrnn_cy as mps

from . import digits, pictures, report
from .forecast import forecast, persistence
from .model import load_layer

_PICTURED = 4


def run(output: Path, sequences: int, seed: int) -> bool:
    """Run the demonstration, print its table and write its files.

    Parameters
    ----------
    output : Path
        Folder for ``forecast.png``, ``forecast.gif`` and ``scores.json``; made if missing.
    sequences : int
        How many sequences of unseen digits to forecast.
    seed : int
        Which sequences.

    Returns
    -------
    bool
        Whether the forecast beats persistence, by both measures and at every step.
    """
    output.mkdir(parents=True, exist_ok=True)
    device = mps.MTLCreateSystemDefaultDevice()
    layer = load_layer(device)
    rng = np.random.default_rng(seed)
    frames = digits.moving_digits(digits.load_scans("test"), sequences, digits.OBSERVED + digits.FORECAST, rng)
    observed, truth = frames[: digits.OBSERVED], frames[digits.OBSERVED :]

    print(f"Forecasting {sequences} sequences of moving digits, {digits.FORECAST} frames each, on {device.name}")
    started = time.perf_counter()
    steps = forecast(layer, observed, digits.FORECAST)
    predicted = np.stack(list(tqdm(steps, total=digits.FORECAST, desc="Forecast", unit="frame")))
    seconds = time.perf_counter() - started

    scores = report.score(predicted, truth)
    baseline = report.score(persistence(observed, digits.FORECAST), truth)
    better = scores.beat(baseline)
    print(f"\n{report.table(scores, baseline)}\n")
    verdict = "beats" if better else "DOES NOT BEAT"
    print(f"The forecast {verdict} persistence at every step, on digits that the network was not trained on.")
    print(f"{frames.shape[0] * sequences} frames in {seconds:.2f} s.")

    _write_pictures(output, observed[:, :_PICTURED], predicted[:, :_PICTURED], truth[:, :_PICTURED])
    record = {
        "device": device.name,
        "sequences": sequences,
        "seed": seed,
        "seconds": seconds,
        "beats_persistence": better,
        "steps": report.as_json(scores, baseline),
    }
    (output / "scores.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name in ("forecast.png", "forecast.gif", "scores.json"):
        print(f"  {output / name}")
    return better


def _write_pictures(output: Path, observed: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> None:
    pictures.strip(observed, predicted, truth).save(output / "forecast.png")
    pictures.save_animation(pictures.animation(observed, predicted, truth), output / "forecast.gif")
