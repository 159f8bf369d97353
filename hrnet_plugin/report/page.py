"""The page of a report: from what its JSON file holds, and pictures, to one HTML file.

Every text of a file goes through the template or through matplotlib, which both escape it.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from . import charts
from .skeleton import Skeleton

HERE = Path(__file__).parent
COMPACT: dict[str, Any] = dict(ensure_ascii=False, allow_nan=False, separators=(',', ':'))
# What errors are called, and what they are
ERRORS = {
    'jitter': ('Jitter', 'J: near its place, but not exactly there (similarity 0.5 to 0.85)'),
    'inversion': ('Inversion', 'I: left and right of the same person are exchanged'),
    'swap': ('Swap', 'S: on another person'),
    'miss': ('Miss', 'M: near no such keypoint (similarity below 0.5)'),
    'score': ('Score', 'scores rank worse predictions before better ones'),
    'background': ('Background', 'a detection on nothing, or a second one of the same person'),
    'missed': ('Missed person', 'an annotated person without a detection'),
}
GOOD = ('Good', 'in its place (similarity above 0.85)')
TITLES = {name: title for name, (title, _) in ERRORS.items()}
KEYPOINT_ERRORS = ('jitter', 'inversion', 'swap', 'miss')
# How keypoints are divided
GROUPS = {
    'size': ('By size', 'Areas of people as COCO divides them, at 32² and 96² pixels.'),
    'labelled': ('By number of labelled keypoints', 'How much of a person is in the picture.'),
    'crowding': ('By crowding', 'How much people overlap with others.'),
    'visibility': ('By visibility', 'Keypoints that are seen, and those that are hidden.'),
}
METRIC_TITLES = {
    'AP': 'AP, OKS 0.50 to 0.95',
    'AP .5': 'AP at OKS 0.50',
    'AP .75': 'AP at OKS 0.75',
    'AP (M)': 'AP, medium people',
    'AP (L)': 'AP, large people',
    'AR': 'AR, OKS 0.50 to 0.95',
    'AR .5': 'AR at OKS 0.50',
    'AR .75': 'AR at OKS 0.75',
    'AR (M)': 'AR, medium people',
    'AR (L)': 'AR, large people',
}


def render(
    report: Mapping[str, Any],
    places: np.ndarray,
    pictures: Mapping[str, bytes],
) -> str:
    """Return the page of a report.

    Args:
        report: What the JSON file of the report holds.
        places: Where to draw the keypoints (K, 2).
        pictures: JPEG files, by the names that cards of the galleries give in ``'picture'``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from jinja2.utils import htmlsafe_json_dumps

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = _Page(report, places)
    return environment.get_template('page.html.j2').render(
        version=report['version'],
        title=page.title,
        subtitle=page.subtitle,
        tiles=page.tiles(),
        important=report['notes'],
        sections=page.sections(),
        css=_trusted((HERE / 'page.css').read_text(encoding='utf-8')),
        script=_trusted((HERE / 'page.js').read_text(encoding='utf-8')),
        data=htmlsafe_json_dumps(_page_data(report, pictures), **COMPACT),
    )


def _trusted(text: str) -> Any:
    """Mark text as markup: of our own files, or escaped already."""
    from markupsafe import Markup

    return Markup(text)


def _page_data(report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what the script of the page reads."""
    number_of = {name: number for number, name in enumerate(pictures)}

    def with_number(card: Mapping[str, Any]) -> dict[str, Any]:
        card = dict(card)
        name = card.pop('picture', None)
        if name in number_of:
            card['picture'] = number_of[name]
        return card

    return dict(
        names=report['skeleton']['names'],
        links=report['skeleton']['links'],
        codes=['good', *KEYPOINT_ERRORS],
        errors=TITLES,
        models=[model['name'] for model in report['models']],
        cards=[with_number(card) for card in report['gallery']],
        pairs=[
            dict(pair, a=with_number(pair['a']), b=with_number(pair['b']))
            for pair in report['changed']
        ],
        pictures=[
            f'data:image/jpeg;base64,{base64.b64encode(data).decode()}'
            for data in pictures.values()
        ],
    )


class _Page:
    """Words, tables and charts of a report."""

    def __init__(self, report: Mapping[str, Any], places: np.ndarray) -> None:
        self.report = report
        self.models: Sequence[Mapping[str, Any]] = report['models']
        self.comparison: Mapping[str, Any] | None = report['comparison']
        self.names: list[str] = report['skeleton']['names']
        skeleton = report['skeleton']
        self.skeleton = Skeleton(
            tuple(skeleton['names']),
            tuple(skeleton['sigmas']),
            tuple((a, b) for a, b in skeleton['links']),
        )
        self.places = places

    @property
    def title(self) -> str:
        return 'Evaluation of ' + ' and '.join(model['name'] for model in self.models)

    @property
    def subtitle(self) -> str:
        given = self.report['annotations']
        parts = [
            f'{given["images"]:,} images',
            f'{given["instances"]:,} annotated people that count',
            *(
                f'{model["detections"]:,} detections'
                + (f' in {model["name"]}' if len(self.models) > 1 else '')
                for model in self.models
            ),
            f'against {given["source"]}',
        ]
        return ' · '.join(parts)

    def tiles(self) -> list[dict[str, str]]:
        """Return what the first screen says: AP, and what costs most."""
        tiles = [
            dict(
                kind=('', 'second')[number],
                label=f'AP of {model["name"]}',
                value=_number(model['metrics']['coco/AP']['value']),
                text=_interval_words(model['metrics']['coco/AP'], self.confidence),
            )
            for number, model in enumerate(self.models)
        ]
        if self.comparison is not None:
            tiles.append(self._difference_tile())
        for model in self.models:
            costliest = _costliest(model['diagnosis'])
            if costliest is not None:
                name, gain = costliest
                title, what = ERRORS[name]
                what = what.partition(': ')[2] or what
                label = f'Costliest error{self._of(model)}'
                text = f'It takes {gain:.3f} of AP, more than any other: {what}.'
                tiles.append(dict(kind='cost', label=label, value=title, text=text))
        return tiles

    @property
    def confidence(self) -> float:
        return self.report['options']['confidence']

    def _of(self, model: Mapping[str, Any]) -> str:
        return f' of {model["name"]}' if len(self.models) > 1 else ''

    def _difference_tile(self) -> dict[str, str]:
        assert self.comparison is not None
        row = self.comparison['metrics']['coco/AP']
        return dict(
            kind='plain',
            label='Difference in AP, second minus first',
            value=_signed(row['value']),
            text=f'{_interval_words(row, self.confidence)} {_verdict(row, self.models)}',
        )

    def sections(self) -> list[dict[str, Any]]:
        made = [
            self._summary(),
            *([self._compared()] if self.comparison is not None else []),
            self._errors(),
            self._keypoints(),
            self._breakdown(),
            self._calibration(),
            self._gallery(),
            *([self._changed()] if self.report['changed'] else []),
            self._settings(),
        ]
        return [
            {'text': [], 'legend': [], 'blocks': [], 'gallery': '', **section}
            for section in made
            if section
        ]

    def _summary(self) -> dict[str, Any]:
        columns = ['Metric']
        for model in self.models:
            columns += [model['name'], 'interval']
        rows = []
        for name in self.models[0]['metrics']:
            row = [METRIC_TITLES.get(name.partition('/')[2], name)]
            for model in self.models:
                value = model['metrics'][name]
                row += [_number(value['value']), _interval(value)]
            rows.append(row)
        text = (
            'Average precision (AP) and recall (AR) of keypoints, as COCO defines them, from 0 to '
            '1; – where nothing is annotated.'
        )
        if any('low' in value for value in self.models[0]['metrics'].values()):
            text += (
                f' Intervals say how much chance there is in which images were evaluated: '
                f'{self.confidence:.0%} of resamples of the images are within.'
            )
        caption = 'The ten numbers of COCO’s keypoint evaluation'
        return _section('summary', 'Summary', text, _table(caption, columns, rows))

    def _compared(self) -> dict[str, Any]:
        assert self.comparison is not None
        metrics = self.comparison['metrics']
        labels = [METRIC_TITLES.get(name.partition('/')[2], name) for name in metrics]
        rows = [
            [
                label,
                _signed(row['value']),
                _interval(row, signed=True),
                f'{row["share_better"]:.1%}',
                _number(row['p']),
                'yes' if row['more_than_chance'] else 'no',
            ]
            for label, row in zip(labels, metrics.values())
        ]
        caption = 'Differences, second minus first'
        columns = [
            *('Metric', 'difference', 'interval', 'resamples in which the second is better'),
            *('p', 'more than chance'),
        ]
        svg = charts.intervals(
            'comparison',
            labels,
            {'difference': [_triple(row) for row in metrics.values()]},
            'difference, second minus first',
            zero=True,
        )
        chart = _chart(
            svg,
            'Each difference with its interval. Where the interval does not cross the line at 0, '
            'the difference is more than chance.',
            _table(caption, columns, rows),
        )
        text = (
            f'Both were evaluated on the same images, drawn again and again: '
            f'{self.models[1]["name"]} minus {self.models[0]["name"]}. '
            f'{_verdict(metrics["coco/AP"], self.models)}'
        )
        return _section('comparison', 'Comparison', text, charts=[chart])

    def _errors(self) -> dict[str, Any]:
        blocks = []
        for number, model in enumerate(self.models):
            diagnosis = model['diagnosis']
            steps = diagnosis['costs']
            gains = _gains(diagnosis)
            if not gains:
                continue
            made = [
                _chart(
                    charts.costs(f'costs-{number}', gains, TITLES),
                    'Errors are mended one kind after another, from top to bottom; a bar is the '
                    'AP that this gains. The longest bar is where work pays most.',
                    _table(
                        'AP after mending each kind of error, cumulatively',
                        ['Mended', 'AP', 'gain', *(f'area, OKS {t}' for t in diagnosis['areas'])],
                        [
                            [
                                'nothing' if n == 0 else TITLES[step['step']],
                                _number(step['ap']),
                                '' if n == 0 else _signed(gains[step['step']]),
                                *(_number(area) for area in step['areas']),
                            ]
                            for n, step in enumerate(steps)
                        ],
                    ),
                    'AP that each error takes',
                )
            ]
            for t, (threshold, curves) in enumerate(diagnosis['curves'].items()):
                name = f'curves-{number}-{t}'
                svg = charts.precision_recall(
                    name,
                    float(threshold),
                    [step['step'] for step in steps],
                    np.array(curves, float),
                    [step['areas'][t] for step in steps],
                )
                made.append(
                    _chart(
                        svg,
                        'The lowest area is under the curve of the predictions as they are; each '
                        'area above it is what mending one kind of error adds.',
                        None,
                        f'Precision over recall at OKS {threshold}',
                    )
                )
            blocks.append(_block(model['name'] if len(self.models) > 1 else '', charts=made))
        return dict(
            id='errors',
            title='Where AP is lost',
            text=[
                'Each detection is compared with the people that are annotated in its image, and '
                'each wrong keypoint is explained (Ronchi and Perona, “Benchmarking and Error '
                'Diagnosis in Multi-Instance Pose Estimation”, 2017).'
            ],
            legend=self._legend(['good', *ERRORS]),
            blocks=blocks,
        )

    def _legend(self, names: Iterable[str]) -> list[dict[str, Any]]:
        entries = []
        for name in names:
            title, text = GOOD if name == 'good' else ERRORS[name]
            entries.append(dict(name=name, title=title, text=text))
        return entries

    def _keypoints(self) -> dict[str, Any]:
        blocks = []
        for number, model in enumerate(self.models):
            counts = np.array(model['diagnosis']['keypoint_counts'], float).reshape(-1, 5)
            total = counts.sum(axis=1)
            with np.errstate(invalid='ignore'):
                share = np.where(total[:, None] > 0, counts / total[:, None], 0)
                wrong = np.where(total > 0, 1 - share[:, 0], np.nan)
            order = ('good', *KEYPOINT_ERRORS)
            shares = {name: share[:, n] for n, name in enumerate(order)}
            table = _table(
                'Labelled keypoints of matched detections',
                ['Keypoint', *(GOOD[0] if n == 'good' else TITLES[n] for n in order), 'all'],
                [
                    [f'{k + 1} {name}', *(f'{int(c):,}' for c in counts[k]), f'{int(total[k]):,}']
                    for k, name in enumerate(self.names)
                ],
            )
            drawn = charts.skeleton_drawing(
                f'skeleton-{number}', self.skeleton, self.places, wrong
            )
            bars = charts.keypoint_bars(f'keypoints-{number}', self.names, shares)
            blocks.append(
                _block(
                    model['name'] if len(self.models) > 1 else '',
                    charts=[
                        _chart(drawn, _skeleton_words(wrong)),
                        _chart(
                            bars,
                            'Of the labelled keypoints of detected people, how many are good, and '
                            'what is wrong with the others.',
                            table,
                        ),
                    ],
                )
            )
        return dict(
            id='keypoints',
            title='Errors by keypoint',
            text=['Which keypoints are wrong, how often, and in which way.'],
            legend=self._legend(['good', *KEYPOINT_ERRORS]),
            blocks=blocks,
        )

    def _breakdown(self) -> dict[str, Any]:
        groups = list(dict.fromkeys(row['by'] for row in self.models[0]['breakdown']))
        made = list(filter(None, (self._group_chart(by) for by in groups if by in GROUPS)))
        if not made:
            return {}
        return dict(
            id='breakdown',
            title='Parts of the data',
            text=[
                'Where it does well, and where not: points are the share of keypoints that are '
                'good, bars its 95% interval. A wide one: few keypoints, little certainty.'
            ],
            blocks=[_block(charts=made)],
        )

    def _group_chart(self, by: str) -> dict[str, Any] | None:
        """Return the chart of one way to divide keypoints; None if no group has any."""
        title, text = GROUPS[by]
        rows = [
            [row for row in model['breakdown'] if row['by'] == by and row['n']]
            for model in self.models
        ]
        labels = list(dict.fromkeys(row['group'] for each in rows for row in each))
        if not labels:
            return None
        series, table = {}, []
        for model, each in zip(self.models, rows):
            by_group = {row['group']: row for row in each}
            series[model['name']] = [_good(by_group.get(label)) for label in labels]
            table += [self._group_row(model, by_group[g]) for g in labels if g in by_group]
        columns = [title, 'people', 'keypoints', 'recall at OKS 0.5', 'mean OKS', 'good']
        columns += ['interval', *(TITLES[error] for error in KEYPOINT_ERRORS)]
        svg = charts.intervals(f'breakdown-{by}', labels, series, 'share of good keypoints')
        return _chart(svg, text, _table(title, columns, table), title)

    def _group_row(self, model: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
        people = row['num_instances']
        good, low, high = _good(row)
        return [
            row['group'] + (f', {model["name"]}' if len(self.models) > 1 else ''),
            '–' if people is None else f'{people:,}',
            f'{row["n"]:,}',
            _number(row['recall']),
            _number(row['mean_oks']),
            f'{good:.1%}',
            f'{low:.1%} to {high:.1%}',
            *(f'{share:.1%}' for share in row['share'][1:]),
        ]

    def _calibration(self) -> dict[str, Any]:
        blocks = []
        for number, model in enumerate(self.models):
            calibration = model['calibration']
            made, text = [], list(calibration['notes'])
            for kind in ('keypoints', 'instances'):
                part = calibration.get(kind)
                if part is None:
                    continue
                curves = {'as predicted': _curve(part['predicted'])}
                if part.get('calibrated'):
                    curves['calibrated'] = _curve(part['calibrated'])
                svg = charts.reliability(f'reliability-{kind}-{number}', curves, part['event'])
                made.append(
                    _chart(
                        svg,
                        _calibration_words(kind, part),
                        _calibration_table(kind, part, self.names),
                        f'{kind.capitalize()}: right if {part["event"]}',
                    )
                )
            title = model['name'] if len(self.models) > 1 else ''
            blocks.append(_block(title, text, charts=made))
        return dict(
            id='calibration',
            title='What scores say',
            text=[
                'A score should say how often a prediction is right: of all with a score of 0.8, '
                '80% should be. On the dotted line it does; below it, scores promise too much.'
            ],
            blocks=blocks,
        )

    def _gallery(self) -> dict[str, Any]:
        shown, found = len(self.report['gallery']), self.report['gallery_total']
        text = [
            'Truth is drawn with solid lines and circles, the prediction with dashed lines and '
            'squares, other people with dotted lines. Letters mark wrong keypoints, with a line '
            'to their place.',
            f'The {shown:,} costliest of {found:,} instances with errors, of each kind of error.',
        ]
        if not self.report['images']['shown']:
            text.append(self.report['images']['text'])
        return dict(id='gallery', title='The worst', text=text, gallery='cards')

    def _changed(self) -> dict[str, Any]:
        return dict(
            id='changed',
            title='Changes',
            text=[
                'Images by how much the mean OKS of their people changed from '
                f'{self.models[0]["name"]} to {self.models[1]["name"]}, people without a '
                'detection counting as 0.'
            ],
            gallery='pairs',
        )

    def _settings(self) -> dict[str, Any]:
        options, given = self.report['options'], self.report['annotations']
        rows = [
            ['Annotations', given['source']],
            *[[f'Results{self._of(model)}', model['source']] for model in self.models],
            ['Images', self.report['images']['text']],
            ['Detections that count in each image', str(options['max_dets'])],
            ['Areas', 'as annotated' if options['use_area'] else '0.53 of the boxes'],
            ['Resamples, seed', f'{options["resamples"]}, {options["seed"]}'],
        ]
        sigmas = _table(
            'Keypoints',
            ['Keypoint', 'sigma', 'mirrored'],
            [
                [f'{k + 1} {name}', f'{sigma:g}', self._mirrored(k)]
                for k, (name, sigma) in enumerate(zip(self.names, self.skeleton.sigmas))
            ],
        )
        return dict(
            id='settings',
            title='Settings',
            blocks=[
                _block(table=_table('Files and options', ['What', 'value'], rows, True)),
                _block(table=sigmas),
            ],
        )

    def _mirrored(self, k: int) -> str:
        pairs = self.report['skeleton']['flip_pairs']
        partner = next((b if a == k else a for a, b in pairs if k in (a, b)), None)
        return '–' if partner is None else self.names[partner]


def _section(
    id: str,
    title: str,
    text: str,
    table: dict[str, Any] | None = None,
    charts: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    return dict(id=id, title=title, text=[text], blocks=[_block(table=table, charts=charts)])


def _block(
    title: str = '',
    text: Sequence[str] = (),
    table: dict[str, Any] | None = None,
    charts: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    return dict(title=title, text=list(text), table=table, charts=list(charts))


def _chart(
    svg: str, text: str, table: dict[str, Any] | None = None, title: str = ''
) -> dict[str, Any]:
    return dict(svg=_trusted(svg), text=text, table=table, title=title)


def _table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: bool = False
) -> dict[str, Any]:
    rows = [list(row) for row in rows]
    return dict(caption=caption, columns=list(columns), rows=rows, words=words)


def _number(value: float | None) -> str:
    return '–' if value is None or value < 0 else f'{value:.3f}'


def _signed(value: float | None) -> str:
    if value is None:
        return '–'
    return f'{"+" if value >= 0 else "−"}{abs(value):.3f}'


def _interval(value: Mapping[str, Any], signed: bool = False) -> str:
    if value.get('low') is None:
        return '–'
    word = _signed if signed else _number
    return f'{word(value["low"])} to {word(value["high"])}'


def _interval_words(value: Mapping[str, Any], confidence: float) -> str:
    if value.get('low') is None:
        return 'Without an interval.'
    signed = 'p' in value
    return f'{confidence:.0%} interval {_interval(value, signed)}.'


def _triple(value: Mapping[str, Any]) -> tuple[float, float, float]:
    numbers = (value.get('value'), value.get('low'), value.get('high'))
    middle = numbers[0]
    if middle is None:
        return (np.nan, np.nan, np.nan)
    low, high = (middle if v is None else v for v in numbers[1:])
    return middle, low, high


def _verdict(row: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    if not row['more_than_chance']:
        return 'That may be chance.'
    better = models[1 if row['value'] > 0 else 0]['name']
    return f'{better} is better, by more than chance.'


def _gains(diagnosis: Mapping[str, Any]) -> dict[str, float]:
    """Return the AP that each step of mending errors gains, after those before it."""
    steps = diagnosis['costs']
    if not steps or min(step['ap'] for step in steps) < 0:
        return {}
    return {step['step']: step['ap'] - last['ap'] for last, step in pairwise(steps)}


def _costliest(diagnosis: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the error that takes most AP, and how much; None if none does."""
    gains = _gains(diagnosis)
    name = max(gains, key=lambda each: gains[each], default=None)
    return None if name is None or gains[name] <= 0 else (name, gains[name])


def _good(row: Mapping[str, Any] | None) -> tuple[float, float, float]:
    """Return the share of good keypoints, and its interval."""
    if row is None or row['share'][0] is None:
        return (np.nan, np.nan, np.nan)
    return (row['share'][0], *row['interval'][0])


def _curve(part: Mapping[str, Any]) -> dict[str, np.ndarray]:
    nan = float('nan')
    names = ('edges', 'count', 'mean_score', 'share_correct', 'low', 'high')
    return {
        name: np.array([nan if value is None else value for value in part[name]], float)
        for name in names
    }


def _skeleton_words(wrong: np.ndarray) -> str:
    known = wrong[np.isfinite(wrong)]
    if not len(known):
        return 'No keypoint is labelled in a detected person. Numbers are those of the bars.'
    return (
        f'Larger and fuller circles: more often wrong, from {known.min():.0%} to '
        f'{known.max():.0%} of the labelled keypoints. Numbers are those of the bars.'
    )


def _calibration_words(kind: str, part: Mapping[str, Any]) -> str:
    text = f'Expected calibration error (ECE) {_number(part["predicted"]["ece"])}'
    fits = part['fits']
    if fits:
        listed = ', '.join(
            f'{_number(fit["ece_before"])} becomes {_number(fit["ece_after"])} with {method}'
            for method, fit in fits.items()
        )
        text += f'. Calibrated on one half of the images, on the other half: {listed}'
    return f'{text}. The bars below count {kind}.'


def _calibration_table(kind: str, part: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if kind == 'keypoints':
        groups = part['by_keypoint']
        rows = [
            [f'{k + 1} {name}', _number(groups[k]['ece']), f'{groups[k]["total"]:,}']
            for k, name in enumerate(names)
        ]
        return _table('ECE by keypoint', ['Keypoint', 'ECE', 'number'], rows)
    predicted = part['predicted']
    rows = [
        [
            f'{low:.1f} to {high:.1f}',
            f'{count:,}',
            _number(predicted['mean_score'][n]),
            _number(predicted['share_correct'][n]),
        ]
        for n, (low, high, count) in enumerate(
            zip(predicted['edges'], predicted['edges'][1:], predicted['count'])
        )
    ]
    return _table('By score', ['Score', 'number', 'mean score', 'share right'], rows)
