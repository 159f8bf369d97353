"""Render backgrounds: rooms, streets and meadows."""

from collections.abc import Sequence

import cv2
import numpy as np

from .figure import Colour, random_colour
from .render import Image, Size


def noise(rng: np.random.Generator, size: Size, cells: int, octaves: int = 3) -> Image:
    """Return smooth noise (h, w) about 0, mostly within -1 and 1, for a size (w, h)."""
    total = np.zeros(size[::-1], np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        coarse = rng.standard_normal((max(2, count * size[1] // size[0]), count), np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR) / 2**octave
    return total * 0.5


def _merged(planes: Sequence[Image]) -> Image:
    return np.asarray(cv2.merge([np.asarray(plane, np.float32) for plane in planes]))


def blurred(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


SETTINGS = ('outdoors', 'indoors', 'blurred')


def backdrop(
    rng: np.random.Generator, size: Size, horizon: float, open_air: bool = False
) -> tuple[Image, float, str]:
    """Render what is behind all people.

    Args:
        rng: Random numbers.
        size: Width and height of the image.
        horizon: The row where flat ground would end.
        open_air: Whether to leave walls out.

    Returns:
        The image (h, w, 3), BGR 0-255, the row where the ground ends, at a wall's foot or the
        horizon, and the setting, one of SETTINGS.
    """
    kind = 0.0 if open_air else rng.random()
    setting = 'outdoors' if kind < 0.42 else 'indoors' if kind < 0.85 else 'blurred'
    draw = {'outdoors': _outdoors, 'indoors': _indoors, 'blurred': _blurred}[setting]
    image, end = draw(rng, size, horizon)
    return np.clip(image, 0, 255), end, setting


def _tinted(colour: Colour, strength: Image) -> Image:
    return _merged([np.float32(channel) * strength for channel in colour])


def _surface_colour(rng: np.random.Generator) -> Colour:
    """Sample a colour of walls and floors: mostly grey, beige or brown."""
    if rng.random() < 0.25:
        return random_colour(rng, (0.1, 0.5), (0.4, 0.9))
    grey, warmth = rng.uniform(90, 235), rng.uniform(0.0, 0.3)
    return grey * (1 - warmth), grey * (1 - 0.35 * warmth), grey


def _plane(size: Size, horizon: float) -> tuple[Image, Image]:
    """Return ground coordinates, sideways and away, of each pixel below the horizon; no unit."""
    rows = np.maximum(np.arange(size[1], dtype=np.float32) - horizon, 1.5)[:, None]
    columns = np.arange(size[0], dtype=np.float32)[None, :] - size[0] / 2
    return columns / rows, np.broadcast_to(size[1] / rows, size[::-1])


def _ground(rng: np.random.Generator, size: Size, horizon: float, kinds: list[str]) -> Image:
    across, away = _plane(size, horizon)
    colour = _surface_colour(rng)
    kind = rng.choice(kinds)
    shade = 1 + 0.08 * noise(rng, size, 8)
    # Lines that converge in the distance would alias: they fade instead.
    sharp = np.clip(3.5 / away, 0, 1)
    if kind == 'tiles':
        pitch = rng.uniform(0.3, 0.6)
        odd = (np.floor(across / pitch) + np.floor(away / pitch / 1.5)) % 2
        shade = shade * (1 - rng.uniform(0.1, 0.4) * odd * sharp)
    elif kind == 'planks':
        pitch = rng.uniform(0.15, 0.35)
        board = np.floor(across / pitch)
        shade = shade * (0.9 + 0.12 * np.sin(board * 12.9) + 0.02 * np.sin(away * 9 + board))
        shade = shade - 0.3 * ((across / pitch) % 1 < 0.06) * sharp
    elif kind == 'grass':
        colour = (rng.uniform(30, 70), rng.uniform(110, 160), rng.uniform(60, 120))
        blades = rng.standard_normal(size[::-1], np.float32)
        shade = shade + 0.12 * cv2.blur(blades, (1, 4)) * 1.5 + 0.1 * noise(rng, size, 20)
    elif kind == 'road':
        colour = random_colour(rng, (0.0, 0.1), (0.3, 0.55))
        line = (np.abs(across + rng.uniform(-1, 1)) < 0.05) & (away % 1.6 < 0.9)
        shade = shade + 0.04 * rng.standard_normal(size[::-1], np.float32) + 0.6 * line
    elif kind == 'sand':
        colour = (rng.uniform(110, 160), rng.uniform(160, 195), rng.uniform(190, 220))
        shade = shade + 0.05 * rng.standard_normal(size[::-1], np.float32)
    return _tinted(colour, shade * np.clip(0.8 + 0.25 / np.sqrt(away), 0.8, 1.1))


def _wall(rng: np.random.Generator, size: Size) -> Image:
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    colour = _surface_colour(rng)
    shade = 1 + 0.06 * noise(rng, size, 4) + rng.normal(0, 0.12) * (x / size[0] - 0.5)
    kind = rng.choice(['plain', 'bricks', 'paper', 'panels'])
    if kind == 'bricks':
        high = rng.uniform(6, 13)
        row = np.floor(y / high)
        along = x / (2.2 * high) + 0.5 * (row % 2)
        joint = ((y / high) % 1 < 0.14) | (along % 1 < 0.08)
        shade = shade * (0.95 + 0.07 * np.sin(np.floor(along) * 7.1 + row * 3.7)) - 0.22 * joint
    elif kind == 'paper':
        pitch = rng.uniform(8, 30)
        shade = shade - rng.uniform(0.05, 0.2) * ((x / pitch) % 1 < 0.5)
    elif kind == 'panels':
        pitch = rng.uniform(25, 60)
        shade = (
            shade - 0.25 * ((x / pitch) % 1 < 1.5 / pitch) + 0.04 * np.sin(np.floor(x / pitch) * 5)
        )
    return _tinted(colour, shade)


def _rectangle(image: Image, corner: tuple[int, int], size: Size, colour: Colour) -> None:
    end = (corner[0] + size[0], corner[1] + size[1])
    cv2.rectangle(image, corner, end, colour, -1)


def _window(rng: np.random.Generator, image: Image, bottom: float) -> None:
    """Draw a window, a door or a painting on the wall, with its frame."""
    height, width = image.shape[:2]
    w = int(rng.uniform(0.1, 0.28) * width)
    h = int(rng.uniform(0.15, 0.5) * height)
    x, y = (
        int(rng.uniform(-0.05, 0.95) * width),
        int(min(rng.uniform(0.0, 0.4) * height, bottom - h)),
    )
    frame = random_colour(rng, (0.0, 0.5), (0.2, 1.0))
    _rectangle(image, (x - 3, y - 3), (w + 6, h + 6), frame)
    _rectangle(image, (x, y), (w, h), random_colour(rng, (0.0, 0.6), (0.3, 1.0)))
    if rng.random() < 0.5:
        cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), frame, 2)
        cv2.line(image, (x, y + h // 2), (x + w, y + h // 2), frame, 2)
    else:
        for _ in range(3):
            centre = (int(x + rng.random() * w), int(y + rng.random() * h))
            axes = (int(1 + rng.random() * w / 4), int(1 + rng.random() * h / 4))
            cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, random_colour(rng), -1)


def _indoors(rng: np.random.Generator, size: Size, horizon: float) -> tuple[Image, float]:
    # The wall stands before the horizon: the floor starts lower.
    foot = int(np.clip(horizon + rng.uniform(0.06, 0.2) * size[1], 0, size[1]))
    image = _ground(rng, size, horizon, ['tiles', 'planks', 'plain'])
    wall = np.ascontiguousarray(_wall(rng, size))
    for _ in range(rng.integers(0, 4)):
        _window(rng, wall, foot)
    image[:foot] = wall[:foot]
    skirting = random_colour(rng, (0.0, 0.4), (0.2, 1.0))
    _rectangle(image, (0, foot - int(rng.uniform(1, 6))), (size[0], 5), skirting)
    return image, foot


def _outdoors(rng: np.random.Generator, size: Size, horizon: float) -> tuple[Image, float]:
    height = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None]
    high, low = (
        random_colour(rng, (0.2, 0.6), (0.6, 0.95)),
        random_colour(rng, (0.0, 0.25), (0.8, 1.0)),
    )
    # Skies are blue (or grey), whatever the hue.
    sky = np.sort(np.array([high, low], np.float32), axis=1)[:, ::-1]
    image = sky[0] * (1 - height) + sky[1] * height
    image = image + 22 * np.clip(noise(rng, size, 5), 0, 2)[..., None]
    row = int(np.clip(horizon, 0, size[1]))
    image = np.ascontiguousarray(image, np.float32)
    if row > 8:
        (_skyline if rng.random() < 0.5 else _hills)(rng, image, row)
    ground = _ground(rng, size, horizon, ['grass', 'road', 'sand', 'tiles', 'plain'])
    image[row:] = ground[row:]
    return image, row


def _skyline(rng: np.random.Generator, image: Image, row: int) -> None:
    x = -10
    while x < image.shape[1]:
        w, h = int(rng.uniform(20, 80)), int(rng.uniform(0.2, 1.0) * row)
        wall = random_colour(rng, (0.0, 0.4), (0.35, 0.8))
        _rectangle(image, (x, row - h), (w, h), wall)
        pane, (a, b) = random_colour(rng, (0.0, 0.4), (0.15, 0.9)), rng.uniform(5, 14, 2)
        for u in np.arange(x + 4, x + w - 0.6 * a, a):
            for v in np.arange(row - h + 4, row - 0.6 * b, b):
                _rectangle(image, (int(u), int(v)), (int(0.5 * a), int(0.5 * b)), pane)
        x += w + int(rng.uniform(-5, 20))


def _hills(rng: np.random.Generator, image: Image, row: int) -> None:
    """Draw hills or a line of trees."""
    x = np.arange(image.shape[1])
    for share in (0.55, 0.3):
        rough = rng.choice([0.0, 0.5])
        ridge = sum(
            rng.uniform(0, 1) / k**0.8 * np.sin(x * k * 0.012 + rng.uniform(0, 6))
            for k in (1, 2, 5)
        )
        ridge = ridge + rough * rng.standard_normal(len(x)) * 0.3
        top = row - share * row * (0.5 + 0.25 * ridge)
        outline = np.concatenate([np.stack([x, top], axis=1), [[len(x), row], [0, row]]])
        green = (rng.uniform(40, 90), rng.uniform(80, 140), rng.uniform(50, 110))
        cv2.fillPoly(image, [outline.astype(np.int32)], green)


def _blurred(rng: np.random.Generator, size: Size, horizon: float) -> tuple[Image, float]:
    """Render a background out of focus, or a studio's."""
    image = _tinted(random_colour(rng, (0.0, 0.6), (0.3, 0.9)), 1 + 0.2 * noise(rng, size, 3))
    for _ in range(rng.integers(0, 12)):
        centre = (int(rng.random() * size[0]), int(rng.random() * size[1]))
        axes = (int(rng.uniform(8, 70)), int(rng.uniform(8, 70)))
        cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, random_colour(rng), -1)
    image = blurred(image, rng.uniform(4, 12))
    row = int(np.clip(horizon + 0.1 * size[1], 0, size[1]))
    image[row:] = 0.4 * image[row:] + 0.6 * _ground(rng, size, horizon, ['plain', 'tiles'])[row:]
    return image, row
