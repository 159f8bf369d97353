"""Compose a scene: people, clutter and occlusion, with annotations."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .annotation import (
    MIN_PIXELS,
    Annotation,
    Person,
    annotate,
    crowd_annotation,
    detect,
    place_person,
    visible_mask,
)
from .backdrop import backdrop, blurred
from .body import assemble, sample_build, sample_pose
from .figure import figure, sample_look
from .geometry import Array, rot_x, rot_z
from .props import BEHIND, IN_FRONT, seat
from .render import Image, LabelMap, Layer, Light, Mask, Size, View, render


@dataclass(frozen=True)
class Scene:
    """An image with its annotations.

    Attributes:
        image: The image (h, w, 3), BGR uint8.
        annotations: In COCO's format, without ids.
        detections: ``bbox`` and ``score`` of a simulated detector.
        masks: The pixels (h, w) that show the person or crowd of each annotation.
        setting: ``'outdoors'``, ``'indoors'`` or ``'blurred'``.
        part_labels: The part of a person (h, w) that each pixel shows, as an index into
            PART_NAMES, also of people that are not annotated; None unless asked for.
    """

    image: NDArray[np.uint8]
    annotations: list[Annotation]
    detections: list[dict[str, Any]]
    masks: list[Mask]
    setting: str
    part_labels: LabelMap | None = None


@dataclass(frozen=True)
class Camera:
    """A camera `height` metres above flat ground, which ends at row `horizon`."""

    rotation: Array
    horizon: float
    height: float
    size: Size

    def view(self, column: float, scale: float) -> View:
        """Return the view of an object on the ground where a metre has `scale` pixels."""
        return View(self.rotation, scale, (column, self.horizon + self.height * scale))


def render_scene(
    rng: np.random.Generator, size: Size = (320, 240), part_labels: bool = False
) -> Scene:
    """Render an image of a random scene, and annotate it.

    Args:
        rng: Random numbers; the scene follows from them.
        size: Width and height.
        part_labels: Whether to label the parts of people. Does not change the image.
    """
    camera, column, scale = _sample_camera(rng, size)
    light = Light((rng.uniform(-0.8, 0.8), rng.uniform(0.3, 0.9), rng.uniform(0.4, 0.8)))
    crowded = rng.random() < 0.06
    canvas, ground_end, setting = backdrop(rng, size, camera.horizon, open_air=crowded)
    farthest = (ground_end - camera.horizon) / camera.height
    people: list[tuple[float, Person]] = []
    for number in range(rng.choice([1, 2, 3, 4], p=[0.34, 0.32, 0.21, 0.13])):
        if number:
            column, scale = _sample_place(rng, camera, people, farthest)
        person = _sample_person(rng, camera.view(column, scale), size, light)
        if person is not None:
            people.append((scale, person))
    things = _clutter(rng, camera, people, farthest, light)
    crowd = _crowd(rng, camera, light) if crowded else []
    layers = [*((0.0, layer) for layer in crowd), *things, *((s, p.layer) for s, p in people)]
    layers.sort(key=lambda item: item[0])
    for near, layer in layers:
        if near:
            _shadow(canvas, camera, layer, near)
        _paste(canvas, layer)
    annotations, masks = _annotations(people, layers, crowd, size)
    image = _photograph(rng, canvas)
    labels = _part_labels([layer for _, layer in layers], size) if part_labels else None
    detections = detect(rng, annotations, size)
    return Scene(image, annotations, detections, masks, setting, labels)


def _sample_camera(rng: np.random.Generator, size: Size) -> tuple[Camera, float, float]:
    """Sample a camera, and column and scale of the person it looks at."""
    width, height = size
    rotation = rot_x(np.clip(rng.normal(4, 5), -6, 16)) @ rot_z(rng.normal(0, 2.5))
    if rng.random() < 0.12:  # close up: the image's edge cuts the legs
        tall = rng.uniform(1.1, 1.7) * height
        foot = rng.uniform(0.08, 0.2) * height + tall
    else:
        tall = np.exp(rng.uniform(np.log(0.48), np.log(0.9))) * height
        foot = rng.uniform(max(0.78, tall / height + 0.06), 1.02) * height
    scale = tall / 1.7
    above = min(rng.uniform(0.8, 1.6), (foot - 0.12 * height) / scale)
    camera = Camera(rotation, foot - above * scale, above, size)
    column = rng.uniform(0.0, 1.0) if rng.random() < 0.1 else rng.uniform(0.2, 0.8)
    return camera, column * width, scale


def _sample_place(
    rng: np.random.Generator,
    camera: Camera,
    people: list[tuple[float, Person]],
    farthest: float,
) -> tuple[float, float]:
    """Sample column and scale of another person, mostly beside those that are there."""
    width, height = camera.size
    nearest = people[0][0] if people else 0.8 * height / 1.7
    overlap = 0.55 if rng.random() < 0.25 else 0.12
    column, scale = 0.0, 0.0
    for _ in range(20):
        column = rng.uniform(-0.02, 1.02) * width
        scale = float(
            np.clip(nearest * rng.uniform(0.5, 1.15), max(0.36 * height / 1.7, farthest), None)
        )
        half = 0.24 * scale
        shares = [
            min(column + half, x + 0.24 * s) - max(column - half, x - 0.24 * s)
            for s, x in ((s, float(p.points[5:].mean(axis=0)[0])) for s, p in people)
        ]
        if all(share < overlap * 2 * half for share in shares):
            break
    return column, scale


def _sample_person(
    rng: np.random.Generator, view: View, size: Size, light: Light
) -> Person | None:
    yaw = rng.choice([0.0, 180.0, 90.0, -90.0], p=[0.4, 0.24, 0.18, 0.18]) + rng.normal(0, 24)
    body = assemble(sample_build(rng), sample_pose(rng), yaw)
    parts = figure(body, sample_look(rng))
    if body.pose.seated:
        parts += seat(rng, body.frames['pelvis'], body.build.unit)
    return place_person(body, parts, view, size, light)


def _clutter(
    rng: np.random.Generator,
    camera: Camera,
    people: list[tuple[float, Person]],
    farthest: float,
    light: Light,
) -> list[tuple[float, Layer]]:
    """Sample things behind people and, now and then, in front of one."""
    width, height = camera.size
    far = min((scale for scale, _ in people), default=0.4 * height / 1.7)
    places = [
        (max(far * rng.uniform(0.4, 0.95), farthest), rng.uniform(0, 1) * width, BEHIND)
        for _ in range(rng.integers(0, 4))
    ]
    if people and rng.random() < 0.2:
        scale, person = people[rng.integers(len(people))]
        middle = float(person.points[5:, 0].mean())
        places.append(
            (scale * rng.uniform(1.03, 1.3), middle + rng.normal(0, 0.3) * scale, IN_FRONT)
        )
    things = []
    for scale, column, kinds in places:
        parts = kinds[rng.integers(len(kinds))](rng)
        layer = render(parts, camera.view(column, scale), camera.size, light)
        if layer is not None:
            things.append((scale, layer))
    return things


def _crowd(rng: np.random.Generator, camera: Camera, light: Light) -> list[Layer]:
    """Sample many small people far away."""
    width, height = camera.size
    scale = rng.uniform(0.08, 0.12) * height / 1.7
    middle = rng.uniform(0.15, 0.85) * width
    people = [
        _sample_person(
            rng,
            camera.view(middle + rng.normal(0, 0.1) * width, scale * rng.uniform(0.9, 1.1)),
            camera.size,
            light,
        )
        for _ in range(rng.integers(8, 14))
    ]
    return [person.layer for person in people if person is not None]


def _shadow(image: Image, camera: Camera, layer: Layer, scale: float) -> None:
    """Darken the ground under a layer softly."""
    height, width = image.shape[:2]
    row = camera.horizon + camera.height * scale
    columns = np.flatnonzero(layer.alpha[-max(3, int(0.2 * scale)) :].any(axis=0))
    if not len(columns) or row > height + 0.2 * scale:
        return
    middle = layer.corner[0] + columns.mean()
    wide = 0.5 * (columns[-1] - columns[0]) + 0.12 * scale
    high = 0.09 * scale + 2
    x0, x1 = np.clip([int(middle - 2.5 * wide), int(middle + 2.5 * wide)], 0, width)
    y0, y1 = np.clip([int(row - 2.5 * high), int(row + 2.5 * high)], 0, height)
    x, y = np.arange(x0, x1)[None, :], np.arange(y0, y1)[:, None]
    distance = ((x - middle) / wide) ** 2 + ((y - row) / high) ** 2
    image[y0:y1, x0:x1] *= (1 - 0.5 * np.exp(-distance)).astype(np.float32)[..., None]


def _paste(image: Image, layer: Layer) -> None:
    window = layer.window
    rest = 1 - layer.alpha
    image[window] = cv2.multiply(image[window], cv2.merge([rest, rest, rest])) + layer.colour


def _annotations(
    people: list[tuple[float, Person]],
    layers: list[tuple[float, Layer]],
    crowd: list[Layer],
    size: Size,
) -> tuple[list[Annotation], list[Mask]]:
    """Annotate people from the nearest to the farthest, then the crowd; return masks too."""
    annotations, masks = [], []
    cover = np.zeros(size[::-1], bool)
    by_layer = {id(person.layer): person for _, person in people}
    for near, layer in reversed(layers):
        if near == 0.0:
            break
        if id(layer) in by_layer:
            person = by_layer[id(layer)]
            annotation = annotate(person, cover)
            if annotation is not None:
                annotations.append(annotation)
                masks.append(visible_mask(person, cover))
        cover[layer.window] |= layer.alpha >= 0.5
    region = np.zeros(size[::-1], bool)
    for layer in crowd:
        region[layer.window] |= layer.own
    region &= ~cover
    if region.sum() >= MIN_PIXELS:
        annotations.append(crowd_annotation(region))
        masks.append(region)
    return annotations, masks


def _part_labels(layers: list[Layer], size: Size) -> LabelMap:
    """Paste the parts of layers, the farthest first, where they cover half a pixel or more."""
    labels = np.zeros(size[::-1], np.uint8)
    for layer in layers:
        np.copyto(labels[layer.window], layer.part_labels(), where=layer.alpha >= 0.5)
    return labels


def _photograph(rng: np.random.Generator, image: Image) -> NDArray[np.uint8]:
    """Apply a camera's colour cast, exposure, focus and noise."""
    cast = rng.normal(1, 0.04, 3) * rng.uniform(0.82, 1.12)
    contrast = rng.uniform(0.85, 1.12)
    grain = rng.uniform(0, 5) * rng.standard_normal(image.shape[:2], np.float32)
    image = blurred(image, rng.uniform(0.25, 0.75))
    planes = [
        np.float32(contrast * tint) * plane + (np.float32(110 * (1 - contrast) * tint) + grain)
        for plane, tint in zip(cv2.split(image), cast, strict=True)
    ]
    return np.clip(cv2.merge(planes), 0, 255).astype(np.uint8)
