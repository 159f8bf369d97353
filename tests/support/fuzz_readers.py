"""Give each command mutated files, and expect errors that name the file: ``make fuzz``."""

import argparse
import logging
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from .readers import READERS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--mutations', type=int, default=1000, help='of each kind of file')
    parser.add_argument('--first', type=int, default=0, help='seed of the first')
    parser.add_argument('--only', choices=READERS, help='one kind of file')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    failures = 0
    for name, read in READERS.items():
        if args.only not in (None, name):
            continue
        start = time.time()
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(args.first, args.first + args.mutations):
                try:
                    read(Path(folder), np.random.default_rng(seed))
                except Exception:
                    failures += 1
                    print(f'{name}, seed {seed}:\n{traceback.format_exc()}')
        print(f'{name}: {args.mutations} mutations, {time.time() - start:.0f} s', flush=True)
    if failures:
        raise SystemExit(f'{failures} mutations failed')


if __name__ == '__main__':
    main()
