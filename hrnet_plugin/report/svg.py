"""Figures of matplotlib as SVG for a page: colours and fonts are the page's, ids are unique."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Names of the page's colours (CSS variables), each with a colour that stands for it in a figure
COLORS = {
    name: f'#0102{number:02x}'
    for number, name in enumerate(
        (
            'ink',
            'muted',
            'line',
            'surface',
            'accent',
            'accent-2',
            'good',
            'jitter',
            'inversion',
            'swap',
            'miss',
            'score',
            'background',
            'missed',
        )
    )
}
SETTINGS: dict[Any, Any] = {
    'svg.fonttype': 'none',  # text stays text: sharp, selectable, in the page's font
    'text.parse_math': False,  # a name may have a $
    'font.size': 9,
    'axes.titlesize': 9,
    'axes.edgecolor': COLORS['line'],
    'axes.labelcolor': COLORS['ink'],
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.linewidth': 0.8,
    'axes.axisbelow': True,
    'text.color': COLORS['ink'],
    'xtick.color': COLORS['line'],
    'ytick.color': COLORS['line'],
    'xtick.labelcolor': COLORS['ink'],
    'ytick.labelcolor': COLORS['ink'],
    'grid.color': COLORS['line'],
    'grid.linewidth': 0.5,
    'hatch.linewidth': 0.9,
    'legend.frameon': False,
    'lines.linewidth': 1.6,
}
COLOR = re.compile('#0102([0-9a-f]{2})')
FONT = re.compile(r'font: (?:(?:normal|italic|bold|\d00) )*(\d+(?:\.\d+)?px)[^;"]*')


@contextmanager
def figure_style(name: str) -> Iterator[None]:
    """Set what all figures have in common.

    Args:
        name: Name of the figure, from which its ids follow.
    """
    import matplotlib

    with matplotlib.rc_context({**SETTINGS, 'svg.hashsalt': name}), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing from')  # the page's font has it
        yield


def new_figure(width: float, height: float) -> 'Figure':
    """Return an empty figure without background; its sides are in inches of 72 CSS pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout='constrained', facecolor='none')


def to_svg(figure: 'Figure', name: str, description: str) -> str:
    """Return a figure as an SVG element.

    Args:
        figure: The figure.
        name: Prefix of the ids of its parts, which a page must have once only.
        description: What it shows, for readers that do not see it.
    """
    for axes in figure.axes:
        axes.patch.set_visible(False)
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine('none')  # savefig would draw once more to lay out again
    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    figure.savefig(buffer, format='svg', metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index('<svg') :]
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'<!--.*?-->', '', text, flags=re.DOTALL)
    text = COLOR.sub(lambda match: f'var(--{list(COLORS)[int(match[1], 16)]})', text)
    text = FONT.sub(r'font-size: \1', text)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', text)
    text = re.sub(r'url\(#([^)]*)\)', rf'url(#{name}-\1)', text)
    text = re.sub(r'href="#([^"]*)"', rf'href="#{name}-\1"', text)
    text = re.sub(r'>\s+<', '><', text)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None
    head = (
        f'<svg class="chart" viewBox="{box[1]}" role="img" '
        f'aria-label="{escape(description, quote=True)}">'
    )
    return head + text[text.index('>') + 1 :].rstrip()
