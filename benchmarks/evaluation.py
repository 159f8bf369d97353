"""COCO keypoint evaluation and OKS-NMS: 5,000 images, with numbers of instances as in COCO."""

import contextlib
import io
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from mmpose.evaluation import functional as stock
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from timing import Ratio, best, compare, ratio_table, table, use_threads

from hrnet_plugin.functional import (
    COCO_SIGMAS,
    diagnose_keypoints,
    evaluate_coco_keypoints,
    oks_nms,
    soft_oks_nms,
)
from hrnet_plugin.functional import compare as compare_files
from hrnet_plugin.functional.coco import accumulate

IMAGES = 5000
CANDIDATES = 30
TARGETS = {
    'evaluation, pycocotools': 40.0,
    'evaluation, faster-coco-eval': 1.0,
    'evaluation, hotcoco': 1.0,
    'oks_nms, 5,000 images': 20.0,
}
STATS = ('AP', 'AP50', 'AP75', 'APM', 'APL', 'AR', 'AR50', 'AR75', 'ARM', 'ARL')


def make_scene(
    detections: int, seed: int = 0, share: float = 0.5
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return 6,700 annotated instances in half of the images, and detections, as arrays.

    Two of five detections are near an annotated instance, the others anywhere. Another ``share``
    of the images has as many more or fewer instances.
    """
    rng = np.random.default_rng(seed)
    counts = np.where(rng.random(IMAGES) < share, np.minimum(rng.geometric(0.374, IMAGES), 20), 0)
    image = np.repeat(np.arange(IMAGES), counts)
    size = np.exp(rng.normal(4.6, 0.8, len(image))).clip(15, 480)[:, None] * [0.5, 1]
    corner = rng.random((len(image), 2)) * [500, 350]
    points = corner[:, None] + rng.random((len(image), 17, 2)) * size[:, None]
    visible = rng.choice([0, 1, 2], (len(image), 17), p=[0.35, 0.1, 0.55])
    visible[rng.random(len(image)) < 0.1] = 0
    area = size.prod(axis=1) * rng.uniform(0.4, 0.7, len(image))
    annotations = dict(
        id=np.arange(len(image)) + 1,
        image_id=image,
        category_id=np.ones(len(image), int),
        keypoints=np.concatenate([points.round(), visible[..., None]], axis=-1),
        bbox=np.concatenate([corner, size], axis=1),
        area=area,
        iscrowd=(rng.random(len(image)) < 0.01).astype(int),
        num_keypoints=(visible > 0).sum(axis=1),
    )
    near = rng.integers(0, len(image), int(0.4 * detections))
    noise = rng.choice([0.02, 0.05, 0.1, 0.3], len(near))
    spread = (noise * np.sqrt(area[near]))[:, None, None]
    anywhere = rng.integers(0, IMAGES, detections - len(near))
    pose = rng.random((len(anywhere), 17, 2)) * np.exp(rng.normal(4, 0.8, (len(anywhere), 1, 1)))
    predicted = np.concatenate(
        [
            points[near] + spread * rng.normal(size=(len(near), 17, 2)),
            rng.random((len(anywhere), 1, 2)) * [500, 350] + pose,
        ]
    )
    predicted = np.concatenate([predicted, rng.random((detections, 17, 1))], axis=-1)
    scores = np.concatenate(
        [rng.random(len(near)) * np.exp(-noise), rng.random(len(anywhere)) ** 3]
    )
    images = np.concatenate([image[near], anywhere])
    order = np.argsort(images, kind='stable')
    gt = dict(images=np.arange(IMAGES), categories=np.ones(1, int), annotations=annotations)
    columns = dict(image_id=images[order], keypoints=predicted[order], score=scores[order])
    return gt, dict(columns, category_id=np.ones(detections, int))


def as_dicts(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    flat = dict(columns, keypoints=columns['keypoints'].reshape(len(columns['keypoints']), -1))
    return [dict(zip(flat, row)) for row in zip(*(column.tolist() for column in flat.values()))]


def as_coco(gt: dict[str, Any]) -> dict[str, Any]:
    return dict(
        info={},
        images=[dict(id=int(n), width=640, height=480) for n in gt['images']],
        categories=[dict(id=1, name='person')],
        annotations=as_dicts(gt['annotations']),
    )


def evaluator(
    coco_class: Any, eval_class: Any, gt: dict[str, Any]
) -> Callable[[list[dict[str, Any]]], np.ndarray]:
    """From result dicts to the ten numbers; the annotations are loaded beforehand."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_class(gt)

    def run(results: list[dict[str, Any]]) -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = eval_class(coco, coco.loadRes(results), 'keypoints')
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return np.asarray(evaluation.stats)

    return run


def indexed(gt: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = gt
    coco.createIndex()
    return coco


def rivals(gt: dict[str, Any]) -> dict[str, Callable[[list[dict[str, Any]]], np.ndarray]]:
    """Evaluators that are installed; those that are not are named."""
    evaluators = {'pycocotools': evaluator(indexed, COCOeval, gt)}
    try:
        from faster_coco_eval import COCO as FasterCOCO
        from faster_coco_eval import COCOeval_faster

        def quiet(*args: Any) -> Any:
            return COCOeval_faster(*args, print_function=lambda *_: None)

        evaluators['faster-coco-eval'] = evaluator(FasterCOCO, quiet, gt)
    except ImportError:
        missing('faster-coco-eval')
    try:
        import hotcoco

        evaluators['hotcoco'] = evaluator(hotcoco.COCO, hotcoco.COCOeval, gt)
    except ImportError:
        missing('hotcoco')
    return evaluators


def missing(name: str) -> None:
    print(f'**{name} is not installed**, and so not compared: `uv sync --group bench`\n')


def compare_evaluation(detections: int) -> dict[str, Ratio]:
    gt, dt = make_scene(detections)
    instances = len(gt['annotations']['id'])
    print(f'{IMAGES} images, {instances} instances, {detections} detections: arrays to numbers')
    print('in ours; in the others result dicts to numbers.\n')
    results = as_dicts(dt)
    expected: Any = None
    ratios = {}
    for name, run in rivals(as_coco(gt)).items():
        # Loading writes into the dicts, and takes another way when it finds its own traces.
        repeats = 3 if name == 'pycocotools' else 7
        copies = iter([[dict(result) for result in results] for _ in range(repeats + 2)])
        theirs = run(next(copies))
        expected = theirs if expected is None else expected
        np.testing.assert_allclose(theirs, expected, rtol=0, atol=1e-9, err_msg=name)

        def stock_run(run: Any = run, copies: Any = copies) -> None:
            run(next(copies))

        ratios[f'evaluation, {name}'] = compare(
            lambda: evaluate_coco_keypoints(gt, dt), stock_run, repeats, warm_up=1
        )
    ours = evaluate_coco_keypoints(gt, dt)
    np.testing.assert_allclose([ours[name] for name in STATS], expected, rtol=0, atol=1e-12)
    print(where_the_time_goes(gt, dt))
    return ratios


def where_the_time_goes(gt: dict[str, Any], dt: dict[str, Any]) -> str:
    options = accumulate.EvaluationOptions.of(None, 20, None, None)
    data = accumulate.read_instances(gt, dt, options, True)
    matching = accumulate.match_instances(data, options)
    parts = {
        'reading, sorting, sizes': lambda: accumulate.read_instances(gt, dt, options, True),
        'OKS and matching': lambda: accumulate.match_instances(data, options),
        'precision and recall': lambda: accumulate.accumulate(data, options, matching),
        'all of the evaluation': lambda: evaluate_coco_keypoints(gt, dt),
        'diagnosis of errors and their costs': lambda: diagnose_keypoints(gt, dt),
        'one pass over the keypoints (the least it can be)': dt['keypoints'].sum,
    }
    rows = [[name, 1e3 * best(part, 9)] for name, part in parts.items()]
    return table(['where the time goes', 'at best (ms)'], rows)


def bootstrap_costs() -> str:
    """As many annotations as in COCO val2017, and two files of detections."""
    gt, dt_a = make_scene(48_000, share=0.82)
    noise = np.random.default_rng(0).normal(0, 1, (48_000, 17, 1))
    dt_b = dict(dt_a, keypoints=dt_a['keypoints'] + noise)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'scene').write_bytes(pickle.dumps((gt, dt_a, dt_b)))
        command = [sys.executable, __file__, '--bootstrap', f'{folder}/scene']
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    instances = len(gt['annotations']['id'])
    rows = [[f'1,000 resamples, {instances} instances, 2 x 48,000', *json.loads(done.stdout)]]
    return table(['comparison of two files', 'seconds', 'beside its input (MB)'], rows)


def bootstrap_cost(scene: str) -> list[float]:
    """Seconds, and resident megabytes at the highest beside the input; -1 without /proc."""
    gt, dt_a, dt_b = pickle.loads(Path(scene).read_bytes())
    compare_files(gt, dt_a, dt_b, resamples=2)  # for imports and caches of the first time
    is_measured = Path('/proc/self/clear_refs').exists()
    if is_measured:
        held = resident('VmRSS')
        Path('/proc/self/clear_refs').write_text('5')  # reset the highest value
    start = time.perf_counter()
    compare_files(gt, dt_a, dt_b)
    seconds = time.perf_counter() - start
    return [seconds, resident('VmHWM') - held if is_measured else -1]


def compare_nms(images: int, function: Any, repeats: int) -> Ratio:
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 40, (images, 10, 17, 2)) + rng.random((images, 10, 1, 2)) * 500
    pick = rng.integers(0, 10, (images, CANDIDATES))[..., None, None]
    keypoints = np.take_along_axis(poses, pick, axis=1)
    keypoints += rng.choice([1, 2, 5], pick.shape) * rng.normal(size=keypoints.shape)
    keypoints = keypoints.astype(np.float32)
    scores = rng.random((images, CANDIDATES), np.float32)
    areas = rng.uniform(2e3, 2e4, (images, CANDIDATES)).astype(np.float32)
    sigmas = np.array(COCO_SIGMAS, np.float32)
    with_scores = np.concatenate([keypoints, np.ones_like(keypoints[..., :1])], axis=-1)
    instances = [
        [dict(keypoints=k, score=s, area=a) for k, s, a in zip(*image)]
        for image in zip(with_scores, scores, areas)
    ]
    flat = keypoints.reshape(-1, 17, 2), scores.ravel(), areas.ravel()
    image = np.repeat(np.arange(images), CANDIDATES)
    theirs = getattr(stock, function.__name__)
    kept: dict[str, Any] = {}

    def ours_run() -> None:
        kept['ours'] = function(*flat, 0.9, sigmas, images=image)

    def stock_run() -> None:
        kept['stock'] = [theirs(of_one, 0.9, sigmas=sigmas) for of_one in instances]

    ratio = compare(ours_run, stock_run, repeats, warm_up=0)
    expected = [CANDIDATES * n + k for n, k in enumerate(kept['stock'])]
    np.testing.assert_array_equal(kept['ours'], np.concatenate(expected))
    return ratio


def compare_memory(detections: int = 104_125) -> str:
    """As many detections as there are in the usual file of detector boxes of COCO val2017."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'scene').write_bytes(pickle.dumps(make_scene(detections)))
        for name in ('ours', 'pycocotools'):
            command = [sys.executable, __file__, '--memory', name, f'{folder}/scene']
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append([name, *json.loads(done.stdout)])
    return table([f'memory for {detections} detections', 'input (MB)', 'beside it (MB)'], rows)


def memory(name: str, scene: str) -> list[float]:
    """Resident megabytes of the input, and at the highest while evaluating beside it."""
    evaluate_coco_keypoints(*make_scene(100))  # for imports and caches of the first time
    before = resident('VmRSS')
    gt, dt = pickle.loads(Path(scene).read_bytes())
    data: tuple[Any, ...] = gt, dt
    evaluate: Callable[..., Any] = evaluate_coco_keypoints
    if name == 'pycocotools':
        evaluate, data = evaluator(indexed, COCOeval, as_coco(gt)), (as_dicts(dt),)
        del gt, dt
    held = resident('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # reset the highest value
    evaluate(*data)
    return [held - before, resident('VmHWM') - held]


def resident(line: str) -> float:
    status = Path('/proc/self/status').read_text().splitlines()
    lines = dict(entry.split(':', 1) for entry in status)
    return int(lines[line].split()[0]) / 1e3


def named(package: str) -> str:
    try:
        return f'{package} {version(package)}'
    except PackageNotFoundError:
        return f'no {package}'


def main() -> None:
    use_threads()
    print('## Evaluation\n')
    print(__doc__.splitlines()[0], '\n')
    ratios = compare_evaluation(48_000)
    ratios['oks_nms, 5,000 images'] = compare_nms(IMAGES, oks_nms, 2)
    ratios['soft_oks_nms, 1,000 images'] = compare_nms(1000, soft_oks_nms, 2)
    print(ratio_table(ratios, TARGETS))
    if Path('/proc/self/clear_refs').exists():
        print(compare_memory())
    print(bootstrap_costs())
    print('With', ', '.join(map(named, ('pycocotools', 'faster-coco-eval', 'hotcoco'))))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--memory']:
        print(json.dumps(memory(*sys.argv[2:])))
    elif sys.argv[1:2] == ['--bootstrap']:
        print(json.dumps(bootstrap_cost(*sys.argv[2:])))
    else:
        main()
