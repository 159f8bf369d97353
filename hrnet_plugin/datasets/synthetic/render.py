"""Ray-cast balls, tubes and boxes, the parts of people, lamp posts and tables.

Balls and tubes are quadrics, so a ray meets them where a quadratic in the depth has a root; a box
is the overlap of three slabs. Rays run along z (weak perspective); depth grows towards the
viewer. The image is cast at twice its size and averaged, which smooths the edges.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .geometry import Array, Frame

SUPERSAMPLING = 2

Image = NDArray[np.floating[Any]]  # float32, (h, w) or (h, w, 3)
Mask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]  # (h, w), indices into body.PART_NAMES
Size = tuple[int, int]  # width, height
Paint = Callable[[Image], Image]  # points (3, N) in a part's frame, metres -> BGR (3, N)


@dataclass(frozen=True)
class View:
    """Orthographic camera: rotation from the world, pixels per metre, the origin's pixel."""

    rotation: Array
    scale: float
    anchor: tuple[float, float]

    def project(self, points: Array) -> tuple[Array, Array]:
        """World points (N, 3) -> pixels (N, 2), where the centre of pixel 0 is 0.5, and depths."""
        seen = points @ self.rotation.T
        return np.array(self.anchor) + seen[:, :2] * [self.scale, -self.scale], seen[:, 2]


@dataclass(frozen=True)
class Light:
    """Where light comes from (camera frame: right, up, towards the viewer) and how soft it is."""

    direction: tuple[float, float, float] = (0.5, 0.6, 0.62)
    ambient: float = 0.5
    diffuse: float = 0.6


@dataclass(slots=True)
class Part:
    """A unit shape under `axes`: a ball |q| = 1, a cone 0 <= y <= 1 or a box |q_i| <= 1.

    `taper` is the growth of a tube's radius from y = 0 to y = 1. `labels` are the indices into
    PART_NAMES where x > 0 in the frame and elsewhere; 0 for what is no part of a person.
    """

    shape: Literal['ball', 'tube', 'box']
    origin: Array
    axes: Array
    frame: Frame
    paint: Paint
    taper: float = 0.0
    labels: tuple[int, int] = (0, 0)

    @property
    def own(self) -> bool:
        """Whether it belongs to a person rather than to a thing that goes with it."""
        return self.labels[0] > 0


def ball(
    frame: Frame,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    paint: Paint,
) -> Part:
    """An ellipsoid along the axes of a frame; metres."""
    return Part('ball', frame.at(*centre), frame.axes * radii, frame, paint)


def box(
    frame: Frame,
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
    paint: Paint,
) -> Part:
    """A box along the axes of a frame; half sizes in metres."""
    return Part('box', frame.at(*centre), frame.axes * half, frame, paint)


def tube(
    frame: Frame,
    span: tuple[float, float],
    radii: tuple[float, float],
    paint: Paint,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    flat: float = 1.0,
) -> Part:
    """A tube along a frame's y, open at both ends; metres.

    Args:
        span: y of its start and its end.
        radii: at its start and its end, sideways; `flat` times as much forwards.
        centre: x and z of its axis.
    """
    origin = frame.at(centre[0], span[0], centre[1])
    axes = frame.axes * [radii[0], span[1] - span[0], radii[0] * flat]
    return Part('tube', origin, axes, frame, paint, radii[1] / radii[0] - 1)


def tube_between(start: Array, end: Array, radii: tuple[float, float], paint: Paint) -> Part:
    """A round tube from one world point to another."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.cross(along, [0.3, 0.2, 0.93])
    across /= np.linalg.norm(across)
    frame = Frame(start, np.stack([across, along, np.cross(across, along)], axis=1))
    return tube(frame, (0, float(np.linalg.norm(end - start))), radii, paint)


@dataclass(frozen=True)
class Layer:
    """A rendered object, cut out of the image at `corner` (x, y).

    Attributes:
        colour: (h, w, 3) BGR 0-255, multiplied by alpha.
        alpha: (h, w) 0-1, of all parts.
        own: (h, w) which pixels show the person.
        depth: (h * 2, w * 2) of the surface, metres; -inf where there is none.
        sample_labels: A function that returns the part (h * 2, w * 2) at each sample.
    """

    corner: tuple[int, int]
    colour: Image
    alpha: Image
    own: Mask
    depth: Image
    sample_labels: Callable[[], LabelMap]

    @property
    def window(self) -> tuple[slice, slice]:
        x, y = self.corner
        height, width = self.alpha.shape
        return slice(y, y + height), slice(x, x + width)

    def surface_depth(self, points: Array) -> Array:
        """Depth of the surface at pixels (N, 2), -inf where there is none."""
        cell = np.floor((points - self.corner) * SUPERSAMPLING).astype(int)
        height, width = self.depth.shape
        inside = np.all((cell >= 0) & (cell < [width, height]), axis=1)
        cell = np.where(inside[:, None], cell, 0)
        return np.where(inside, self.depth[cell[:, 1], cell[:, 0]], -np.inf)

    def part_labels(self) -> LabelMap:
        """Return the part (h, w) that most samples of a pixel show; 0 outside `own`."""
        labels = self.sample_labels()
        step = SUPERSAMPLING
        samples = np.stack([labels[i::step, j::step] for i in range(step) for j in range(step)])
        votes = (samples[:, None] == samples).sum(axis=1) * (samples > 0)
        winner = np.take_along_axis(samples, votes.argmax(axis=0)[None], axis=0)[0]
        return np.where(self.own, winner, np.uint8(0))

    def on_canvas(self, mask: Mask, size: Size) -> Mask:
        """Return a mask (h, w) of the layer as one of the whole image."""
        canvas = np.zeros(size[::-1], bool)
        canvas[self.window] = mask
        return canvas


@dataclass(frozen=True)
class _Seen:
    """A part in the camera's frame, relative to its own centre.

    The surface of a ball or a tube is p' form p + 2 slope p = 1.
    """

    shape: str
    form: Image  # (3, 3)
    slope: Image  # (3,)
    to_unit: Image  # (3, 3): from there to the unit shape
    centre: Array
    low: Array  # corners of the bounding box, x and y; not relative
    high: Array


def _see(parts: Sequence[Part], rotation: Array) -> list[_Seen]:
    axes = rotation @ np.stack([part.axes for part in parts])
    centres = np.stack([part.origin for part in parts]) @ rotation.T
    to_unit = np.linalg.inv(axes)
    taper = np.array([part.taper for part in parts])
    weights = np.ones((len(parts), 3))
    weights[[part.shape == 'tube' for part in parts], 1] = 0
    weights[:, 1] -= taper**2
    forms = to_unit.transpose(0, 2, 1) @ (weights[:, :, None] * to_unit)
    slopes = -taper[:, None] * to_unit[:, 1]
    # A tube's two ends, or a ball's or box's centre twice, and how far the shape reaches around.
    shapes = np.array([part.shape for part in parts])
    tubes = shapes == 'tube'
    size = np.abs(axes[:, :2])
    reach = np.where((shapes == 'box')[:, None], size.sum(axis=2), np.sqrt((size**2).sum(axis=2)))
    reach[tubes] = np.hypot(size[tubes, :, 0], size[tubes, :, 2])
    starts = centres[:, :2]
    ends = starts + axes[:, :2, 1] * tubes[:, None]
    end_reach = reach * (1 + taper)[:, None]
    low = np.minimum(starts - reach, ends - end_reach)
    high = np.maximum(starts + reach, ends + end_reach)
    return [
        _Seen(part.shape, *rest)
        for part, *rest in zip(
            parts,
            forms.astype(np.float32),
            slopes.astype(np.float32),
            to_unit.astype(np.float32),
            centres,
            low,
            high,
            strict=True,
        )
    ]


def render(parts: Sequence[Part], view: View, size: Size, light: Light) -> Layer | None:
    """Render parts, the nearest in front, clipped to an image.

    Args:
        parts: Shapes with paint.
        view: The camera.
        size: Width and height of the image.
        light: The light.

    Returns:
        The layer; None if no part lies within the image.
    """
    seen = _see(parts, view.rotation)
    bounds = _pixel_bounds(seen, view, size)
    if bounds is None:
        return None
    x0, y0, x1, y1 = bounds
    fine = view.scale * SUPERSAMPLING
    xs = (x0 - view.anchor[0]) / view.scale + (np.arange((x1 - x0) * SUPERSAMPLING) + 0.5) / fine
    ys = (view.anchor[1] - y0) / view.scale - (np.arange((y1 - y0) * SUPERSAMPLING) + 0.5) / fine
    depth, index = _cast(seen, xs, ys, fine)
    if not (index >= 0).any():
        return None
    colour = _shade(parts, seen, view.rotation, xs, ys, depth, index, light)
    colour *= _crevices(depth, index, fine)
    alpha = (index >= 0).astype(np.float32)
    own = np.array([*(part.own for part in parts), False])[index].astype(np.float32)
    return Layer(
        (x0, y0),
        np.asarray(cv2.merge([_shrunk(plane) for plane in colour]), np.float32),
        _shrunk(alpha),
        _shrunk(own) >= 0.5,
        depth,
        partial(_sample_labels, parts, view.rotation, xs, ys, depth, index),
    )


def _sample_labels(
    parts: Sequence[Part],
    rotation: Array,
    xs: Array,
    ys: Array,
    depth: Image,
    index: NDArray[np.int16],
) -> LabelMap:
    labels = np.array([*(part.labels[0] for part in parts), 0], np.uint8)[index]
    for number, part in enumerate(parts):
        if part.labels[0] != part.labels[1]:
            row, column = np.nonzero(index == number)
            points = np.stack([xs[column], ys[row], depth[row, column]])
            x = (rotation @ part.frame.axes[:, 0]) @ points
            left = x > part.frame.axes[:, 0] @ part.frame.origin
            labels[row, column] = np.where(left, *part.labels)
    return labels


def _shrunk(image: Image) -> Image:
    factor = 1 / SUPERSAMPLING
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _pixel_bounds(
    seen: Sequence[_Seen], view: View, size: Size
) -> tuple[int, int, int, int] | None:
    low = np.min([part.low for part in seen], axis=0) * view.scale
    high = np.max([part.high for part in seen], axis=0) * view.scale
    x0, x1 = max(int(view.anchor[0] + low[0]), 0), min(int(view.anchor[0] + high[0]) + 1, size[0])
    y0, y1 = max(int(view.anchor[1] - high[1]), 0), min(int(view.anchor[1] - low[1]) + 1, size[1])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _cast(
    seen: Sequence[_Seen], xs: Array, ys: Array, fine: float
) -> tuple[Image, NDArray[np.int16]]:
    """Depth and index of the nearest part at each sample; -inf and -1 where there is none."""
    depth = np.full((len(ys), len(xs)), -np.inf, np.float32)
    index = np.full(depth.shape, -1, np.int16)
    for i, part in enumerate(seen):
        columns = _span((part.low[0] - xs[0]) * fine, (part.high[0] - xs[0]) * fine)
        rows = _span((ys[0] - part.high[1]) * fine, (ys[0] - part.low[1]) * fine)
        x = (xs[columns] - part.centre[0]).astype(np.float32)
        y = (ys[rows] - part.centre[1]).astype(np.float32)
        if not (len(x) and len(y)):
            continue
        surface = _box_surface(part, x, y) if part.shape == 'box' else _round_surface(part, x, y)
        nearer = surface > depth[rows, columns]
        np.copyto(depth[rows, columns], surface, where=nearer)
        np.copyto(index[rows, columns], i, where=nearer)
    return depth, index


def _span(start: float, stop: float) -> slice:
    return slice(max(int(start), 0), max(int(stop) + 2, 0))


def _round_surface(part: _Seen, x: Image, y: Image) -> Image:
    """Depth of a ball's or tube's near side over a grid of x and y, -inf beside it."""
    form, slope, a = part.form, part.slope, part.form[2, 2]
    if a <= 1e-6:  # a tube seen along its axis: the balls at its ends hide it
        return np.full((len(y), len(x)), -np.inf, np.float32)
    # a z² + 2 b z + c = 0, where b is linear and c quadratic in x and y, so that both
    # split into a row, a column and one mixed term.
    y = y[:, None]
    b = form[2, 0] * x + (form[2, 1] * y + slope[2])
    c = (form[0, 0] * x + 2 * slope[0]) * x + ((form[1, 1] * y + 2 * slope[1]) * y - 1)
    c += (2 * form[0, 1] * y) * x
    discriminant = b * b
    discriminant -= a * c
    hit = discriminant > 0
    z = np.sqrt(np.maximum(discriminant, 0, out=discriminant), out=discriminant)
    z -= b
    z /= a
    if part.shape == 'tube':
        along = part.to_unit[1, 2] * z
        along += part.to_unit[1, 0] * x + part.to_unit[1, 1] * y
        hit &= (along >= 0) & (along <= 1)
    return np.where(hit, z + np.float32(part.centre[2]), np.float32(-np.inf))


def _box_surface(part: _Seen, x: Image, y: Image) -> Image:
    """Depth of a box's near side over a grid of x and y, -inf beside it."""
    near = np.full((len(y), len(x)), np.inf, np.float32)
    far = -near
    for along_x, along_y, along_z in part.to_unit:
        # A face seen exactly edge-on would divide by zero.
        slope = along_z if abs(along_z) > 1e-4 else np.float32(1e-4)
        middle = (along_x * x + (along_y * y)[:, None]) / -slope
        near = np.minimum(near, middle + abs(1 / slope))
        far = np.maximum(far, middle - abs(1 / slope))
    return np.where(near > far, near + np.float32(part.centre[2]), np.float32(-np.inf))


def _shade(
    parts: Sequence[Part],
    seen: Sequence[_Seen],
    rotation: Array,
    xs: Array,
    ys: Array,
    depth: Image,
    index: NDArray[np.int16],
    light: Light,
) -> Image:
    pixels = np.flatnonzero(index >= 0)
    drawn = index.ravel()[pixels]
    order = np.argsort(drawn, kind='stable')
    pixels, ends = pixels[order], np.searchsorted(drawn[order], np.arange(len(parts) + 1))
    row, column = np.divmod(pixels.astype(np.int32), np.int32(depth.shape[1]))
    points = np.stack([xs[column], ys[row], depth.ravel()[pixels]]).astype(np.float32)
    normals, painted = np.empty_like(points), np.empty_like(points)
    for part, shape, start, end in zip(parts, seen, ends[:-1], ends[1:], strict=True):
        if start < end:
            here = points[:, start:end]
            normals[:, start:end] = _normals(shape, here - _column(shape.centre))
            to_frame = (rotation @ part.frame.axes).T.astype(np.float32)
            in_frame = to_frame @ (here - _column(rotation @ part.frame.origin))
            painted[:, start:end] = part.paint(in_frame)
    painted *= _brightness(normals, light)
    np.clip(painted, 0, 255, out=painted)
    colour = np.zeros((3, index.size), np.float32)
    for plane, values in zip(colour, painted, strict=True):
        plane[pixels] = values
    return colour.reshape(3, *depth.shape)


def _column(vector: Array) -> Image:
    return vector.astype(np.float32)[:, None]


def _normals(part: _Seen, points: Image) -> Image:
    """Outward normals, of any length, at surface points (3, N) relative to the part's centre."""
    if part.shape != 'box':
        return part.form @ points + part.slope[:, None]
    unit = part.to_unit @ points
    face = np.abs(unit).argmax(axis=0)
    return part.to_unit.T[:, face] * np.sign(unit[face, np.arange(len(face))])


def _brightness(normals: Image, light: Light) -> Image:
    """Of surfaces with normals (3, N) of any length."""
    x, y, z = normals / (np.sqrt((normals * normals).sum(axis=0)) + 1e-9)
    towards = np.array(light.direction, np.float32)
    a, b, c = towards / np.linalg.norm(towards)
    lit = np.maximum(a * x + b * y + c * z, 0)
    sky = 0.5 + 0.5 * y
    edge = 0.8 + 0.2 * np.clip(1.6 * z, 0, 1)
    return edge * (light.ambient * (0.75 + 0.25 * sky) + light.diffuse * lit)


def _crevices(depth: Image, index: NDArray[np.int16], fine: float) -> Image:
    """Darken what is close behind another part, such as the gap between arm and chest."""
    drawn = index >= 0
    filled = np.where(drawn, depth, depth[drawn].min())
    radius = 2 * int(max(1, 0.03 * fine)) + 1
    behind = cv2.blur(filled, (radius, radius)) - filled
    return np.where(drawn, 1 - 0.4 * np.clip(behind / 0.08, 0, 1), 0).astype(np.float32)
