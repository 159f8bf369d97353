"""Annotate rendered people as COCO does, and simulate a detector of people."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from .body import KEYPOINTS, SKELETON, Body
from .geometry import Array
from .render import Layer, Light, Mask, Part, Size, View, render

Annotation = dict[str, Any]

# Thickness of the flesh around a joint, metres of a person 1.7 m tall: what lies further before
# it hides it. Points of the face are on the surface.
FLESH = np.repeat([0.035, 0.03, 0.05, 0.14, 0.1, 0.17, 0.11], [1, 2, 2, 2, 4, 2, 4])
FACE = 5

# People with less visible area are not annotated.
MIN_PIXELS = 60
MIN_SHARE = 0.06

# Bones that say where a hidden joint must be; the line from ear to shoulder is no bone.
BONES = tuple((a - 1, b - 1) for a, b in SKELETON if (a, b) not in ((4, 6), (5, 7)))


@dataclass(frozen=True)
class Person:
    """A person placed in an image.

    Attributes:
        layer: The rendered person.
        points: The joints (17, 2) in pixels.
        behind_self: Whether the person's own body, or what it carries, hides each joint (17,).
    """

    layer: Layer
    points: Array
    behind_self: NDArray[np.bool_]


def place_person(
    body: Body, parts: list[Part], view: View, size: Size, light: Light
) -> Person | None:
    """Render a person and find the joints that its own body hides; None outside the image."""
    layer = render(parts, view, size, light)
    if layer is None or not layer.own.any():
        return None
    points, depth = view.project(body.joints)
    before = layer.surface_depth(points) - depth
    return Person(layer, points, before > FLESH * body.build.unit)


def joint_visibility(
    points: Array, behind_self: NDArray[np.bool_], cover: Mask
) -> NDArray[np.int64]:
    """Return COCO's flags (17,): 2 visible, 1 hidden but known, 0 unknown.

    Unknown are joints outside the image, the part of a face that is turned away, and joints that
    are covered together with all bones that meet in them.

    Args:
        points: The joints (17, 2) in pixels.
        behind_self: Whether the person's own body hides each joint (17,).
        cover: Where (h, w) something stands in front of the person.
    """
    flags = np.where(behind_self, 1, 2)
    flags[:FACE][behind_self[:FACE]] = 0
    covered = _covered(points, cover)
    flags[covered & (flags == 2)] = 1
    hidden_bones = np.array([_bone_covered(points[a], points[b], cover) for a, b in BONES])
    for joint in np.flatnonzero(covered):
        if hidden_bones[[joint in bone for bone in BONES]].all():
            flags[joint] = 0
    height, width = cover.shape
    flags[~np.all((points >= 0) & (points < [width, height]), axis=1)] = 0
    return flags


def _covered(points: Array, cover: Mask) -> NDArray[np.bool_]:
    """Return which pixels (N, 2) are covered; those outside the image are not."""
    cell = np.floor(points).astype(int)
    height, width = cover.shape
    inside = np.all((cell >= 0) & (cell < [width, height]), axis=1)
    cell = np.where(inside[:, None], cell, 0)
    return inside & cover[cell[:, 1], cell[:, 0]]


def _bone_covered(a: Array, b: Array, cover: Mask) -> bool:
    """Return whether all of a bone that lies in the image is covered."""
    along = a + np.linspace(0, 1, 9)[:, None] * (b - a)
    height, width = cover.shape
    inside = np.all((along >= 0) & (along < [width, height]), axis=1)
    return bool(_covered(along, cover)[inside].all())


def visible_mask(person: Person, cover: Mask) -> Mask:
    """Return the pixels (h, w) that show a person.

    Args:
        person: The person.
        cover: Where (h, w) something stands in front of it.
    """
    height, width = cover.shape
    return person.layer.on_canvas(person.layer.own, (width, height)) & ~cover


def annotate(person: Person, cover: Mask) -> Annotation | None:
    """Return a person's annotation in COCO's format; None if it is hardly visible.

    Args:
        person: The person.
        cover: Where (h, w) something stands in front of it.
    """
    height, width = cover.shape
    seen = visible_mask(person, cover)
    if seen.sum() < max(MIN_PIXELS, MIN_SHARE * person.layer.own.sum()):
        return None
    segmentation = _polygons(seen)
    if not segmentation:
        return None
    flags = joint_visibility(person.points, person.behind_self, cover)
    keypoints = np.column_stack([np.round(person.points, 2), flags])
    keypoints[flags == 0] = 0
    region = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    x, y = columns[0], rows[0]
    return {
        'segmentation': segmentation,
        'area': float(coco_mask.area(region)),
        'iscrowd': 0,
        'category_id': 1,
        'bbox': [float(v) for v in (x, y, columns[-1] + 1 - x, rows[-1] + 1 - y)],
        'keypoints': [int(v) if v == int(v) else float(v) for v in keypoints.ravel()],
        'num_keypoints': int((flags > 0).sum()),
    }


def _polygons(mask: Mask) -> list[list[float]]:
    """Return the outlines of a mask, in pixels whose corners are whole numbers."""
    # Contours run through the centres of border pixels; doubling brings those to the border.
    double = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [(cv2.approxPolyDP(c, 0.9, True).reshape(-1, 2) + 0.5) / 2 for c in contours]
    return [
        outline.ravel().tolist()
        for contour, outline in zip(contours, outlines, strict=True)
        if len(outline) >= 3 and cv2.contourArea(contour) >= 16
    ]


def crowd_annotation(mask: Mask) -> Annotation:
    """Annotate a crowd, people too many and too small to tell apart, as uncompressed RLE."""
    flat = np.concatenate([[False], mask.ravel(order='F'), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    if changes[-1] == mask.size:
        counts = counts[:-1]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = columns[0], rows[0]
    return {
        'segmentation': {'counts': counts.tolist(), 'size': list(mask.shape)},
        'area': float(mask.sum()),
        'iscrowd': 1,
        'category_id': 1,
        'bbox': [float(v) for v in (x, y, columns[-1] + 1 - x, rows[-1] + 1 - y)],
        'keypoints': [0] * (3 * len(KEYPOINTS)),
        'num_keypoints': 0,
    }


def instance_annotation(annotation: Annotation, mask: Mask) -> Annotation:
    """Return an annotation as COCO's ``instances_*.json`` has it.

    Args:
        annotation: The annotation with keypoints.
        mask: The pixels (h, w) that show the person or crowd. They become the segmentation, as
            compressed RLE, and the area.
    """
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {
        'segmentation': {'size': list(mask.shape), 'counts': rle['counts'].decode()},
        'area': float(mask.sum()),
        **{name: annotation[name] for name in ('iscrowd', 'category_id', 'bbox')},
    }


def detect(
    rng: np.random.Generator, annotations: list[Annotation], size: Size
) -> list[dict[str, Any]]:
    """Simulate a fair detector: it misses hidden people, and has doubles and false positives.

    Args:
        rng: Random numbers.
        annotations: Of one image.
        size: Width and height of the image.

    Returns:
        ``bbox`` and ``score`` of each detection, the highest score first.
    """
    detections = []
    people = [a for a in annotations if not a['iscrowd']]
    for person in people:
        known = person['num_keypoints'] / len(KEYPOINTS)
        if rng.random() < 0.4 * (1 - known) + 0.05:
            continue
        wobble = 0.035 + 0.06 * (1 - known)
        score = np.clip(0.55 + 0.43 * known + rng.normal(0, 0.06), 0.1, 0.999)
        detections.append((_jittered(rng, person['bbox'], wobble, size), score))
        if rng.random() < 0.15:
            detections.append(
                (_jittered(rng, person['bbox'], 0.1, size), score * rng.uniform(0.1, 0.6))
            )
    for _ in range(rng.poisson(1.0)):
        high = rng.uniform(0.15, 0.8) * size[1]
        wide = high * rng.uniform(0.3, 0.8)
        false_positive = [
            rng.uniform(0, size[0] - wide),
            rng.uniform(0, size[1] - high),
            wide,
            high,
        ]
        boxes = [person['bbox'] for person in people]
        overlaps = (
            coco_mask.iou(np.array([false_positive]), np.array(boxes), [0] * len(boxes))
            if boxes
            else 0
        )
        if np.max(overlaps) < 0.3:
            detections.append((false_positive, rng.beta(1.3, 7)))
    return [
        {'bbox': [round(float(v), 2) for v in box], 'score': round(float(score), 4)}
        for box, score in sorted(detections, key=lambda item: -item[1])
    ]


def _jittered(
    rng: np.random.Generator, box: list[float], wobble: float, size: Size
) -> list[float]:
    x, y, w, h = box
    left, right = np.clip([x, x + w] + rng.normal(0, wobble, 2) * w, 0, size[0])
    top, bottom = np.clip([y, y + h] + rng.normal(0, wobble, 2) * h, 0, size[1])
    return [left, top, right - left, bottom - top]
