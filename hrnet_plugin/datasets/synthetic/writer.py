"""Write a synthetic dataset, laid out and named as COCO's own."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...utils.json_files import read_json
from .annotation import Annotation, instance_annotation
from .body import KEYPOINTS, SKELETON
from .scene import Scene, render_scene
from .tasks import (
    CLASSIFICATIONS,
    SEGMENTATIONS,
    checked_tasks,
    image_labels,
    label_maps,
    write_label_map,
)

# To be raised when the same parameters give other images or annotations
GENERATOR_VERSION = 1

MANIFEST = 'synthetic.json'
SPLITS = ('train', 'val')
# Far apart, so that an image keeps its id when the dataset grows
FIRST_ID = {'train': 1, 'val': 1_000_001}
MIN_SIDE = 64
DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'


@dataclass(frozen=True)
class Parameters:
    """The parameters of a dataset; nothing else changes a byte of it."""

    num_images: int
    seed: int
    val_fraction: float
    image_size: tuple[int, int]
    tasks: tuple[str, ...] = ('pose',)
    generator_version: int = GENERATOR_VERSION

    def __post_init__(self) -> None:
        if self.num_images < 2:
            raise ValueError(
                f'num_images is {self.num_images}; at least 2 are needed, one to train with and '
                'one to validate with'
            )
        if self.num_images >= FIRST_ID['val']:
            raise ValueError(f'num_images is {self.num_images}; at most 1000000 are possible')
        if self.seed < 0:
            raise ValueError(f'seed is {self.seed}; it must be 0 or more')
        if not 0 < self.val_fraction < 1:
            raise ValueError(f'val_fraction is {self.val_fraction}; it must be between 0 and 1')
        if min(self.image_size) < MIN_SIDE:
            width, height = self.image_size
            raise ValueError(f'image_size is {width}x{height}; sides must be {MIN_SIDE} or more')

    def manifest(self) -> dict[str, Any]:
        """Return the parameters as JSON has them, without tasks if they are the default."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if self.tasks == ('pose',):
            del content['tasks']
        return content

    def count(self, split: str) -> int:
        """Return the number of images of ``train`` or ``val``; at least one each."""
        val = min(max(round(self.num_images * self.val_fraction), 1), self.num_images - 1)
        return val if split == 'val' else self.num_images - val


@dataclass(frozen=True)
class Summary:
    """The dataset on disk.

    Attributes:
        out_dir: Its folder.
        images: Number of images.
        people: Number of annotated people, without crowds.
        written: False if it was already there.
    """

    out_dir: Path
    images: int
    people: int
    written: bool


def synthesize(
    out_dir: str | Path,
    num_images: int,
    seed: int = 0,
    val_fraction: float = 0.1,
    image_size: tuple[int, int] = (320, 240),
    num_workers: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
    tasks: Iterable[str] = ('pose',),
) -> Summary:
    """Write images of people and their COCO annotations.

    The files are ``annotations/person_keypoints_{train,val}2017.json``,
    ``{train,val}2017/*.jpg`` and, for val,
    ``person_detection_results/COCO_val2017_detections_AP_H_56_person.json``. An image depends on
    the seed, its split and its number in it alone. A finished dataset with the same parameters is
    kept, an interrupted one is replaced.

    Tasks add files for the same images, and change no other:

    - ``'detection'``: ``annotations/instances_{train,val}2017.json``, whose annotations have the
      ids and boxes of those of persons with keypoints. Their segmentation is the exact mask of
      the visible pixels as RLE, with holes, and the area is the mask's; beside keypoints, the
      segmentation is simplified to outer outlines, and the area is that of these.
    - ``'segmentation'``: ``segmentation/{person,parts}/{train,val}2017/*.png``, label maps with
      the palette, and ``segmentation/{person,parts}/metainfo.json``, their classes. All visible
      people are labelled, also those in crowds and those too hidden to be annotated.
    - ``'classification'``: ``classification/{people,setting}/{train,val}2017.txt``, a file name
      and a label a line, and ``classes.txt`` beside them, a name a line. A crowd is three or more
      people.

    All boxes fit the visible pixels.

    Args:
        out_dir: The folder to write to.
        num_images: How many images train and val have together.
        seed: Seed of all random numbers.
        val_fraction: The share of val, between 0 and 1.
        image_size: Width and height.
        num_workers: How many processes work; None for one per core. Does not change the result.
        overwrite: Whether to replace a dataset of other parameters.
        progress: A function that is called with the number of images written so far.
        tasks: What to write beside pose, which is always there: ``'detection'``,
            ``'segmentation'`` and ``'classification'``. A dataset that has more is kept.

    Returns:
        What the dataset holds.

    Raises:
        ValueError: If a parameter is out of range.
        FileExistsError: If ``out_dir`` holds other files, which are never touched, or a dataset of
            other parameters.
    """
    out_dir = Path(out_dir)
    size = image_size[0], image_size[1]
    parameters = Parameters(num_images, seed, val_fraction, size, checked_tasks(tasks))
    if num_workers is not None and num_workers < 1:
        raise ValueError(f'num_workers is {num_workers}; it must be 1 or more')
    finished = _check_folder(out_dir, parameters, overwrite)
    if finished is not None:
        return finished
    _clear(out_dir, parameters)
    _write_manifest(out_dir, parameters, people=None)
    workers = min(num_workers or _cores(), num_images)
    written: dict[str, list[WrittenImage]] = {split: [] for split in SPLITS}
    jobs = [(split, i) for split in SPLITS for i in range(parameters.count(split))]
    for done, image in enumerate(_run(out_dir, parameters, jobs, workers), 1):
        written[image.split].append(image)
        if progress is not None:
            progress(done)
    for split in SPLITS:
        _write_annotations(out_dir, parameters, split, written[split])
    _write_json(out_dir / DETECTIONS, [d for image in written['val'] for d in image.detections])
    _write_class_names(out_dir, parameters.tasks)
    people = sum(not a['iscrowd'] for s in SPLITS for image in written[s] for a in image.persons)
    _write_manifest(out_dir, parameters, people)
    return Summary(out_dir, num_images, people, written=True)


def scene_of(
    seed: int,
    split: str,
    index: int,
    image_size: tuple[int, int] = (320, 240),
    part_labels: bool = False,
) -> Scene:
    """Render one image of a dataset, as `synthesize` does.

    Args:
        seed: Seed of the dataset.
        split: ``'train'`` or ``'val'``.
        index: Number of the image in its split, from 0 on.
        image_size: Width and height.
        part_labels: Whether to label the parts of people.
    """
    return render_scene(_generator(seed, split, index), image_size, part_labels)


def _generator(seed: int, split: str, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS.index(split), index])


def _check_folder(out_dir: Path, parameters: Parameters, overwrite: bool) -> Summary | None:
    """Return a summary if the dataset is there already, None if it is to be written."""
    if out_dir.exists() and not out_dir.is_dir():
        raise FileExistsError(f'{out_dir} is a file; choose a folder')
    if not out_dir.exists() or not any(out_dir.iterdir()):
        return None
    manifest = _read_manifest(out_dir)
    there = {'tasks': ['pose'], **manifest['parameters']}
    expected = {'tasks': ['pose'], **parameters.manifest()}
    has_tasks = isinstance(there['tasks'], list) and set(expected['tasks']) <= set(
        map(str, there['tasks'])
    )
    if {**there, 'tasks': None} == {**expected, 'tasks': None} and has_tasks:
        if manifest['people'] is None:
            return None
        return Summary(out_dir, parameters.num_images, manifest['people'], written=False)
    if overwrite:
        return None
    differing = ', '.join(
        f'{name} {there.get(name)} there, {value} requested'
        for name, value in expected.items()
        if there.get(name) != value
    )
    raise FileExistsError(
        f'{out_dir} holds a synthetic dataset with other parameters ({differing}); choose '
        'another folder or overwrite it (--overwrite)'
    )


def _read_manifest(out_dir: Path) -> dict[str, Any]:
    """Read the manifest of a folder that is not empty."""
    left_alone = 'its files are left alone; choose another folder'
    try:
        manifest = read_json(out_dir / MANIFEST)
    except FileNotFoundError:
        raise FileExistsError(
            f'{out_dir} holds files that are not a synthetic dataset (no {MANIFEST}), and '
            f'{left_alone}'
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise FileExistsError(
            f'{out_dir} has a damaged {MANIFEST} ({reason}); {left_alone}'
        ) from error
    ours = isinstance(manifest, dict) and isinstance(manifest.get('parameters'), dict)
    if not ours or not isinstance(manifest.get('people', ''), int | None):
        raise FileExistsError(
            f"{out_dir} has a {MANIFEST} of another kind; expected a dict with 'parameters', a "
            f"dict, and 'people', a number or null; {left_alone}"
        )
    return manifest


def _write_manifest(out_dir: Path, parameters: Parameters, people: int | None) -> None:
    """Note what the folder holds; without ``people`` it is unfinished."""
    _write_json(out_dir / MANIFEST, {'parameters': parameters.manifest(), 'people': people})


def _write_json(path: Path, content: object) -> None:
    _write_text(path, json.dumps(content))


def _write_text(path: Path, content: str) -> None:
    """Write at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + '.tmp')
    draft.write_text(content)
    draft.replace(path)


def _clear(out_dir: Path, parameters: Parameters) -> None:
    """Remove a dataset, and make the folders of images and label maps."""
    kinds = 'annotations', 'person_detection_results', 'segmentation', 'classification'
    for name in (*kinds, *(f'{split}2017' for split in SPLITS)):
        shutil.rmtree(out_dir / name, ignore_errors=True)
    for split in SPLITS:
        (out_dir / f'{split}2017').mkdir(parents=True)
        if 'segmentation' in parameters.tasks:
            for name in SEGMENTATIONS:
                _label_map_folder(out_dir, name, split).mkdir(parents=True)


def _label_map_folder(out_dir: Path, name: str, split: str) -> Path:
    return out_dir / 'segmentation' / name / f'{split}2017'


def _cores() -> int:
    """Return the number of cores this process may use; of all, where the system does not tell."""
    if sys.platform == 'linux':
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class WrittenImage:
    """An image on disk, and what is to be written about it.

    Attributes:
        split: ``train`` or ``val``.
        image_id: Its id.
        persons: Annotations with keypoints.
        instances: The same with exact masks; empty without the task detection.
        detections: Of a simulated detector.
        labels: Its label in each of CLASSIFICATIONS.
    """

    split: str
    image_id: int
    persons: list[Annotation]
    instances: list[Annotation]
    detections: list[dict[str, Any]]
    labels: dict[str, int]


Job = tuple[str, int]  # split and number of an image


def _run(
    out_dir: Path, parameters: Parameters, jobs: list[Job], workers: int
) -> Iterator[WrittenImage]:
    """Write images, and yield their annotations in the order of the jobs."""
    work = partial(_write_image, out_dir, parameters)
    if workers == 1:
        yield from map(work, jobs)
        return
    # A forked worker need not import the package, and with it torch, again.
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    with context.Pool(workers, _start_worker) as pool:
        yield from pool.imap(work, jobs, chunksize=8)


def _start_worker() -> None:
    # Ctrl-C reaches the whole group: the parent says so and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _write_image(out_dir: Path, parameters: Parameters, job: Job) -> WrittenImage:
    split, index = job
    generator = _generator(parameters.seed, split, index)
    scene = render_scene(generator, parameters.image_size, 'segmentation' in parameters.tasks)
    image_id = FIRST_ID[split] + index
    path = out_dir / f'{split}2017' / _file_name(image_id)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(82, 97))]
    if not cv2.imwrite(str(path), scene.image, quality):
        raise OSError(f'cannot write {path}')
    if 'segmentation' in parameters.tasks:
        for name, labels in label_maps(scene).items():
            label_path = _label_map_folder(out_dir, name, split) / f'{path.stem}.png'
            write_label_map(label_path, labels, SEGMENTATIONS[name].palette)
    instances = []
    if 'detection' in parameters.tasks:
        instances = [*map(instance_annotation, scene.annotations, scene.masks)]
    return WrittenImage(
        split,
        image_id,
        [{'image_id': image_id, **annotation} for annotation in scene.annotations],
        [{'image_id': image_id, **annotation} for annotation in instances],
        [{'image_id': image_id, 'category_id': 1, **detection} for detection in scene.detections],
        image_labels(scene),
    )


def _write_annotations(
    out_dir: Path, parameters: Parameters, split: str, images: list[WrittenImage]
) -> None:
    """Write the annotation files of a split, for all tasks."""
    persons = [annotation for image in images for annotation in image.persons]
    coco = _coco(parameters, split, persons)
    _write_json(out_dir / f'annotations/person_keypoints_{split}2017.json', coco)
    if 'detection' in parameters.tasks:
        instances = [annotation for image in images for annotation in image.instances]
        coco = _coco(parameters, split, instances, keypoints=False)
        _write_json(out_dir / f'annotations/instances_{split}2017.json', coco)
    if 'classification' in parameters.tasks:
        for name in CLASSIFICATIONS:
            lines = [f'{_file_name(i.image_id)} {i.labels[name]}\n' for i in images]
            _write_text(out_dir / f'classification/{name}/{split}2017.txt', ''.join(lines))


def _write_class_names(out_dir: Path, tasks: tuple[str, ...]) -> None:
    if 'segmentation' in tasks:
        for name, segmentation in SEGMENTATIONS.items():
            _write_json(out_dir / f'segmentation/{name}/metainfo.json', segmentation.metainfo)
    if 'classification' in tasks:
        for name, classes in CLASSIFICATIONS.items():
            lines = ''.join(f'{label}\n' for label in classes)
            _write_text(out_dir / f'classification/{name}/classes.txt', lines)


def _file_name(image_id: int) -> str:
    return f'{image_id:012d}.jpg'


def _coco(
    parameters: Parameters, split: str, annotations: list[Annotation], keypoints: bool = True
) -> dict[str, Any]:
    category: dict[str, Any] = {'id': 1, 'name': 'person', 'supercategory': 'person'}
    if keypoints:
        category['keypoints'] = list(KEYPOINTS)
        category['skeleton'] = [list(bone) for bone in SKELETON]
    width, height = parameters.image_size
    first = FIRST_ID[split]
    return {
        'info': {
            'description': f'Synthetic people, {split}, seed {parameters.seed}',
            'version': str(parameters.generator_version),
            'year': 2025,
            'contributor': 'hrnet_plugin',
            'url': '',
            'date_created': '',
        },
        'licenses': [{'id': 1, 'name': 'CC0 1.0', 'url': ''}],
        'images': [
            {
                'id': image_id,
                'file_name': _file_name(image_id),
                'width': width,
                'height': height,
                'license': 1,
            }
            for image_id in range(first, first + parameters.count(split))
        ],
        'annotations': [{'id': first + i, **a} for i, a in enumerate(annotations)],
        'categories': [category],
    }
