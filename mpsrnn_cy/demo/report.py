"""How good a forecast is: error and structural similarity at every step, beside those of persistence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.metrics import structural_similarity


@dataclass(frozen=True)
class Scores:
    """Means over all sequences, one value per forecast step."""

    mse: np.ndarray
    """Mean squared error; 0 is perfect."""

    ssim: np.ndarray
    """Structural similarity; 1 is perfect."""

    def beat(self, other: Scores) -> bool:
        """Tell whether both measures are better than ``other``'s at every step."""
        return bool(np.all(self.mse < other.mse) and np.all(self.ssim > other.ssim))


def score(frames: np.ndarray, truth: np.ndarray) -> Scores:
    """Compare ``(steps, sequences, height, width, 1)`` frames from 0 to 1 with what really happened."""
    mse = np.square(frames - truth).mean(axis=(1, 2, 3, 4), dtype=np.float64)
    similarities = [
        [_similarity(frame, target) for frame, target in zip(step_frames, step_truth, strict=True)]
        for step_frames, step_truth in zip(frames[..., 0], truth[..., 0], strict=True)
    ]
    return Scores(mse, np.mean(similarities, axis=1))


def _similarity(frame: np.ndarray, target: np.ndarray) -> float:
    """Return the structural similarity with the Gaussian window of the measure's authors."""
    return structural_similarity(
        target, frame, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


def table(forecast: Scores, baseline: Scores) -> str:
    """Lay the scores out as text, one line per forecast step."""
    lines = [
        "            MSE (lower is better)        SSIM (higher is better)",
        "step     forecast    persistence        forecast    persistence",
    ]
    columns = zip(forecast.mse, baseline.mse, forecast.ssim, baseline.ssim, strict=True)
    lines += [
        f"{step:4d}     {mse:8.4f}    {mse_still:11.4f}        {ssim:8.4f}    {ssim_still:11.4f}"
        for step, (mse, mse_still, ssim, ssim_still) in enumerate(columns, start=1)
    ]
    return "\n".join(lines)


def as_json(forecast: Scores, baseline: Scores) -> list[dict[str, float]]:
    """Return the table as plain data, one record per forecast step."""
    return [
        {
            "step": step,
            "mse": float(forecast.mse[step - 1]),
            "mse_persistence": float(baseline.mse[step - 1]),
            "ssim": float(forecast.ssim[step - 1]),
            "ssim_persistence": float(baseline.ssim[step - 1]),
        }
        for step in range(1, len(forecast.mse) + 1)
    ]
