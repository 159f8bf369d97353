"""Draw the costliest errors of each kind, from a report of ``hrnet-plugin evaluate``.

Truth is green and solid, the prediction orange with squares; keypoints with the error have red
squares, and people that were missed have nothing else.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pictures import sheet

KINDS = ('inversion', 'swap', 'miss', 'jitter', 'background', 'missed')
OF_EACH = 2
CODES = ('good', 'jitter', 'inversion', 'swap', 'miss')  # of keypoints in a report
SIDE, CAPTION, MARGIN = 480, 72, 8  # pixels of a cell, of the text above it, and beside the text
FONT = (cv2.FONT_HERSHEY_SIMPLEX, 0.8, 2)  # its face, scale and thickness
TRUTH, PREDICTION, WRONG = (60, 200, 60), (0, 150, 255), (40, 40, 255)  # BGR

Card = dict[str, Any]  # an entry of the report's gallery
Place = list[float] | None


def worst(gallery: Sequence[Card]) -> list[tuple[str, Card]]:
    """Return the costliest cards of each kind of error, and the kind; each card once."""
    chosen: list[tuple[str, Card]] = []
    for kind in KINDS:
        taken = [card for _, card in chosen]
        cards = [card for card in gallery if kind in card['errors'] and card not in taken]
        chosen += [(kind, card) for card in cards[:OF_EACH]]
    return chosen


def draw(kind: str, card: Card, image: np.ndarray, report: dict[str, Any]) -> np.ndarray:
    """Draw a card on its part of an image (h, w, 3); return a cell."""
    links, names = (report['skeleton'][key] for key in ('links', 'names'))
    left, top, right, bottom = (round(v) for v in card['box'])
    part = image[max(top, 0) : bottom, max(left, 0) : right]
    scale = SIDE / max(card['width'], card['height'])
    size = round(card['width'] * scale), round(card['height'] * scale)
    cell = np.full((SIDE + CAPTION, SIDE, 3), 255, np.uint8)
    canvas = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
    has_error = [code == CODES.index(kind) if kind in CODES else False for code in card['codes']]
    for places in (*card['truths'], *card['others']):
        draw_pose(canvas, places, links, scale, TRUTH)
    for places in card['predictions']:
        draw_pose(canvas, places, links, scale, PREDICTION, has_error)
    cell[CAPTION : CAPTION + size[1], : size[0]] = canvas
    wrong = [name.replace('_', ' ') for name, is_wrong in zip(names, has_error) if is_wrong]
    title = {'background': 'nobody, or a second time', 'missed': 'missed person'}.get(kind, kind)
    values = [f'{key} {card[key]:.2f}' for key in ('score', 'oks') if card[key] is not None]
    for row, line in enumerate((', '.join([title, *values]), shorten(wrong))):
        cv2.putText(
            cell, line, (MARGIN, 30 + 32 * row), *FONT[:2], (0, 0, 0), FONT[2], cv2.LINE_AA
        )
    return cell


def shorten(names: Sequence[str]) -> str:
    """Join as many names as a caption has place for."""
    line = ', '.join(names)
    for number in range(len(names) - 1, 0, -1):
        (width, _), _ = cv2.getTextSize(line, *FONT)
        if width <= SIDE - 2 * MARGIN:
            break
        line = ', '.join([*names[:number], '...'])
    return line


def draw_pose(
    canvas: np.ndarray,
    places: Sequence[Place],
    links: Sequence[tuple[int, int]],
    scale: float,
    colour: tuple[int, int, int],
    has_error: Sequence[bool] | None = None,
) -> None:
    """Draw keypoints, null where there is none, on a canvas that is ``scale`` times as large.

    With ``has_error`` they are a prediction's.
    """
    pixels = [None if p is None else (round(p[0] * scale), round(p[1] * scale)) for p in places]
    for a, b in links:
        start, end = pixels[a], pixels[b]
        if start is not None and end is not None:
            cv2.line(canvas, start, end, colour, 2, cv2.LINE_AA)
    for number, pixel in enumerate(pixels):
        if pixel is None:
            continue
        if has_error is None:
            cv2.circle(canvas, pixel, 4, colour, -1, cv2.LINE_AA)
            continue
        is_wrong = bool(has_error) and has_error[number]
        half = 8 if is_wrong else 4
        low, high = ((pixel[0] + each, pixel[1] + each) for each in (-half, half))
        cv2.rectangle(canvas, low, high, WRONG if is_wrong else colour, 3 if is_wrong else 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('report', type=Path, help='report.json')
    parser.add_argument('--images', type=Path, required=True, help='their folder')
    parser.add_argument('--out', type=Path, required=True, help='the picture')
    args = parser.parse_args()
    report = json.loads(args.report.read_text())
    cells = []
    for kind, card in worst(report['gallery']):
        image = cv2.imread(str(args.images / card['file']))
        if image is None:
            raise SystemExit(f'{args.images / card["file"]} is missing or damaged')
        cells.append(draw(kind, card, image, report))
    if not cells:
        raise SystemExit(f'{args.report} has no errors to draw')
    cv2.imwrite(str(args.out), sheet(cells))


if __name__ == '__main__':
    main()
