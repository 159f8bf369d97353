"""AnnotatedInstances, and the names that it and its parts had in the last release."""

import numpy as np
import pytest

from hrnet_plugin import checks
from hrnet_plugin.checks import AnnotatedInstances, Findings, ImageRecord
from hrnet_plugin.checks.config import Report


@pytest.mark.parametrize(
    ('number', 'rows'), [(1, [3]), (2, [3, 9]), (3, [3, 5, 9]), (7, [3, 5, 9])]
)
def test_spread_rows(number: int, rows: list[int]) -> None:
    instances = AnnotatedInstances(Findings('file'), usable=np.array([3, 5, 9]))
    assert instances.spread_rows(number).tolist() == rows


def test_former_names() -> None:
    with pytest.warns(DeprecationWarning, match='checks.Image is now .*ImageRecord'):
        assert checks.Image is ImageRecord
    with pytest.warns(DeprecationWarning, match='checks.People is now .*AnnotatedInstances'):
        people = checks.People(Findings('file'), usable=np.array([3, 5, 9]))
    with pytest.warns(DeprecationWarning, match='a_few is now spread_rows'):
        assert people.a_few(2).tolist() == [3, 9]
    with pytest.warns(DeprecationWarning, match=r'Report\.people is now Report\.instances'):
        assert Report(instances=3).people == 3
