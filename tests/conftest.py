import pytest

pytest_plugins = ('support.inference_fixtures',)

# What takes longest, so that no process ends long after the others; and what forks, which torch
# bears only before the first backward pass of a process.
FIRST = (
    'test_end_to_end.py',
    'test_real_pictures.py',
    'test_training.py',
    'test_distributed.py',
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in FIRST)
