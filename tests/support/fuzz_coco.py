"""Compare evaluation and error diagnosis with others on many random scenes: ``make fuzz``."""

import argparse
import time

import numpy as np

from hrnet_plugin.functional import diagnose_keypoints

from .coco_scenes import ARRAYS, STATS, assert_same, make_scene, make_wild_scene
from .reference_diagnosis import assert_same_diagnosis, diagnose_slowly, make_diagnosis_scene


def compare_evaluations(seeds: range) -> str:
    """Compare with pycocotools."""
    identical, informative = 0, 0
    for seed in seeds:
        scene = (make_scene if seed % 5 == 0 else make_wild_scene)(seed)
        if not scene.dt:
            continue  # pycocotools fails without any detection
        ours, theirs = scene.ours(), scene.theirs()
        try:
            assert_same(ours, theirs)
        except AssertionError as error:
            raise SystemExit(f'scene {seed} differs: {error}') from None
        informative += 0 < theirs['AP'] < 1
        identical += all(np.array_equal(ours[name], theirs[name]) for name in (*STATS, *ARRAYS))
    return (
        f'no difference above 1e-12, no match differs; {identical} are identical to the last bit; '
        f'{informative} have an AP between 0 and 1'
    )


def compare_diagnoses(seeds: range) -> str:
    """Compare with plain loops, and each step of the costs with pycocotools."""
    counts, informative = np.zeros(5, int), 0
    for seed in seeds:
        scene = make_diagnosis_scene(seed)
        options = dict(scene.options, sigmas=scene.sigmas, flip_pairs=scene.flip_pairs)
        ours = diagnose_keypoints(scene.gt, scene.dt, **options)
        try:
            assert_same_diagnosis(ours, diagnose_slowly(scene))
        except AssertionError as error:
            raise SystemExit(f'scene {seed} differs: {error}') from None
        counts += ours.counts.sum(axis=0)
        informative += len({step.ap for step in ours.costs.values()}) > 2
    return (
        f'no code differs, nothing else by 1e-9; good, jitter, inversion, swap, miss: '
        f'{", ".join(map(str, counts))}; {informative} have an AP that changes at least twice'
    )


COMPARISONS = dict(evaluation=compare_evaluations, diagnosis=compare_diagnoses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--scenes', type=int, default=10_000)
    parser.add_argument('--first', type=int, default=0, help='seed of the first scene')
    parser.add_argument('--only', choices=COMPARISONS, help='by default, compare both')
    args = parser.parse_args()
    for name in [args.only] if args.only else COMPARISONS:
        start = time.time()
        outcome = COMPARISONS[name](range(args.first, args.first + args.scenes))
        print(
            f'{name}, {args.scenes} scenes from seed {args.first} on: {outcome}; '
            f'{time.time() - start:.0f} s'
        )


if __name__ == '__main__':
    main()
