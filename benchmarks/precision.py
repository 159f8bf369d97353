"""Accuracy of exported files: AP of the demo's pose model on held-out images, by precision."""

import argparse
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from timing import table, use_threads

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / 'configs/demo/td-hm_hrnet-w18-small-v1_demo.py'
DEMO = ROOT / 'work_dirs/demo'
ANNOTATIONS = 'data/annotations/person_keypoints_{}2017.json'
# Name of the file, precision of the network in it, runtime, precision of the runtime
ROWS = (
    ('pose.onnx', 'float32', 'onnxruntime', 'float32'),
    ('half.onnx', 'float16', 'onnxruntime', 'float32'),
    ('int8.onnx', 'int8', 'onnxruntime', 'float32'),
    ('pose.onnx', 'float32', 'openvino', 'float32'),
    ('pose.onnx', 'float32', 'openvino', 'bfloat16'),
    ('int8.onnx', 'int8', 'openvino', 'float32'),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'demo', nargs='?', type=Path, default=DEMO, help='output of the demo; default: %(default)s'
    )
    demo = parser.parse_args().demo
    use_threads()
    print('## Precision\n')
    print(__doc__.splitlines()[0], '\n')
    needed = [demo / 'pose.pth', *(demo / ANNOTATIONS.format(s) for s in ('train', 'val'))]
    if missing := [path for path in needed if not path.exists()]:
        print(
            f'Not measured: there is no {missing[0].name} of the demo. Make it with `make demo`.'
        )
        return
    print(
        'Ground-truth boxes; flip test as in the config. Int8 is calibrated on 200 crops of '
        'training images. Heatmaps: largest difference between ONNX Runtime and PyTorch on the '
        'crops of the self-check, of their range. OpenVINO runs the ONNX files; of int8 files it '
        'computes what is not int8 in float32.\n'
    )
    print(measure(demo))


def measure(demo: Path) -> str:
    """Export and evaluate every row; return the table."""
    from hrnet_plugin.apis import PoseInferencer
    from hrnet_plugin.apis.inference.export import export_files

    weights = str(demo / 'pose.pth')
    # The report goes to stdout, without what loaders print.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        by_torch = average_precision(PoseInferencer(CONFIG, weights, device='cpu'), demo)
        exports = {}
        for name, precision in dict(row[:2] for row in ROWS).items():
            exports[name] = export_files(
                CONFIG,
                weights,
                Path(folder, name),
                precision=precision,
                calibration=demo / ANNOTATIONS.format('train') if precision == 'int8' else None,
            )
        rows: list[list[object]] = [['PyTorch', 'float32', '', '', f'{by_torch:.2f}', '']]
        for name, precision, runtime, computed in ROWS:
            inferencer = PoseInferencer(
                str(Path(folder, name)), device='cpu', runtime=runtime, precision=computed
            )
            ap = average_precision(inferencer, demo)
            size, difference = exports[name].size / 1e6, exports[name].heatmap_difference
            if computed != 'float32':
                precision = f'{precision}, run in {computed}'
            rows.append(
                [runtime, precision, size, difference, f'{ap:.2f}', f'{ap - by_torch:+.2f}']
            )
    return table(['', 'network', 'MB', 'heatmaps', 'AP', 'AP - AP of PyTorch'], rows)


def average_precision(inferencer: Any, demo: Path) -> float:
    """AP in percent on the demo's held-out images with their ground-truth boxes."""
    from hrnet_plugin.functional import evaluate_coco_keypoints

    annotations = str(demo / ANNOTATIONS.format('val'))
    results = inferencer.to_coco(str(demo / 'data/val2017'), bboxes=annotations)
    return 100 * float(evaluate_coco_keypoints(annotations, results)['AP'])


if __name__ == '__main__':
    main()
