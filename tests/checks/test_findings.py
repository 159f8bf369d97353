"""Findings: counted, with a few examples."""

from hrnet_plugin.checks import Findings


def test_findings_count() -> None:
    findings = Findings('file')
    findings.errors('nothing', 'row', [])
    assert findings == []
    findings.errors('odd', 'row', range(2))
    assert str(findings[0]) == 'file: odd: 2x (row 0, row 1)'
