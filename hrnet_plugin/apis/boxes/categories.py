"""Which categories of a file's boxes are to be used."""

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
    """Choose among the categories of boxes.

    If nothing is chosen, these are used: the category ``person`` where categories have names; else
    the only one there is; else category 1, as in COCO's results. Boxes without a category are used
    unless something is chosen.

    Args:
        ids: of each box; None where it has none.
        names: of ids, as far as they are known.
        chosen: names or ids, or ``'all'``.

    Returns:
        The ids to use, and what there is to say about them and about those left out.

    Raises:
        ValueError: a category is unknown, it is not clear which to use, or no box is left.
    """
    names = {as_id(i): name for i, name in names.items()}
    counts = Counter(map(as_id, ids))
    used, notes = (
        _default(counts, names) if chosen is None else (_chosen(chosen, counts, names), [])
    )
    left_out = Counter({i: n for i, n in counts.items() if i not in used})
    if counts and not used & set(counts):
        raise ValueError(
            f'no box is of {_wanted(used, names)}; there are {describe(counts, names)}; choose '
            f'categories by name or id with {OPTION}'
        )
    if left_out:
        notes.append(
            f'{left_out.total()} of {counts.total()} boxes are left out, as they are of other '
            f'categories ({describe(left_out, names)}); {OPTION} chooses'
        )
    return used, notes


def describe(counts: Mapping[Any, int], names: Mapping[Any, str]) -> str:
    """List categories and how many boxes each has, most first."""
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
        return {*present, None}, [f'all boxes are of category {_label(present[0], names)}: used']
    if not names and PERSON_ID in present and 0 not in present:
        return {PERSON_ID, None}, []
    if names:
        why = 'none of their categories is called person'
    elif 0 in present:
        why = f'ids that begin at 0 are not those of COCO, where {PERSON_ID} is person'
    else:
        why = f'none is of category {PERSON_ID}, which is person in COCO'
    raise ValueError(
        f'it is not clear which boxes to use, as {why}; there are {describe(counts, names)}; '
        f'choose by name or id with {OPTION}'
    )


def _chosen(chosen: Categories, counts: Counter, names: Mapping[Any, str]) -> set[Any]:
    items = [chosen] if isinstance(chosen, (str, int)) else list(chosen or ())
    if not items:
        raise ValueError(f'{OPTION}: expected names or ids of categories, or {ALL!r}')
    known = {*counts, *names} - {None}
    used: set[Any] = set()
    for item in items:
        named = {i for i, name in names.items() if name.lower() == str(item).lower()}
        if named:
            used |= named
        elif as_id(item) in known:
            used.add(as_id(item))
        elif str(item).lower() == ALL:
            used |= {*known, None}
        else:
            valid = [names.get(i, i) for i in sorted(known, key=str)]
            raise ValueError(unknown_name('category of boxes', item, valid))
    return used


def _wanted(used: set[Any], names: Mapping[Any, str]) -> str:
    wanted = [_label(i, names) for i in sorted(used - {None}, key=str)]
    return f'category {" or ".join(wanted)}'


def _label(category: Any, names: Mapping[Any, str]) -> str:
    if category is None:
        return 'without a category'
    return f'{category} {names[category]!r}' if category in names else str(category)
