"""Build furniture and clutter from the same parts as people."""

from collections.abc import Callable

import numpy as np

from .figure import contrasting, plain, random_colour, shaded, where
from .geometry import Array, Frame, rot_y
from .render import Image, Paint, Part, ball, box, tube


def mottled(rng: np.random.Generator, dark: float = 0.7) -> Paint:
    """Sample a paint that waves between a colour and a darker one."""
    bgr = np.array(random_colour(rng, (0.05, 0.6), (0.25, 0.85)), np.float32)
    waves = rng.normal(0, 14, (3, 3)).astype(np.float32)

    def paint(p: Image) -> Image:
        wave = 0.5 + 0.5 * np.sin(waves @ p).mean(axis=0)
        return bgr[:, None] * (dark + (1 - dark) * wave)

    return paint


def planks(rng: np.random.Generator) -> Paint:
    bgr = np.array(
        (70.0, 110.0, 150.0)
        if rng.random() < 0.5
        else random_colour(rng, (0.1, 0.6), (0.3, 0.85)),
        np.float32,
    )
    width = rng.uniform(0.08, 0.2)
    return lambda p: bgr[:, None] * (0.8 + 0.2 * ((p[1] / width) % 1 > 0.1)).astype(np.float32)


def _ground(rng: np.random.Generator) -> Frame:
    return Frame(np.zeros(3), rot_y(rng.uniform(-40, 40)))


def crate(rng: np.random.Generator) -> list[Part]:
    a, b, c = rng.uniform(0.15, 0.45, 3)
    return [box(_ground(rng), (0, b, 0), (a, b, c), planks(rng))]


def table(rng: np.random.Generator) -> list[Part]:
    frame, paint = _ground(rng), mottled(rng)
    wide, high, deep = rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.8), rng.uniform(0.3, 0.45)
    legs = [
        box(frame, (x * (wide - 0.05), high / 2, z * (deep - 0.05)), (0.03, high / 2, 0.03), paint)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    return [box(frame, (0, high, 0), (wide, 0.025, deep), paint), *legs]


def shelf(rng: np.random.Generator) -> list[Part]:
    frame, paint = _ground(rng), mottled(rng, 0.85)
    high = rng.uniform(0.5, 1.0)
    boards = [
        box(frame, (0, y, 0.02), (0.34, 0.02, 0.2), paint) for y in np.arange(0.1, 2, 0.35) * high
    ]
    back = plain(shaded(random_colour(rng, (0.1, 0.5)), 0.5))
    return [box(frame, (0, high, -0.15), (0.36, high, 0.02), back), *boards]


def bin_(rng: np.random.Generator) -> list[Part]:
    frame, paint = _ground(rng), mottled(rng)
    wide, high = rng.uniform(0.15, 0.28), rng.uniform(0.4, 0.9)
    return [
        tube(frame, (0, high), (0.85 * wide, wide), paint),
        ball(
            frame,
            (0, high, 0),
            (1.05 * wide, 0.07, 1.05 * wide),
            plain(random_colour(rng)),
        ),
    ]


def sports_ball(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.1, 0.35)
    first = random_colour(rng, (0.3, 0.9), (0.5, 1.0))
    second = contrasting(rng, first)

    def paint(p: Image) -> Image:
        patch = np.sin(p[0] * 9 / radius * 0.3) * np.sin(p[1] * 3 / radius) > 0.3
        return where(patch, second, plain(first)(p))

    return [ball(_ground(rng), (0, radius, 0), (radius,) * 3, paint)]


def pole(rng: np.random.Generator) -> list[Part]:
    frame, radius = _ground(rng), rng.uniform(0.03, 0.09)
    return [tube(frame, (0, 4.5), (radius, radius), mottled(rng, 0.85))]


def sign(rng: np.random.Generator) -> list[Part]:
    high, face = rng.uniform(1.5, 2.3), random_colour(rng, (0.4, 1.0), (0.4, 1.0))
    ink, frame = contrasting(rng, face), _ground(rng)

    def paint(p: Image) -> Image:
        line = ((p[1] * 9) % 1 < 0.45) & (np.abs(p[0]) < 0.22)
        return where(line, ink, plain(face)(p))

    return [
        tube(frame, (0, high), (0.03, 0.03), plain((120, 120, 120))),
        box(frame, (0, high, 0.04), (0.3, 0.22, 0.01), paint),
    ]


def bush(rng: np.random.Generator) -> list[Part]:
    return _leaves(rng, np.array([0, 0.3, 0]), 0.3, 7)


def tree(rng: np.random.Generator) -> list[Part]:
    high = rng.uniform(1.8, 2.8)
    bark = plain(random_colour(rng, (0.2, 0.5), (0.2, 0.45)))
    trunk = tube(_ground(rng), (0, high), (0.13, 0.09), bark)
    return [trunk, *_leaves(rng, np.array([0, high + 0.3, 0]), 0.55, 8)]


def _leaves(rng: np.random.Generator, centre: Array, size: float, count: int) -> list[Part]:
    green = np.array([rng.uniform(20, 60), rng.uniform(90, 150), rng.uniform(40, 110)], np.float32)

    def paint(p: Image) -> Image:
        leaf = np.sin(p[0] * 61 + 3 * np.sin(p[1] * 47)) * np.sin(p[1] * 53 + p[2] * 31)
        return green[:, None] * (0.8 + 0.22 * leaf)

    frame = Frame(np.zeros(3), np.eye(3))
    clumps = centre + rng.normal(0, 0.5 * size, (count, 3))
    return [
        ball(frame, (x, max(y, 0.5 * size), z), (0.6 * size,) * 3, paint) for x, y, z in clumps
    ]


BEHIND: tuple[Callable[[np.random.Generator], list[Part]], ...] = (
    crate, table, shelf, bin_, sports_ball, pole, sign, bush, tree,
)  # fmt: skip
IN_FRONT = (crate, table, bin_, sports_ball, pole, bush)


def seat(rng: np.random.Generator, pelvis: Frame, unit: float) -> list[Part]:
    """Build a stool, box or chair under a pelvis."""
    level = np.array([pelvis.axes[2, 2], 0, -pelvis.axes[0, 2]])
    ahead = np.cross(level, [0.0, 1.0, 0.0])
    frame = Frame(
        pelvis.origin * [1, 0, 1],
        np.stack([level, [0, 1, 0], ahead], axis=1) / np.hypot(*level[::2]),
    )
    top, paint = float(pelvis.origin[1]) - 0.1 * unit, mottled(rng, 0.85)
    kind = rng.choice(['stool', 'box', 'chair'])
    if kind == 'stool':
        return [
            tube(frame, (0, top), (0.13 * unit, 0.16 * unit), paint),
            ball(frame, (0, top, 0), (0.2 * unit, 0.05 * unit, 0.2 * unit), mottled(rng)),
        ]
    if kind == 'box':
        return [box(frame, (0, top / 2, 0), (0.26 * unit, top / 2, 0.2 * unit), planks(rng))]
    legs = [
        box(frame, (0.19 * x * unit, top / 2, 0.17 * z * unit), (0.02, top / 2, 0.02), paint)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    back = box(frame, (0, top + 0.25 * unit, -0.21 * unit), (0.2 * unit, 0.22 * unit, 0.02), paint)
    return [box(frame, (0, top, 0), (0.21 * unit, 0.025, 0.2 * unit), paint), back, *legs]
