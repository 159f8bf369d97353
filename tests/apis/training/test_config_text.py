"""Python source of configs."""

from typing import Any

import pytest

from hrnet_plugin.apis.training.config_text import Code, Section, format_config, literal, to_plain


@pytest.mark.parametrize(
    'value',
    [
        dict(type='Adam', lr=5e-4),
        {0: dict(link=('tip', 'keel'), id=0), 1: dict(link=('keel',), id=1)},
        {'not an identifier': 1, 'b': [1, (2,), None, True]},
        {'from': 1},  # a keyword
        [dict(type=f'Step{i}', options=dict(size=(192, 256), name="it's")) for i in range(9)],
        [(), [], {}, dict(a=[])],
    ],
    ids=repr,
)
def test_is_read_as_it_was(value: Any) -> None:
    text = literal(value)
    assert eval(text) == value
    assert max(map(len, text.splitlines())) < 99


def test_long_values_are_indented() -> None:
    value = dict(pipeline=[dict(type='Step' * 8, size=(1, 2)) for _ in range(2)])
    step = f"dict(type='{'Step' * 8}', size=(1, 2))"
    assert literal(value) == f'dict(\n    pipeline=[\n        {step},\n        {step},\n    ],\n)'


def test_variables() -> None:
    text = format_config(
        'What it is.',
        [
            Section(['One'], dict(codec=dict(sigma=2))),
            Section(['Two,', 'of two lines'], dict(head=dict(decoder=Code('codec')))),
        ],
    )
    assert text == (
        '"""What it is."""\n\n# One\ncodec = dict(sigma=2)\n\n'
        '# Two,\n# of two lines\nhead = dict(decoder=codec)\n'
    )


def test_plain() -> None:
    class Other(dict):
        pass

    plain = to_plain(Other(a=[Other(b=(Other(),))]))
    assert plain == dict(a=[dict(b=({},))])
    assert type(plain) is type(plain['a'][0]) is dict
