"""Find by their names the keypoints that swap when an image is mirrored."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..utils.errors import unknown_name

LEFT, RIGHT = 'left', 'right'

# Words for the two sides, in lower case; for languages with endings, the stem
SIDE_WORDS = (
    ('left', 'right'),
    ('links', 'rechts'),
    ('linke', 'rechte'),
    ('gauche', 'droite'),
    ('gauche', 'droit'),
    ('izquierd', 'derech'),
    ('esquerd', 'direit'),
    ('sinistr', 'destr'),
    ('лев', 'прав'),
    ('左', '右'),
    ('왼', '오른'),
    ('좌', '우'),
)
SIDE_OF_WORD = {word: side for pair in SIDE_WORDS for word, side in zip(pair, (LEFT, RIGHT))}
WORD = re.compile('|'.join(sorted(SIDE_OF_WORD, key=len, reverse=True)), re.IGNORECASE)
LETTER = re.compile('[lr]', re.IGNORECASE)
SIDE_OF_LETTER = {'l': LEFT, 'r': RIGHT}

# l and r that say a side, by their context in a name
MARKED_LETTER = re.compile(
    r"""
      (?<![^\W\d_]) [lrLR] (?![^\W\d_])          # alone: eye_l, l.eye, L1
    | (?<=[^\W\d_A-Z]) [LR] (?![^\W\d_A-Z])      # at the end of a word: eyeL, forelegL1, eyeLTip
    | (?<![^\W\d_]) [lr] (?=[A-Z])               # before a word in camel case: lEye
    | (?<![^\W\d_]) [LR] (?=[A-Z][^\W\d_A-Z])    # before one in Pascal case: LEye
    | (?<![^\W\d_]) [lrLR] (?=[a-zA-Z](?![^\W\d_]))  # of a code of two letters: lf_paw
    | (?<=(?<![^\W\d_])[a-zA-Z]) [lrLR] (?![^\W\d_]) # likewise: fl_paw, FR
    """,
    re.VERBOSE,
)
# Any capital: Lwrist, pawFL
CAPITAL = re.compile('[LR]')
# The first or the last letter of a word: lwrist, wristr
OUTER_LETTER = re.compile(r'(?<![^\W\d_]) [lrLR] | [lrLR] (?![^\W\d_])', re.VERBOSE)

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class MirrorPairs:
    """Mirrored keypoints of a skeleton.

    Attributes:
        mirrored: The counterpart of each paired name, both ways.
        sides: ``'left'`` or ``'right'``, by each name that says a side.
        unpaired: Names that say a side but have no counterpart.
    """

    mirrored: Mapping[str, str]
    sides: Mapping[str, str]
    unpaired: tuple[str, ...]


def find_mirror_pairs(names: Iterable[str]) -> MirrorPairs:
    """Find pairs of names that differ only by left and right.

    Left and right are words (``left_eye``, ``LeftEye``, ``eyeleft``, 左眼), or l and r where they
    stand alone, at a change of case or in a code of two letters (``eye_l``, ``eyeL``, ``lEye``,
    ``FL``), or a capital anywhere (``Lwrist``). If that gives no pair, the first and last letters
    of words are tried (``lwrist``). A pair needs both names: ``lip`` has no counterpart.

    >>> find_mirror_pairs(['nose', 'eyeL', 'eyeR']).mirrored
    {'eyeL': 'eyeR', 'eyeR': 'eyeL'}

    Args:
        names: Distinct names of a skeleton's keypoints.

    Returns:
        The pairs, and the names without a counterpart.
    """
    names = list(names)
    mirrored: dict[str, str] = {}
    sides: dict[str, str] = {}
    for marks in (_words, _marked_letters, _capitals):
        _pair(names, marks, mirrored, sides)
    if not mirrored:
        _pair(names, _outer_letters, mirrored, sides)
    alone = {name: side for name in names if name not in mirrored and (side := _stated_side(name))}
    with_word = [name for name in alone if WORD.search(name)]
    # A letter can mean something else: the vertebrae L1 to L5. Not so if there are both.
    of_letters = {side for name, side in alone.items() if name not in with_word}
    if len(of_letters) < 2:
        alone = {name: alone[name] for name in with_word}
    return MirrorPairs(mirrored, {**sides, **alone}, tuple(alone))


def given_mirror_pairs(names: Iterable[str], pairs: Iterable[Sequence[str]]) -> MirrorPairs:
    """Return pairs that a user gives, whatever the names say.

    >>> given_mirror_pairs(['a', 'b', 'c'], [('c', 'a')]).mirrored
    {'c': 'a', 'a': 'c'}

    Args:
        names: Distinct names of a skeleton's keypoints.
        pairs: Names of two keypoints each; where the names say no side, the first is left.

    Raises:
        ValueError: A name is unknown, or a keypoint is in two pairs or in one with itself.
    """
    names = list(names)
    stated = find_mirror_pairs(names).sides
    mirrored: dict[str, str] = {}
    sides: dict[str, str] = {}
    for pair in pairs:
        if len(pair) != 2:
            raise ValueError(f'{pair!r} is not a pair of keypoints')
        for name, other in (pair, pair[::-1]):
            if name not in names:
                raise ValueError(unknown_name('keypoint', name, names))
            if name in mirrored or name == other:
                raise ValueError(
                    f'keypoint {name!r} is in several pairs, or paired with itself; expected each '
                    'keypoint once'
                )
            mirrored[name] = other
        left, right = pair
        if stated.get(left) == RIGHT or stated.get(right) == LEFT:
            left, right = right, left
        sides.update({left: LEFT, right: RIGHT})
    return MirrorPairs(mirrored, sides, ())


def describe_pairs(pairs: Iterable[tuple[str, str]], at_most: int = 3) -> str:
    """Word a few pairs of names for a message."""
    listed = [f'{a!r} and {b!r}' for a, b in pairs]
    return ', '.join(listed[:at_most]) + (', …' if len(listed) > at_most else '')


def _pair(
    names: Sequence[str],
    marks: Callable[[str], list[Span]],
    mirrored: dict[str, str],
    sides: dict[str, str],
) -> None:
    """Add the pairs that one way of marking sides gives, among names without a partner."""
    for choose in (_all_at_once, _one_at_a_time):
        free = [name for name in names if name not in mirrored]
        exact = set(free)
        folded: dict[str, list[str]] = {}
        for name in free:
            folded.setdefault(name.casefold(), []).append(name)
        partners: dict[str, set[str]] = {}
        for name in free:
            for spans in choose(marks(name)):
                for other in _swapped(name, spans):
                    matches = [other] if other in exact else folded.get(other.casefold(), [])
                    if len(matches) == 1 and matches[0] != name:
                        partners.setdefault(name, set()).add(matches[0])
        for name, others in partners.items():
            other = next(iter(others))
            if len(others) == 1 and partners.get(other) == {name}:
                mirrored[name] = other
                sides[name] = _side_of_difference(name, marks(name), other)


def _all_at_once(spans: list[Span]) -> list[list[Span]]:
    return [spans] if spans else []


def _one_at_a_time(spans: list[Span]) -> list[list[Span]]:
    return [[span] for span in spans] if len(spans) > 1 else []


def _words(name: str) -> list[Span]:
    return [match.span() for match in WORD.finditer(name)]


def _letters(pattern: re.Pattern[str]) -> Callable[[str], list[Span]]:
    """Return a function that finds l and r in a name, unless it has a word for its side."""

    def marks(name: str) -> list[Span]:
        return [] if WORD.search(name) else [match.span() for match in pattern.finditer(name)]

    return marks


_marked_letters, _capitals, _outer_letters = map(_letters, (MARKED_LETTER, CAPITAL, OUTER_LETTER))


def _swapped(name: str, spans: list[Span]) -> Iterator[str]:
    """Yield the name with sides swapped at some spans: each combination of counterparts."""
    results = ['']
    end = 0
    for start, stop in spans:
        others = _counterparts(name[start:stop])
        results = [result + name[end:start] + other for result in results for other in others]
        end = stop
    yield from (result + name[end:] for result in results)


def _counterparts(text: str) -> list[str]:
    """Return the other side of a word or letter, capitalised like it."""
    lower = text.lower()
    if LETTER.fullmatch(text):
        others = ['r' if lower == 'l' else 'l']
    else:
        others = [b for a, b in SIDE_WORDS if a == lower] + [
            a for a, b in SIDE_WORDS if b == lower
        ]
    if text.isupper():
        return [other.upper() for other in others]
    return [other.capitalize() for other in others] if text[0].isupper() else others


def _side(text: str) -> str:
    return SIDE_OF_WORD.get(text.lower()) or SIDE_OF_LETTER[text.lower()]


def _stated_side(name: str) -> str | None:
    """Return the side that a name says; the end of another word, as cleft or bright, is none."""
    spans = [span for span in _words(name) if _begins_word(name, span[0])] or _marked_letters(name)
    return _side(name[slice(*spans[0])]) if spans else None


def _begins_word(name: str, start: int) -> bool:
    before, first = name[start - 1 : start], name[start]
    return not first.isascii() or not before.isalpha() or (first.isupper() and before.islower())


def _side_of_difference(name: str, spans: list[Span], other: str) -> str:
    """Return the side that a name says where it first differs from its partner's."""
    for start, stop in spans:
        if not other[start:].lower().startswith(name[start:stop].lower()):
            return _side(name[start:stop])
    return _side(name[slice(*spans[0])])
