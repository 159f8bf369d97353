"""Findings: counted, with a few examples; exceptions become errors."""

from typing import Any

import pytest

from hrnet_plugin.checks import Finding, Findings


def test_findings_count() -> None:
    findings = Findings('file')
    findings.errors('nothing', 'row', [])
    assert findings == []
    findings.warnings('odd', 'row', range(2))
    assert str(findings[0]) == 'file: odd: 2x (row 0, row 1)'
    assert not findings.has_errors
    findings.errors('wrong', 'row', range(4))
    assert str(findings[1]) == 'file: wrong: 4x (row 0, row 1, row 2, …)'
    assert findings.has_errors


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (ValueError('two\n  lines'), 'it fails: two lines'),
        (ValueError(), 'it fails: ValueError: '),
        (KeyError('img'), "it fails: KeyError: 'img'"),
    ],
)
def test_attempt(error: Exception, message: str) -> None:
    def fail() -> Any:
        raise error

    findings = Findings('file')
    assert findings.attempt(lambda: 3, 'it fails') == 3
    assert findings == []
    assert findings.attempt(fail, 'it fails') is None
    assert findings == [Finding(True, 'file', message)]
