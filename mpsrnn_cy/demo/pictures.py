"""Pictures of a forecast: a strip of all frames, and an animation. A forecast frame has an orange border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_OBSERVED_COLOUR = (110, 110, 110)
_FORECAST_COLOUR = (255, 140, 0)
_BACKGROUND = (24, 24, 24)
_TEXT_COLOUR = (230, 230, 230)

_BORDER = 2
_GAP = 4
_TEXT = 14

_STRIP_ZOOM = 2
_STRIP_LABELS = 72
_ANIMATION_ZOOM = 4
_FRAME_MILLISECONDS = 160
_LAST_FRAME_MILLISECONDS = 1200


def strip(observed: np.ndarray, forecast: np.ndarray, truth: np.ndarray) -> Image.Image:
    """Draw every sequence as two rows of frames: observed and forecast, and below it what really happened.

    Parameters
    ----------
    observed, forecast, truth : (frames, sequences, height, width, 1) arrays
        Frames from 0 to 1; ``truth`` goes on where ``observed`` ends, as ``forecast`` does.
    """
    predicted = np.concatenate((observed, forecast))
    actual = np.concatenate((observed, truth))
    tile = _tile_side(observed, _STRIP_ZOOM) + _GAP
    frames, sequences = predicted.shape[:2]
    top = _TEXT + 2 * _GAP
    block = 2 * tile + 2 * _GAP
    sheet = Image.new("RGB", (_STRIP_LABELS + frames * tile, top + sequences * block), _BACKGROUND)
    for sequence in range(sequences):
        upper = top + sequence * block
        _write(sheet, "forecast", (_GAP, upper + tile // 3))
        _write(sheet, "truth", (_GAP, upper + tile + tile // 3))
        for frame in range(frames):
            left = _STRIP_LABELS + frame * tile
            colour = _FORECAST_COLOUR if frame >= len(observed) else _OBSERVED_COLOUR
            sheet.paste(_tile(predicted[frame, sequence], _STRIP_ZOOM, colour), (left, upper))
            sheet.paste(_tile(actual[frame, sequence], _STRIP_ZOOM, _OBSERVED_COLOUR), (left, upper + tile))
    for frame in range(frames):
        caption = _caption(frame, len(observed))
        _write(sheet, caption, (_STRIP_LABELS + frame * tile, _GAP))
    return sheet


def animation(observed: np.ndarray, forecast: np.ndarray, truth: np.ndarray) -> list[Image.Image]:
    """Draw one picture per moment: on the left what really happens, on the right what is observed, then forecast.

    The parameters are those of :func:`strip`; sequences lie below each other.
    """
    predicted = np.concatenate((observed, forecast))
    actual = np.concatenate((observed, truth))
    tile = _tile_side(observed, _ANIMATION_ZOOM) + _GAP
    top = _TEXT + 2 * _GAP
    pictures = []
    for frame in range(len(predicted)):
        sheet = Image.new("RGB", (2 * tile + _GAP, top + predicted.shape[1] * tile), _BACKGROUND)
        colour = _FORECAST_COLOUR if frame >= len(observed) else _OBSERVED_COLOUR
        _write(sheet, "truth", (_GAP, _GAP))
        _write(sheet, _caption(frame, len(observed)), (_GAP + tile, _GAP))
        for sequence in range(predicted.shape[1]):
            upper = top + sequence * tile
            sheet.paste(_tile(actual[frame, sequence], _ANIMATION_ZOOM, _OBSERVED_COLOUR), (_GAP, upper))
            sheet.paste(_tile(predicted[frame, sequence], _ANIMATION_ZOOM, colour), (_GAP + tile, upper))
        pictures.append(sheet)
    return pictures


def save_animation(pictures: list[Image.Image], path: Path) -> None:
    """Write an endless GIF that rests on its last picture."""
    durations = [_FRAME_MILLISECONDS] * (len(pictures) - 1) + [_LAST_FRAME_MILLISECONDS]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def _caption(frame: int, observed: int) -> str:
    """Name a moment: counted from the first observed frame, then anew from the first forecast one."""
    return f"forecast {frame - observed + 1}" if frame >= observed else f"observed {frame + 1}"


def _tile_side(frames: np.ndarray, zoom: int) -> int:
    return frames.shape[2] * zoom + 2 * _BORDER


def _tile(frame: np.ndarray, zoom: int, border: tuple[int, int, int]) -> Image.Image:
    """Draw one frame, its pixels enlarged and untouched, inside a coloured border."""
    grey = np.rint(np.clip(frame[..., 0], 0, 1) * 255).astype(np.uint8)
    enlarged = Image.fromarray(grey.repeat(zoom, axis=0).repeat(zoom, axis=1))
    tile = Image.new("RGB", (enlarged.width + 2 * _BORDER, enlarged.height + 2 * _BORDER), border)
    tile.paste(enlarged, (_BORDER, _BORDER))
    return tile


def _write(sheet: Image.Image, text: str, position: tuple[int, int]) -> None:
    ImageDraw.Draw(sheet).text(position, text, fill=_TEXT_COLOUR, font=ImageFont.load_default(_TEXT - 3))
