"""Dress a posed body: flesh, clothes, hair and faces, as parts to render.

A person's left and right must be distinguishable in the image: faces, collars, buttons, prints
and belts are in front, hair and back pockets behind, thumbs and toes point forwards.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .body import PART_NAMES, SIDES, Body
from .geometry import Frame
from .render import Image, Mask, Paint, Part, ball, tube, tube_between

Triple = tuple[float, float, float]
Colour = Triple  # BGR, 0-255

SKINS: tuple[Colour, ...] = (  # BGR
    (190, 210, 245),
    (165, 190, 232),
    (140, 172, 222),
    (115, 150, 205),
    (85, 120, 178),
    (62, 92, 145),
    (45, 66, 108),
)
HAIRS: tuple[Colour, ...] = (
    (22, 22, 26),
    (30, 38, 52),
    (40, 62, 95),
    (70, 115, 165),
    (120, 180, 215),
    (45, 75, 150),
    (165, 168, 172),
)
WHITE: Colour = (238, 240, 242)
DARK: Colour = (30, 28, 30)


def random_colour(
    rng: np.random.Generator,
    saturation: tuple[float, float] = (0.0, 0.9),
    value: tuple[float, float] = (0.2, 0.95),
) -> Colour:
    """Sample a colour, BGR 0-255, from ranges of saturation and value."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    red, green, blue = (255 * channel for channel in rgb)
    return blue, green, red


def shaded(colour: Colour, factor: float) -> Colour:
    blue, green, red = colour
    return factor * blue, factor * green, factor * red


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Mix a share of the second colour into the first."""
    blue, green, red = np.array(first) * (1 - share) + np.array(second) * share
    return float(blue), float(green), float(red)


def plain(colour: Colour) -> Paint:
    bgr = np.array(colour, np.float32)
    return lambda p: np.broadcast_to(bgr[:, None], p.shape)


def where(condition: Mask, colour: Colour, otherwise: Image) -> Image:
    return np.where(condition, np.array(colour, np.float32)[:, None], otherwise)


def contrasting(rng: np.random.Generator, colour: Colour) -> Colour:
    """Sample a colour that stands out from another."""
    bright = sum(colour) / 3 > 125
    return random_colour(rng, (0.0, 0.6), (0.08, 0.4) if bright else (0.75, 1.0))


def fabric(rng: np.random.Generator, base: Colour, patterned: float = 0.5) -> Paint:
    """Sample a cloth, plain or with a pattern, with faint folds."""
    second = contrasting(rng, base)
    pitch, phase = rng.uniform(0.035, 0.09), rng.uniform(0, 6.3)
    kind = rng.choice(['across', 'along', 'check']) if rng.random() < patterned else 'plain'
    first = plain(base)

    def paint(p: Image) -> Image:
        colour = first(p)
        if kind in ('across', 'check'):
            colour = where((p[1] / pitch) % 1 < 0.4, second, colour)
        if kind in ('along', 'check'):
            stripe = np.arctan2(p[0], p[2]) / pitch / 7
            colour = where(stripe % 1 < 0.35, second, colour)
        folds = np.sin(45 * p[1] + 3 * np.sin(20 * p[0] + phase) + 14 * p[2])
        return colour * (1 + 0.05 * folds)

    return paint


@dataclass(frozen=True)
class Look:
    """The clothes and looks of one person; colours BGR 0-255."""

    skin: Colour
    hair: Colour
    hair_style: str  # short, long, tail, bald, cap
    beard: bool
    glasses: bool
    cap: Colour
    top: Paint
    top_base: Colour
    accent: Colour
    front: str  # shirt, print, jacket, tee: what marks the chest
    sleeve: str  # long, short, none
    tucked: bool
    bottom: Paint
    bottom_base: Colour
    legwear: str  # trousers, shorts, skirt
    shoe: Colour
    sole: Colour
    backpack: Colour | None


def sample_look(rng: np.random.Generator) -> Look:
    skin_at = rng.uniform(0, len(SKINS) - 1)
    lighter = int(skin_at)
    skin = mixed(SKINS[lighter], SKINS[lighter + 1], skin_at - lighter)
    top_base = random_colour(rng, (0.0, 0.8), (0.15, 0.95))
    bottom_base = random_colour(rng, (0.05, 0.6), (0.12, 0.6))
    return Look(
        skin=skin,
        hair=HAIRS[rng.integers(len(HAIRS))],
        hair_style=str(
            rng.choice(['short', 'long', 'tail', 'bald', 'cap'], p=[0.42, 0.24, 0.1, 0.08, 0.16])
        ),
        beard=rng.random() < 0.12,
        glasses=rng.random() < 0.15,
        cap=random_colour(rng, (0.3, 0.9), (0.2, 0.9)),
        top=fabric(rng, top_base, 0.35),
        top_base=top_base,
        accent=contrasting(rng, top_base),
        front=str(rng.choice(['shirt', 'print', 'jacket', 'tee'])),
        sleeve=str(rng.choice(['long', 'short', 'none'], p=[0.45, 0.45, 0.1])),
        tucked=rng.random() < 0.4,
        bottom=fabric(rng, bottom_base, 0.1),
        bottom_base=bottom_base,
        legwear=str(rng.choice(['trousers', 'shorts', 'skirt'], p=[0.62, 0.25, 0.13])),
        shoe=random_colour(rng, (0.0, 0.8), (0.1, 0.95)),
        sole=WHITE if rng.random() < 0.6 else DARK,
        backpack=random_colour(rng, (0.3, 0.9), (0.2, 0.8)) if rng.random() < 0.07 else None,
    )


def figure(body: Body, look: Look) -> list[Part]:
    """Return all parts of a dressed person, in the world's frame."""
    parts = _labelled('torso', _torso(body, look)) + _labelled('head', _head(body, look))
    for side, sign in SIDES:
        parts += _arm(body, look, side, sign) + _leg(body, look, side, sign)
    if look.legwear == 'skirt' and not body.pose.seated:
        parts += _labelled('left_upper_leg', _skirt(body, look), 'right_upper_leg')
    if look.backpack is not None:
        parts += _backpack(body, look.backpack)
    return parts


def _labelled(left: str, parts: list[Part], right: str | None = None) -> list[Part]:
    """Label parts of a person: one name of PART_NAMES, or one where x > 0 and one elsewhere."""
    labels = PART_NAMES.index(left), PART_NAMES.index(right or left)
    for part in parts:
        part.labels = labels
    return parts


def _torso(body: Body, look: Look) -> list[Part]:
    torso, pelvis = body.frames['torso'], body.frames['pelvis']
    unit, build = body.build.unit, body.build
    wide, girth = build.shoulders * unit, (0.5 + 0.5 * build.girth) * unit
    hips = build.hips * girth
    top, seat = _top_paint(look, unit), _seat_paint(look, unit)
    waist = 0.135 * build.girth * unit
    neck = body.frames['neck']
    bent = max(body.pose.left_leg.swing, body.pose.right_leg.swing) > 45
    parts = [] if look.tucked or bent else [_hem(body, look, top)]
    return [
        *parts,
        ball(
            pelvis,
            (0, -0.005 * unit, -0.008 * unit),
            (0.168 * hips, 0.115 * unit, 0.125 * hips),
            seat,
        ),
        tube(torso, (0.0, 0.22 * unit), (0.158 * hips, waist), top, flat=0.74),
        ball(torso, (0, 0.22 * unit, 0), (0.97 * waist, 0.05 * unit, 0.71 * waist), top),
        tube(torso, (0.22 * unit, 0.44 * unit), (waist, 0.168 * wide), top, flat=0.7),
        ball(
            torso, (0, 0.43 * unit, 0.005 * unit), (0.167 * wide, 0.11 * unit, 0.117 * wide), top
        ),
        ball(
            torso, (0, 0.47 * unit, -0.012 * unit), (0.16 * wide, 0.062 * unit, 0.075 * unit), top
        ),
        tube(neck, (-0.06 * unit, 0.09 * unit), (0.06 * unit, 0.05 * unit), plain(look.skin)),
    ]


def _hem(body: Body, look: Look, top: Paint) -> Part:
    """Return a shirt that hangs over the hips."""
    unit, girth = body.build.unit, 0.5 + 0.5 * body.build.girth
    wide = 0.185 * body.build.hips * girth * unit
    return tube(
        body.frames['pelvis'], (-0.09 * unit, 0.1 * unit), (wide, 0.82 * wide), top, flat=0.68
    )


def _top_paint(look: Look, unit: float) -> Paint:
    """Paint the shirt on the torso, with what marks its front; points in the torso's frame."""
    buttons = look.front == 'shirt'

    def paint(p: Image) -> Image:
        x, y, front = np.abs(p[0]) / unit, p[1] / unit, p[2] > 0
        colour = look.top(p)
        if look.front == 'jacket':
            opening = 0.028 + 0.05 * np.clip(y / 0.5, 0, 1)
            colour = where(front & (x < opening + 0.014), DARK, colour)
            colour = where(front & (x < opening), look.accent, colour)
        if look.front == 'print':
            colour = where(front & (x < 0.085) & (y > 0.2) & (y < 0.38), look.accent, colour)
        if buttons:
            colour = where(front & (x < 0.022), look.accent, colour)
            colour = where(front & (x < 0.009) & ((y * 12) % 1 < 0.4), look.top_base, colour)
        # The neckline is low in front and high behind.
        neckline = np.where(front, 0.425 + 0.95 * x, 0.525 + 0.1 * x)
        colour = where(y > neckline - 0.018, look.accent, colour)
        return where(y > neckline, look.skin, colour)

    return paint


def _seat_paint(look: Look, unit: float) -> Paint:
    """Paint the hips: the shirt's hem or a belt, back pockets; points in the pelvis's frame."""

    def paint(p: Image) -> Image:
        x, y, front = np.abs(p[0]) / unit, p[1] / unit, p[2] > 0
        colour = look.bottom(p)
        dark = shaded(look.bottom_base, 0.62)
        pocket = ~front & (x > 0.03) & (x < 0.1) & (y > -0.07) & (y < 0.01)
        colour = where(pocket, dark, colour)
        if not look.tucked:
            return np.where(y > -0.035, look.top(p), colour)
        colour = where((y > 0.03) & (y < 0.06), DARK, colour)
        return where(front & (x < 0.022) & (y > 0.026) & (y < 0.064), WHITE, colour)

    return paint


def _head(body: Body, look: Look) -> list[Part]:
    head, size = body.frames['head'], body.build.head * body.build.unit

    def part(centre: Triple, radii: Triple, paint: Paint) -> Part:
        x, y, z = centre
        a, b, c = radii
        return ball(head, (x * size, y * size, z * size), (a * size, b * size, c * size), paint)

    nose = plain(shaded(look.skin, 0.93))
    face = _face_paint(look, size)
    return [
        part((0, 0, 0), (0.074, 0.108, 0.092), face),
        part((0, -0.055, 0.022), (0.054, 0.062, 0.062), face),
        part((0, -0.014, 0.094), (0.0135, 0.022, 0.02), nose),
        *(part((s * 0.077, -0.004, -0.008), (0.012, 0.03, 0.021), nose) for _, s in SIDES),
        *_hair(look, part),
    ]


def _face_paint(look: Look, size: float) -> Paint:
    dark_skin = shaded(look.skin, 0.8)
    lips = mixed(look.skin, (70, 60, 165), 0.55)
    brow = shaded(look.hair, 0.75)

    def ellipse(p: Image, x: float, y: float, a: float, b: float) -> Mask:
        return ((np.abs(p[0]) / size - x) / a) ** 2 + ((p[1] / size - y) / b) ** 2 < 1

    def paint(p: Image) -> Image:
        colour, front = plain(look.skin)(p), p[2] > 0
        if look.beard:
            colour = where((p[1] < -0.04 * size) & (p[2] > -0.02 * size), look.hair, colour)
        if look.hair_style == 'bald':
            shaved = (p[1] > 0.06 * size) | (p[2] < -0.03 * size)
            colour = where(shaved, dark_skin, colour)
        if look.glasses:
            rim = ellipse(p, 0.034, 0.018, 0.027, 0.023) | ellipse(p, 0.034, 0.022, 0.045, 0.005)
            colour = where(front & rim, DARK, colour)
        colour = where(front & ellipse(p, 0.034, 0.018, 0.02, 0.0135), WHITE, colour)
        colour = where(front & ellipse(p, 0.033, 0.018, 0.01, 0.012), DARK, colour)
        colour = where(front & ellipse(p, 0.035, 0.046, 0.022, 0.0055), brow, colour)
        return where(front & ellipse(p, 0.0, -0.062, 0.028, 0.01), lips, colour)

    return paint


def _hair(look: Look, part: Callable[[Triple, Triple, Paint], Part]) -> list[Part]:
    if look.hair_style == 'bald':
        return []
    hair = plain(look.hair)
    strands = [part((0, 0.026, -0.02), (0.084, 0.102, 0.094), hair)]
    if look.hair_style == 'long':
        strands.append(part((0, -0.06, -0.052), (0.088, 0.135, 0.052), hair))
    if look.hair_style == 'tail':
        strands.append(part((0, 0.06, -0.115), (0.032, 0.035, 0.035), hair))
        strands.append(part((0, -0.03, -0.125), (0.026, 0.085, 0.026), hair))
    if look.hair_style == 'cap':
        cap = plain(look.cap)
        strands.append(part((0, 0.052, -0.006), (0.09, 0.078, 0.1), cap))
        strands.append(part((0, 0.058, 0.095), (0.066, 0.01, 0.066), cap))
    return strands


def _arm(body: Body, look: Look, side: str, sign: float) -> list[Part]:
    unit = body.build.unit
    girth = (0.35 + 0.65 * body.build.girth) * unit
    upper, forearm = body.frames[f'{side}_upper_arm'], body.frames[f'{side}_forearm']
    hand = body.frames[f'{side}_hand']
    long, short = body.lengths['upper_arm'], body.lengths['forearm']
    skin = plain(look.skin)
    sleeve_end = {'long': np.inf, 'short': 0.55 * long, 'none': 0.0}[look.sleeve]

    def sleeved(p: Image) -> Image:
        return np.where(p[1] > -sleeve_end, look.top(p), skin(p))

    lower = look.top if look.sleeve == 'long' else skin
    loose = 0.006 * unit if look.sleeve == 'long' else 0.0
    elbow, wrist = 0.042 * girth + loose, 0.029 * girth + loose
    upper_parts = [
        ball(upper, (0, 0, 0), (0.056 * girth + loose,) * 3, sleeved),
        tube(upper, (0, -long), (0.055 * girth + loose, elbow), sleeved),
    ]
    lower_parts = [
        ball(forearm, (0, 0, 0), (elbow,) * 3, lower),
        tube(forearm, (0, -short), (elbow, wrist), lower),
        ball(hand, (0, 0, 0), (wrist,) * 3, lower),
        ball(hand, (0, -0.07 * unit, 0), (0.024 * unit, 0.062 * unit, 0.042 * unit), skin),
        ball(
            hand,
            (-sign * 0.008 * unit, -0.135 * unit, 0.004 * unit),
            (0.017 * unit, 0.042 * unit, 0.032 * unit),
            skin,
        ),
        tube_between(
            hand.at(0, -0.04 * unit, 0.03 * unit),
            hand.at(-sign * 0.015 * unit, -0.1 * unit, 0.07 * unit),
            (0.017 * unit, 0.012 * unit),
            skin,
        ),
    ]
    return [
        *_labelled(f'{side}_upper_arm', upper_parts),
        *_labelled(f'{side}_lower_arm', lower_parts),
    ]


def _leg(body: Body, look: Look, side: str, sign: float) -> list[Part]:
    unit = body.build.unit
    girth = (0.35 + 0.65 * body.build.girth) * unit
    thigh, shin, foot = (body.frames[f'{side}_{name}'] for name in ('thigh', 'shin', 'foot'))
    long, short = body.lengths['thigh'], body.lengths['shin']
    skin = plain(look.skin)
    covered = look.legwear == 'trousers'
    hem = {'trousers': np.inf, 'shorts': 0.72 * long, 'skirt': 0.5 * long}[look.legwear]

    def clad(p: Image) -> Image:
        colour = np.where(p[1] > -hem, look.bottom(p), skin(p))
        return colour if look.tucked else np.where(p[1] > -0.075 * unit, look.top(p), colour)

    lower = look.bottom if covered else skin
    loose = 0.01 * unit if covered else 0.0
    knee, ankle = 0.058 * girth + loose, 0.036 * girth + 1.4 * loose
    hip = 0.088 * girth
    shoe = _shoe_paint(look, unit)
    upper_parts = [
        ball(thigh, (0, 0, 0), (hip, hip, hip), clad),
        tube(thigh, (0, -long), (hip, knee), clad),
    ]
    lower_parts = [
        ball(shin, (0, 0, 0), (knee,) * 3, lower),
        tube(shin, (0, -0.3 * short), (knee, 0.06 * girth + loose), lower),
        tube(shin, (-0.3 * short, -short), (0.06 * girth + loose, ankle), lower),
        # The calf is behind: a bare leg shows which way it faces.
        ball(
            shin,
            (0, -0.28 * short, -0.014 * unit),
            (0.054 * girth, 0.11 * unit, 0.058 * girth),
            lower,
        ),
        ball(
            foot, (0, -0.02 * unit, -0.012 * unit), (0.043 * unit, 0.05 * unit, 0.052 * unit), shoe
        ),
        ball(
            foot, (0, -0.035 * unit, 0.07 * unit), (0.047 * unit, 0.042 * unit, 0.13 * unit), shoe
        ),
        ball(
            foot,
            (sign * 0.004 * unit, -0.047 * unit, 0.14 * unit),
            (0.05 * unit, 0.03 * unit, 0.062 * unit),
            shoe,
        ),
    ]
    return [
        *_labelled(f'{side}_upper_leg', upper_parts),
        *_labelled(f'{side}_lower_leg', lower_parts),
    ]


def _shoe_paint(look: Look, unit: float) -> Paint:
    def paint(p: Image) -> Image:
        colour = plain(look.shoe)(p)
        laces = (np.abs(p[0]) < 0.018 * unit) & (p[2] > 0.05 * unit) & (p[1] > -0.03 * unit)
        colour = where(laces, look.sole, colour)
        return where(p[1] < -0.058 * unit, look.sole, colour)

    return paint


def _skirt(body: Body, look: Look) -> list[Part]:
    """Return a cone around both thighs, as wide as they are apart."""
    pelvis, unit = body.frames['pelvis'], body.build.unit
    knees = [body.frames[f'{side}_shin'].origin for side, _ in SIDES]
    down = pelvis.origin - np.mean(knees, axis=0)
    down /= np.linalg.norm(down)
    across = pelvis.axes[:, 0] - down * (pelvis.axes[:, 0] @ down)
    across /= np.linalg.norm(across)
    frame = Frame(pelvis.origin, np.stack([across, down, np.cross(across, down)], axis=1))
    local = (np.array(knees) - pelvis.origin) @ frame.axes
    hem = 0.62 * body.lengths['thigh']
    share = hem / body.lengths['thigh']
    spread = np.abs(local[:, [0, 2]]).max(axis=0) * share + 0.085 * unit
    waist = 0.165 * body.build.hips * (0.5 + 0.5 * body.build.girth) * unit
    return [tube(frame, (0.03 * unit, -hem), (waist, max(waist, *spread)), look.bottom, flat=0.82)]


def _backpack(body: Body, colour: Colour) -> list[Part]:
    torso, unit = body.frames['torso'], body.build.unit
    straps = plain(shaded(colour, 0.7))
    pack = ball(
        torso,
        (0, 0.28 * unit, -0.17 * unit),
        (0.14 * unit, 0.19 * unit, 0.1 * unit),
        plain(colour),
    )
    pocket = ball(
        torso,
        (0, 0.22 * unit, -0.24 * unit),
        (0.09 * unit, 0.09 * unit, 0.05 * unit),
        straps,
    )
    return [pack, pocket]
