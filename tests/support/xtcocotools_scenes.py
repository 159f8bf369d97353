"""Random scenes for ``xtcocotools``, and what the installed one makes of them."""

import contextlib
import copy
import hashlib
import io
import json
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from xtcocotools import mask
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

COUNTS = dict(keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)
PARTS = ['body', 'foot', 'face', 'lefthand', 'righthand', 'wholebody']
SIDES = ('dt', 'gt')


@dataclass
class Scene:
    """Annotations, predictions, and how to evaluate them."""

    gt: dict
    dt: list
    options: dict = field(default_factory=dict)
    params: dict = field(default_factory=dict)

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([self.gt, self.dt]).encode()).hexdigest()[:16]


def keypoint_scene(
    rng: np.random.Generator,
    names: Collection[str] = ('keypoints',),
    categories: Sequence[int] = (1,),
    crowded: bool = False,
    count: int | None = None,
) -> Scene:
    """People with any of what evaluation must heed: crowds, nobody visible, NaN, ties, id 0."""
    counts = COUNTS | ({'keypoints': count} if count else {})
    images: list[dict[str, Any]] = [
        dict(id=int(i), width=400, height=400) for i in rng.choice(99, 6, replace=False)
    ]
    anns: list[dict[str, Any]] = []
    dets: list[dict[str, Any]] = []
    for image in images:
        ids = dict(image_id=image['id'])
        image['crowdIndex'] = float(rng.choice([0, 0.2, 0.5, 0.8, rng.random()]))
        for _ in range(rng.choice([0, 1, 3, 5])):
            ids['category_id'] = int(rng.choice(categories))
            corner, size = rng.uniform(0, 300, 2), rng.uniform(10, 250, 2)
            ann: dict[str, Any] = dict(
                id=len(anns),
                bbox=[*corner.tolist(), *size.tolist()],
                area=float(size.prod() * rng.choice([0, rng.uniform(0.3, 1)], p=[0.05, 0.95])),
                iscrowd=int(rng.random() < 0.15),
                ignore=int(rng.random() < 0.1),  # none heeds it
                **ids,
            )
            if rng.random() < 0.1 and not crowded:
                del ann['iscrowd']
            found: list[dict[str, Any]] = [dict(ids) for _ in range(rng.choice([0, 1, 2, 3]))]
            for det in found:
                det['score'] = float(rng.choice([0.25, 0.5, 0.75, rng.random()]))
            spread = np.sqrt(size.prod()) * rng.choice([0, 0.03, 0.1, 0.3], len(found))
            for name in names:
                points = corner + size * rng.random((counts[name], 2))
                visible = rng.integers(0, 3, counts[name]) * (rng.random() > 0.15)
                ann[name] = np.c_[points, visible].ravel().round(1).tolist()
                for det, far in zip(found, spread):
                    moved = points + far * rng.normal(size=points.shape)
                    if rng.random() < 0.05:
                        moved[0] = np.nan
                    scores = rng.random(counts[name]) * (rng.random() > 0.1)
                    det[name] = np.c_[moved, scores].ravel().round(3).tolist()
            labelled = np.array(ann['keypoints'][2::3])
            ann['num_keypoints'] = int(np.sum(labelled == 2 if crowded else labelled > 0))
            anns.append(ann)
            dets += found
        for _ in range(rng.choice([0, 1, 25])):  # for nobody; 25 of them exceed maxDets
            ids['category_id'] = int(rng.choice([*categories, 9]))
            blind = {n: rng.uniform(0, 400, 3 * counts[n]).tolist() for n in names}
            dets.append(dict(**blind, score=float(rng.random()), **ids))
    rng.shuffle(dets)
    return Scene(coco_form(images, anns, categories), dets)


def coco_form(
    images: list[dict[str, Any]], anns: list[dict[str, Any]], categories: Sequence[int]
) -> dict:
    names = [dict(id=int(c), name=f'class {c}', supercategory='any') for c in categories]
    return dict(info={}, images=images, annotations=anns, categories=names)


def region_scene(
    rng: np.random.Generator, segm: bool = False, categories: Sequence[int] = (1, 4)
) -> Scene:
    """Boxes, or polygons and run-length encoded crowds."""
    images = [dict(id=int(i), width=160, height=120) for i in rng.choice(99, 5, replace=False)]
    anns: list[dict[str, Any]] = []
    dets: list[dict[str, Any]] = []

    def region(box: list[float], as_runs: bool = False) -> dict[str, Any]:
        x, y, width, height = box
        cut = width / 3
        polygon = [x, y, x + width, y, x + width, y + height - cut, x + cut, y + height]
        if not segm:
            return {}
        if as_runs:
            return dict(segmentation=mask.frPyObjects([polygon], 120, 160)[0])
        return dict(segmentation=[polygon])

    for image in images:
        for _ in range(rng.choice([0, 1, 4])):
            box = np.r_[rng.uniform(0, 60, 2), rng.uniform(4, 60, 2)]
            ids = dict(image_id=image['id'], category_id=int(rng.choice(categories)))
            crowd = bool(rng.random() < 0.2)
            more = region(box.tolist(), as_runs=crowd)
            area = float(box[2:].prod() * rng.uniform(0.5, 1))
            ann = dict(id=len(anns), bbox=box.tolist(), area=area, iscrowd=int(crowd))
            anns.append(ann | ids | more)
            for _ in range(rng.choice([0, 1, 2, 4])):
                moved = np.abs(box + rng.choice([0, 1, 5]) * rng.normal(size=4)).round(3)
                score = float(rng.choice([0.5, rng.random()]))
                form = region(moved.tolist(), as_runs=True) or dict(bbox=moved.tolist())
                dets.append(dict(score=score, **ids, **form))
    for ann in (*anns, *dets):
        if segm and not isinstance(ann['segmentation'], list):
            ann['segmentation']['counts'] = ann['segmentation']['counts'].decode()
    rng.shuffle(dets)
    return Scene(coco_form(images, anns, categories), dets)


def make_scene(kind: str, seed: int) -> Scene:
    rng = np.random.default_rng([seed, *kind.encode()])
    if kind in PARTS:
        scene = keypoint_scene(rng, COUNTS)
        end = dict(body=17, foot=23, face=91, lefthand=112, righthand=133, wholebody=133)[kind]
        first = end - COUNTS.get(f'{kind}_kpts', end)
        sigmas = rng.uniform(0.02, 0.1, 133)[first:end]
        scene.options = dict(iouType=f'keypoints_{kind}', sigmas=sigmas, use_area=bool(seed % 3))
        for det in scene.dt if seed % 2 else ():
            det[f'{kind}_score'] = float(rng.random())
        return scene
    scene = _MAKERS[kind](rng)
    if kind == 'without area':
        for ann in scene.gt['annotations']:
            del ann['area']
    if kind == 'bbox, some without area':
        for ann in scene.gt['annotations'][::2]:
            del ann['area']
    if kind == 'no predictions':
        scene.dt = []
    if kind == 'no annotations':
        scene.gt['annotations'] = []
    scene.options, scene.params = map(copy.deepcopy, SETTINGS[kind])
    return scene


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    'keypoints': ({}, {}),
    'area of the box': (dict(use_area=False), {}),
    'without area': (dict(use_area=False), {}),
    'own sigmas': (dict(sigmas=np.linspace(0.03, 0.1, 5, dtype=np.float32)), {}),
    'crowd': (dict(iouType='keypoints_crowd', sigmas=np.linspace(0.03, 0.1, 14)), {}),
    'crowd, area of the box': (
        dict(iouType='keypoints_crowd', sigmas=np.linspace(0.03, 0.1, 14), use_area=False),
        {},
    ),
    'categories': ({}, {}),
    'keypoints of any category': ({}, dict(useCats=0)),
    'other thresholds': ({}, dict(iouThrs=np.array([0.3, 0.5, 0.9]), maxDets=[20, 3])),
    'no predictions': ({}, {}),
    'no annotations': ({}, {}),
    'bbox': (dict(iouType='bbox'), {}),
    'bbox, area of the box': (dict(iouType='bbox', use_area=False), {}),
    'bbox, some without area': (dict(iouType='bbox'), {}),
    'bbox of any category': (dict(iouType='bbox'), dict(useCats=0)),
    'bbox by useSegm': (dict(iouType='segm'), dict(useSegm=0)),
    'segm': (dict(iouType='segm'), {}),
}
_MAKERS: dict[str, Callable[[np.random.Generator], Scene]] = {
    **dict.fromkeys(SETTINGS, keypoint_scene),
    **{kind: region_scene for kind in SETTINGS if 'bbox' in kind},
    'segm': lambda rng: region_scene(rng, segm=True),
    'own sigmas': lambda rng: keypoint_scene(rng, count=5),
    'crowd': lambda rng: keypoint_scene(rng, crowded=True, count=14),
    'crowd, area of the box': lambda rng: keypoint_scene(rng, crowded=True, count=14),
    'categories': lambda rng: keypoint_scene(rng, categories=(2, 5, 7)),
    'keypoints of any category': lambda rng: keypoint_scene(rng, categories=(2, 5)),
}
KINDS = [*SETTINGS, *PARTS]


def evaluator(scene: Scene, folder: Path) -> COCOeval:
    """Whose annotations are read from a file."""
    path = folder / 'annotations.json'
    path.write_text(json.dumps(scene.gt))
    coco = COCO(str(path))
    evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(scene.dt)), **scene.options)
    for name, value in scene.params.items():
        setattr(evaluation.params, name, value)
    return evaluation


def results(scene: Scene, folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """Every number of an evaluation, and what ``summarize`` prints."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        evaluation = evaluator(scene, folder)
        evaluation.evaluate()
        evaluation.accumulate()
    images = [image for image in evaluation.evalImgs if image is not None]
    found = {'there': np.array([image is not None for image in evaluation.evalImgs])}
    for side in SIDES:
        found[f'{side}Ids'] = flat(image[f'{side}Ids'] for image in images)
        for name in ('Matches', 'Ignore'):
            found[side + name] = flat(image[side + name] for image in images)
    found['dtScores'] = flat(image['dtScores'] for image in images)
    found['ious'] = flat(ious for _, ious in sorted(evaluation.ious.items()))
    found.update({name: evaluation.eval[name] for name in ('precision', 'recall', 'scores')})
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    found['stats'] = np.array(evaluation.stats)
    if 'crowd' in evaluation.params.iouType:
        found['types'] = np.array(evaluation.get_type_result())
    return found, printed.getvalue()


def mask_results(seed: int) -> dict[str, np.ndarray]:
    """Every function of ``mask`` on random masks, boxes and polygons."""
    rng = np.random.default_rng(seed)
    bits = np.asfortranarray(rng.random((13, 9, 4)) < rng.uniform(0.2, 0.8, 4), np.uint8)
    runs = mask.encode(bits)
    polygons = rng.uniform(0, 12, (3, 8)).tolist()
    boxes = np.abs(rng.normal(5, 3, (5, 4)))
    forms = mask.frPyObjects(polygons, 13, 9)
    plain = dict(size=[3, 4], counts=[2, 3, 4, 3])
    crowd = [0, 1, 0, 1]
    every = [*runs, *forms, mask.encode(bits[..., 0]), mask.frPyObjects(plain, 3, 4)]
    every += [mask.merge(runs), mask.merge(runs, intersect=1), *mask.frPyObjects(boxes, 20, 20)]
    return dict(
        counts=flat(np.frombuffer(r['counts'], np.uint8) for r in every),
        decoded=np.r_[mask.decode(forms).ravel(), mask.decode(runs[0]).ravel()],
        area=np.r_[mask.area(runs), mask.area(forms[0])],
        box=np.r_[mask.toBbox(runs).ravel(), mask.toBbox(forms[0])],
        iou=mask.iou(forms, runs, crowd),
        box_iou=mask.iou(boxes, boxes[:4] + 1, crowd),
    )


def flat(arrays: Iterable[Any]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.ravel(array) for array in arrays)])


def difference(found: dict[str, np.ndarray], expected: np.ndarray) -> dict[str, float]:
    """The largest difference of each array from its piece of ``expected``; infinite if NaN."""
    sizes = [array.size for array in found.values()]
    assert sum(sizes) == expected.size, f'{sum(sizes)} numbers instead of {expected.size}'
    pieces = np.split(expected, np.cumsum(sizes)[:-1])
    each = {}
    for (name, array), piece in zip(found.items(), pieces, strict=True):
        same_nan = np.array_equal(np.isnan(array.ravel()), np.isnan(piece))
        apart = np.nan_to_num(np.abs(array.ravel() - piece), nan=0)
        each[name] = float(apart.max(initial=0)) if same_nan else np.inf
    return each
