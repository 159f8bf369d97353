"""Small videos, complete, damaged and truncated."""

from pathlib import Path

import cv2
import numpy as np

SIZE = (64, 48)  # width, height


def gray(value: int) -> np.ndarray:
    """Return an image of one gray value."""
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def save_video(path: Path, frames: int = 12, codec: str = 'MJPG', first: int = 0) -> Path:
    """Write frames of one gray value each, 20 apart, 5 a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 5, SIZE)
    for i in range(frames):
        writer.write(gray(first + 20 * i))
    writer.release()
    return path


def frame_starts(path: Path) -> list[int]:
    """Return the offsets of the frames of a Motion JPEG file."""
    data, starts = path.read_bytes(), [-1]
    while (start := data.find(b'\xff\xd8\xff', starts[-1] + 1)) >= 0:
        starts.append(start)
    return starts[1:]


def damage(path: Path, *frames: int) -> Path:
    """Overwrite frames of a Motion JPEG file with zeros."""
    data, starts = bytearray(path.read_bytes()), frame_starts(path)
    ends = [*starts[1:], data.rfind(b'idx1')]
    for i in frames:
        start, end = starts[i] + 2, ends[i] - 10
        data[start:end] = bytes(end - start)
    path.write_bytes(data)
    return path


def cut(path: Path, size: int) -> Path:
    """Keep the first ``size`` bytes of a file."""
    path.write_bytes(path.read_bytes()[:size])
    return path


def save_gif(path: Path, milliseconds: list[int]) -> Path:
    """Write a GIF with one frame for each duration."""
    animation = cv2.Animation()
    animation.frames = [gray(20 * i) for i in range(len(milliseconds))]
    animation.durations = milliseconds
    assert cv2.imwriteanimation(str(path), animation)
    return path
