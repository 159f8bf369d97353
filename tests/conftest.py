import pytest

LONGEST = ('test_end_to_end.py', 'test_real_pictures.py')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process ends long after the others."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
