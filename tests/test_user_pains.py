"""Each promise about what users of these tools suffer from is kept by some test."""

import re
from pathlib import Path

import pytest

PROVED = {
    int(number)
    for path in Path(__file__).parent.rglob('test_*.py')
    if path != Path(__file__)
    for numbers in re.findall(r'user_pains ([\d, ]+)', path.read_text())
    for number in re.findall(r'\d+', numbers)
}


@pytest.mark.parametrize('number', range(1, 29))
def test_some_test_proves_it(number: int) -> None:
    """`# user_pains 13` above a test says that it proves number 13 of the list."""
    assert number in PROVED
