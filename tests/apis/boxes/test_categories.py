"""Which categories of boxes are used."""

import re
from typing import Any

import pytest

from hrnet_plugin.apis.boxes.categories import Categories, select_categories

NAMES = {1: 'chair', 7: 'Person', 9: 'cat'}


@pytest.mark.parametrize(
    ('ids', 'names', 'chosen', 'used', 'said'),
    [
        ([1, 3, 3, 62], {}, None, {1}, '3 of 4 boxes skipped.*3: 2x, 62: 1x'),
        ([1, 1], {}, None, {1}, None),
        ([None, None], {}, None, {None}, None),
        ([None, 1, 3], {}, None, {None, 1}, '1 of 3 boxes skipped'),
        ([0], {}, None, {0}, 'all boxes are of category 0, which is used'),
        ([1, 7, 9], NAMES, None, {7}, r"1 'chair': 1x, 9 'cat': 1x"),
        ([5], {5: 'horse'}, None, {5}, "category 5 'horse', which is used"),
        ([9, 9], {1: 'dog', 9: 'cat'}, None, {9}, "category 9 'cat', which is used"),
        ([1, 3, 62], {}, ['3', 62], {3, 62}, '1 of 3 boxes'),
        ([1, 7, 9], NAMES, 'CAT', {9}, '2 of 3 boxes'),
        ([1, 7, None], NAMES, 9, ValueError, "no box is of category 9 'cat'; there are"),
        ([1, 7, None], NAMES, ['all'], {1, 7, None}, None),
        ([None, 1], {}, [1], {1}, 'without a category: 1x'),
        ([7, 7], {'7': 'person', '8': 'dog'}, None, {7}, None),
        (
            [1, 9],
            NAMES,
            None,
            ValueError,
            r"no box is of category 7 'Person'; there are 1 'chair'",
        ),
        ([1, 9], {1: 'dog', 9: 'cat'}, None, ValueError, 'no category is named'),
        ([3, 62], {}, None, ValueError, 'none is of category 1.*3: 1x, 62: 1x.*--box-categories'),
        ([0, 1, 2], {}, None, ValueError, 'ids that begin at 0 are not those of COCO'),
        ([1, 3], {}, ['horse'], ValueError, "unknown category of boxes 'horse'; Valid: '1', '3'"),
        ([1, 3], {}, [], ValueError, 'expected names or ids'),
    ],
)
def test_categories(
    ids: list[Any], names: dict[Any, str], chosen: Categories, used: Any, said: str | None
) -> None:
    if used is ValueError:
        with pytest.raises(ValueError, match=said):
            select_categories(ids, names, chosen)
        return
    selected, notes = select_categories(ids, names, chosen)
    assert selected & set(ids) == used
    if said is None:
        assert notes == []
    else:
        (note,) = notes
        assert re.search(said, note)
