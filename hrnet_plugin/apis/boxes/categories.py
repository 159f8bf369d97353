"""Select the categories of the boxes in a file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...functional.coco.ids import as_id
from ...utils.errors import unknown_name

PERSON = 'person'
PERSON_ID = 1  # in COCO, and so in results that do not name their categories
ALL = 'all'
OPTION = '--box-categories, or box_categories='
Categories = str | int | Sequence[str | int] | None


def select_categories(
    ids: Sequence[Any], names: Mapping[Any, str], chosen: Categories = None
) -> tuple[set[Any], list[str]]:
    """Select categories of boxes.

    By default, this is the category ``person`` where categories have names; else the only one
    there is; else category 1, as in COCO results. Boxes without a category are selected unless
    ``chosen`` is given.

    Args:
        ids: Category id of each box; None where it has none.
        names: Names of ids, as far as they are known.
        chosen: Names or ids of categories, or ``'all'``.

    Returns:
        The selected ids, and notes on them and on the boxes that are skipped.

    Raises:
        ValueError: A category is unknown, the default is ambiguous, or no box is selected.
    """
    names = {as_id(i): name for i, name in names.items()}
    counts = Counter(map(as_id, ids))
    selected, notes = (
        _default(counts, names) if chosen is None else (_chosen(chosen, counts, names), [])
    )
    skipped = Counter({i: n for i, n in counts.items() if i not in selected})
    if counts and not selected & set(counts):
        raise ValueError(
            f'no box is of {_describe_selected(selected, names)}; there are '
            f'{describe_counts(counts, names)}; select categories by name or id with {OPTION}'
        )
    if skipped:
        notes.append(
            f'{skipped.total()} of {counts.total()} boxes skipped: they are of other categories '
            f'({describe_counts(skipped, names)}); {OPTION} selects them'
        )
    return selected, notes


def describe_counts(counts: Mapping[Any, int], names: Mapping[Any, str]) -> str:
    """List categories with their numbers of boxes, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ', '.join(f'{_label(i, names)}: {n}x' for i, n in ordered)


def _default(counts: Counter, names: Mapping[Any, str]) -> tuple[set[Any], list[str]]:
    persons = {i for i, name in names.items() if name.lower() == PERSON}
    if persons:
        return persons | {None}, []
    present = [i for i in counts if i is not None]
    if not present or (present == [PERSON_ID] and not names):
        return {*present, None}, []
    if len(present) == 1:
        return {*present, None}, [
            f'all boxes are of category {_label(present[0], names)}, which is used'
        ]
    if not names and PERSON_ID in present and 0 not in present:
        return {PERSON_ID, None}, []
    if names:
        reason = 'no category is named person'
    elif 0 in present:
        reason = f'ids that begin at 0 are not those of COCO, where {PERSON_ID} is person'
    else:
        reason = f'none is of category {PERSON_ID}, which is person in COCO'
    raise ValueError(
        f'it is not clear which boxes to use: {reason}; there are '
        f'{describe_counts(counts, names)}; select categories by name or id with {OPTION}'
    )


def _chosen(chosen: Categories, counts: Counter, names: Mapping[Any, str]) -> set[Any]:
    items = [chosen] if isinstance(chosen, (str, int)) else list(chosen or ())
    if not items:
        raise ValueError(f'{OPTION}: expected names or ids of categories, or {ALL!r}')
    known = {*counts, *names} - {None}
    selected: set[Any] = set()
    for item in items:
        named = {i for i, name in names.items() if name.lower() == str(item).lower()}
        if named:
            selected |= named
        elif as_id(item) in known:
            selected.add(as_id(item))
        elif str(item).lower() == ALL:
            selected |= {*known, None}
        else:
            valid = [names.get(i, i) for i in sorted(known, key=str)]
            raise ValueError(unknown_name('category of boxes', item, valid))
    return selected


def _describe_selected(selected: set[Any], names: Mapping[Any, str]) -> str:
    labels = [_label(i, names) for i in sorted(selected - {None}, key=str)]
    return f'category {" or ".join(labels)}'


def _label(category: Any, names: Mapping[Any, str]) -> str:
    if category is None:
        return 'without a category'
    return f'{category} {names[category]!r}' if category in names else str(category)
