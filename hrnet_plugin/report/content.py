"""A report: what it holds, and the files that it writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.atomic_files import write_atomically

# What a page is made with; a report without a page needs neither
PACKAGES = ('matplotlib', 'jinja2')
JSON_FILE, PAGE_FILE = 'report.json', 'report.html'


def require_page_packages() -> None:
    """Raise an ImportError that names the package if one is missing that pages are made with."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise ImportError(f'the page of a report needs {package}: pip install {package}')


@dataclass(frozen=True, eq=False)
class Report:
    """An evaluation of one or two sets of predictions; ``print`` shows its numbers.

    Attributes:
        content: What ``report.json`` holds: ``annotations``, ``options``, ``skeleton``,
            ``notes``, ``images``, ``models``, ``comparison``, ``gallery`` and ``changed``.
        places: Where the page draws the keypoints (K, 2), in 0..1.
        pictures: JPEG files of the page, by the names that entries of the galleries give.
    """

    content: Mapping[str, Any]
    places: np.ndarray = field(repr=False)
    pictures: Mapping[str, bytes] = field(repr=False)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The ten numbers of each set of predictions, by OKSMetric's names."""
        return [
            {name: value['value'] for name, value in model['metrics'].items()}
            for model in self.content['models']
        ]

    def to_json(self, path: str | Path) -> None:
        """Write all numbers, without pictures.

        Raises:
            OSError: The file cannot be written; a former one is unchanged.
        """
        text = json.dumps(self.content, ensure_ascii=False, allow_nan=False, indent=1)
        write_atomically(path, f'{text}\n'.encode('utf-8', 'replace'))

    def to_html(self, path: str | Path) -> None:
        """Write a page that needs no network and no other file.

        Raises:
            ImportError: matplotlib or Jinja2 is missing.
            OSError: The file cannot be written; a former one is unchanged.
        """
        write_atomically(path, self.html().encode('utf-8', 'replace'))

    def html(self) -> str:
        """Return the page."""
        require_page_packages()
        from .page import render

        return render(self.content, self.places, self.pictures)

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """Write ``report.json`` and ``report.html`` to a folder, which is created.

        Both are made before one is written, so that a failure leaves those of a former run.

        Returns:
            The two paths.
        """
        page = self.html().encode('utf-8', 'replace')
        json_path, page_path = Path(folder) / JSON_FILE, Path(folder) / PAGE_FILE
        write_atomically(page_path, page)
        self.to_json(json_path)
        return json_path, page_path

    def __str__(self) -> str:
        """Return the ten numbers as a table, with intervals where there are any."""
        models = self.content['models']
        widths = [max(26, len(model['name'])) for model in models]
        lines = ['  '.join([f'{"":12}', *(m['name'].ljust(w) for m, w in zip(models, widths))])]
        for name in models[0]['metrics']:
            cells = [_cell(m['metrics'][name]).ljust(w) for m, w in zip(models, widths)]
            lines.append('  '.join([f'{name:12}', *cells]))
        if self.content['comparison'] is not None:
            row = self.content['comparison']['metrics']['coco/AP']
            verdict = 'more than chance' if row['more_than_chance'] else 'may be chance'
            lines.append(
                f'difference in AP, second minus first: {row["value"]:+.3f} '
                f'({row["low"]:+.3f} to {row["high"]:+.3f}), {verdict}'
            )
        return '\n'.join(line.rstrip() for line in lines)


def _cell(value: Mapping[str, Any]) -> str:
    text = f'{value["value"]:6.3f}'
    if value.get('low') is not None:
        text += f'  ({value["low"]:.3f} to {value["high"]:.3f})'
    return text
