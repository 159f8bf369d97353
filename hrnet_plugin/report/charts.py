"""The charts of the page, drawn by matplotlib: each says the same in grey as in colour.

Letters for axes: K keypoints, E errors, R recall steps, B bins.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .skeleton import Skeleton
from .svg import COLORS, figure_style, new_figure, to_svg

# Patterns tell areas apart without colour. Dots are many circles, and make files large.
HATCHES = {
    'good': '',
    'jitter': '||||',
    'inversion': '////',
    'swap': '\\\\\\\\',
    'miss': 'xxxx',
    'score': '----',
    'background': '++++',
    'missed': '..',
}
WIDTH = 4.2  # inches of 72 units: nearly as wide as a phone, where text must not become small
ROW = 0.2
SMALL = 8
NUMBERED = 45  # keypoints, from more of which on a drawing has no numbers


def precision_recall(
    name: str, threshold: float, steps: Sequence[str], curves: np.ndarray, areas: Sequence[float]
) -> str:
    """Draw precision over recall, and what each error takes of the area under it.

    Args:
        name: Name of the chart, unique on its page.
        threshold: OKS threshold.
        steps: What was mended, cumulatively; the first is the predictions as they are.
        curves: Precision (len(steps), R) at the recall steps 0 to 1.
        areas: Areas (len(steps),) under the curves.
    """
    recall = np.linspace(0, 1, curves.shape[1])
    with figure_style(name):
        figure = new_figure(WIDTH, 3.1)
        axes = figure.add_subplot()
        axes.grid()
        below = np.zeros_like(recall)
        for number, (step, curve) in enumerate(zip(steps, curves)):
            curve = np.maximum(curve, below)  # a mended error may rank others differently
            color = COLORS['good' if number == 0 else step]
            axes.fill_between(
                recall,
                below,
                curve,
                facecolor=color,
                edgecolor=COLORS['surface'],
                hatch=HATCHES['good' if number == 0 else step],
                linewidth=0,
                alpha=0.35 if number == 0 else 1,
            )
            if number == 0:
                axes.plot(recall, curve, color=COLORS['ink'])
            below = curve
        axes.set(xlim=(0, 1), ylim=(0, 1.005), xlabel='recall', ylabel='precision')
        return to_svg(
            figure,
            name,
            f'Precision over recall at an OKS of {threshold:g}. Area under the curve: '
            + ', '.join(
                f'{area:.3f} {"as predicted" if n == 0 else f"without {step}"}'
                for n, (step, area) in enumerate(zip(steps, areas))
            ),
        )


def keypoint_bars(name: str, names: Sequence[str], shares: Mapping[str, np.ndarray]) -> str:
    """Draw how often each keypoint has each error, as bars that add up to 1.

    Args:
        name: Name of the chart, unique on its page.
        names: Names (K,) of the keypoints.
        shares: Share (K,) of each error, and of good keypoints.
    """
    count = len(names)
    with figure_style(name):
        figure = new_figure(WIDTH, 0.55 + ROW * max(2, count))
        axes = figure.add_subplot()
        rows = np.arange(count)
        left = np.zeros(count)
        for error, share in shares.items():
            axes.barh(
                rows,
                share,
                0.82,
                left,
                facecolor=COLORS[error],
                edgecolor=COLORS['surface'],
                hatch=HATCHES[error],
                linewidth=0.4,
                alpha=0.35 if error == 'good' else 1,
            )
            left = left + share
        labels = [f'{_shortened(n)}  {k + 1}' for k, n in enumerate(names)]
        axes.set_yticks(rows, labels, fontsize=SMALL)
        axes.tick_params(axis='y', length=0)
        axes.set(xlim=(0, 1), ylim=(count - 0.4, -0.6), xlabel='share of the labelled keypoints')
        axes.xaxis.set_major_formatter(lambda value, _: f'{value:.0%}')
        worst = np.argsort(shares['good'], kind='stable')[:3]
        text = ', '.join(f'{names[k]} {shares["good"][k]:.0%}' for k in worst)
        return to_svg(
            figure, name, f'Errors by keypoint. The keypoints that are least often good: {text}'
        )


def skeleton_drawing(name: str, skeleton: Skeleton, places: np.ndarray, wrong: np.ndarray) -> str:
    """Draw the skeleton, with larger and fuller circles where more is wrong.

    Args:
        name: Name of the chart, unique on its page.
        skeleton: The keypoints.
        places: Where to draw them (K, 2), in 0..1, y down.
        wrong: Share (K,) of each that is not good; NaN where it is labelled nowhere.
    """
    known = wrong[np.isfinite(wrong)]
    low, high = known.min(initial=1), known.max(initial=0)
    rank = np.nan_to_num((wrong - low) / max(high - low, 1e-9))
    with_numbers = len(places) <= NUMBERED
    with figure_style(name):
        figure = new_figure(WIDTH * 0.75, WIDTH * 0.75)
        axes = figure.add_subplot()
        for a, b in skeleton.links:
            axes.plot(*places[[a, b]].T, color=COLORS['line'], linewidth=2.5, zorder=1)
        for k, (x, y) in enumerate(places):
            circle = dict(s=(75 if with_numbers else 12) * (1 + rank[k]), linewidth=0.9)
            # Translucent fill on an opaque ground, which hides the links
            axes.scatter(x, y, facecolor=COLORS['surface'], edgecolor='none', zorder=2, **circle)
            axes.scatter(
                x,
                y,
                facecolor=(COLORS['miss'], 0.06 + 0.84 * rank[k]),
                edgecolor=(COLORS['ink'], 1),
                zorder=3,
                **circle,
            )
            if with_numbers:
                axes.annotate(
                    *(str(k + 1), (x, y)),
                    ha='center',
                    va='center_baseline',
                    fontsize=7,
                    fontweight='bold',
                    zorder=4,
                )
        margin = 0.07
        lowest, highest = places.min(axis=0) - margin, places.max(axis=0) + margin
        axes.set(xlim=(lowest[0], highest[0]), ylim=(highest[1], lowest[1]), aspect='equal')
        axes.axis('off')
        return to_svg(figure, name, 'The skeleton, with the numbers of its keypoints')


def reliability(
    name: str,
    curves: Mapping[str, Mapping[str, np.ndarray]],
    right: str,
) -> str:
    """Draw how often predictions are right, by their score.

    Args:
        name: Name of the chart, unique on its page.
        curves: For up to two kinds of scores, ``mean_score`` and ``share_correct`` (B,), NaN in
            empty bins, ``low`` and ``high`` (B,), the interval of the latter, ``count`` (B,) and
            ``edges`` (B + 1,). The numbers of the first kind are drawn below.
        right: What counts as right.
    """
    styles: tuple[dict[str, Any], ...] = (
        dict(color=COLORS['accent'], marker='o', linestyle='-'),
        dict(color=COLORS['accent-2'], marker='s', linestyle='--'),
    )
    first = next(iter(curves.values()))
    with figure_style(name):
        figure = new_figure(WIDTH, 3.7)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.grid()
        axes.plot(
            [0, 1], [0, 1], color=COLORS['muted'], linewidth=1, linestyle=':', label='as promised'
        )
        for (label, curve), style in zip(curves.items(), styles):
            known = np.isfinite(curve['mean_score']) & (curve['count'] > 0)
            score, share, low, high = (
                curve[key][known] for key in ('mean_score', 'share_correct', 'low', 'high')
            )
            errors = np.maximum(0, [share - low, high - share])
            axes.errorbar(
                *(score, share, errors), label=label, markersize=4, elinewidth=0.8, **style
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel='share that is right')
        axes.legend(loc='upper left', fontsize=SMALL)
        below.bar(
            first['edges'][:-1],
            first['count'],
            np.diff(first['edges']),
            align='edge',
            facecolor=COLORS['accent'],
            edgecolor=COLORS['surface'],
            alpha=0.6,
        )
        below.set(xlabel='score', ylabel='number')
        below.locator_params(axis='y', nbins=2)
        return to_svg(figure, name, f'How often predictions are right ({right}), by their score')


def costs(name: str, gains: Mapping[str, float], titles: Mapping[str, str]) -> str:
    """Draw how much AP each error takes, in the order in which they are mended.

    Args:
        name: Name of the chart, unique on its page.
        gains: AP that is gained when an error is mended, after those before it.
        titles: What each error is called.
    """
    with figure_style(name):
        figure = new_figure(WIDTH, 0.5 + 0.3 * len(gains))
        axes = figure.add_subplot()
        axes.grid(axis='x')
        for row, (error, gain) in enumerate(gains.items()):
            axes.barh(
                row,
                gain,
                0.72,
                facecolor=COLORS[error],
                edgecolor=COLORS['surface'],
                hatch=HATCHES[error],
                linewidth=0,
            )
            axes.annotate(
                *(f'{gain:+.3f}', (max(gain, 0), row)),
                xytext=(4, 0),
                textcoords='offset points',
                va='center',
                fontsize=SMALL,
            )
        high = max(*gains.values(), 0.01)
        axes.set(
            xlim=(min(0, *gains.values()) * 1.1, high * 1.18),
            ylim=(len(gains) - 0.45, -0.55),
            xlabel='AP gained when it is mended, after those above',
        )
        axes.set_yticks(range(len(gains)), [titles[error] for error in gains])
        axes.tick_params(axis='y', length=0)
        listed = ', '.join(f'{titles[error]} {gain:+.3f}' for error, gain in gains.items())
        return to_svg(figure, name, f'AP that each error takes: {listed}')


def intervals(
    name: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[tuple[float, float, float]]],
    xlabel: str,
    zero: bool = False,
) -> str:
    """Draw values with their intervals, one row for each label.

    Args:
        name: Name of the chart, unique on its page.
        labels: Labels of the rows.
        series: For up to two kinds, a value, and the lower and upper bound of its interval, of
            each row; NaN where there is none.
        xlabel: What the values are.
        zero: Whether to mark 0, for differences.
    """
    styles: tuple[dict[str, Any], ...] = (
        dict(color=COLORS['accent'], marker='o', linestyle='none'),
        dict(color=COLORS['accent-2'], marker='s', linestyle='none'),
    )
    with figure_style(name):
        figure = new_figure(WIDTH, 0.55 + (0.24 + 0.1 * len(series)) * len(labels))
        axes = figure.add_subplot()
        axes.grid(axis='x')
        if zero:
            axes.axvline(0, color=COLORS['ink'], linewidth=1)
        for number, ((label, rows), style) in enumerate(zip(series.items(), styles)):
            values = np.array(rows, float).reshape(-1, 3)
            y = np.arange(len(labels)) + (number - (len(series) - 1) / 2) * 0.3
            known = np.isfinite(values[:, 0])
            value, low, high = values[known].T
            axes.errorbar(
                value,
                y[known],
                xerr=np.maximum(0, np.nan_to_num([value - low, high - value])),
                label=label,
                markersize=5,
                capsize=3,
                elinewidth=1.4,
                **style,
            )
        axes.set(ylim=(len(labels) - 0.5, -0.5), xlabel=xlabel)
        axes.set_yticks(range(len(labels)), [_shortened(label) for label in labels])
        axes.tick_params(axis='y', length=0)
        axes.margins(x=0.08)
        if len(series) > 1:
            figure.legend(loc='outside upper right', fontsize=SMALL, ncols=2)
        return to_svg(figure, name, f'{xlabel}, with intervals: {", ".join(labels)}')


def _shortened(text: str, length: int = 22) -> str:
    return text if len(text) <= length else f'{text[: length - 1]}…'
