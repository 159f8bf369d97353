"""Check whether annotations are in pixels of their images."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..datasets.units import unit_problems
from ..functional.coco.units import UnitProblem
from .findings import Findings


def check_units(where: object, content: Any) -> Findings:
    """Check only whether annotations in COCO's format are in pixels.

    Args:
        where: What the findings are about, such as the path of the file.
        content: The annotations as JSON has them; what has another form is skipped.

    Returns:
        The findings.
    """
    findings = Findings(where)
    for problem, ids in unit_problems(content):
        findings.add(problem.is_error, problem.message, 'annotation', ids)
    return findings


def add_unit_findings(
    findings: Findings,
    problems: Sequence[UnitProblem],
    what: str,
    ids: Sequence[Any],
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Add problems of coordinates to findings.

    Args:
        findings: Where they are added.
        problems: What :mod:`hrnet_plugin.functional.coco.units` says of N rows.
        what: What a row is, such as ``'annotation'``.
        ids: The ids (N,) of all rows.
        remarks: What to append to a message, by message.
    """
    for problem in problems:
        message = problem.message + (remarks or {}).get(problem.message, '')
        findings.add(problem.is_error, message, what, [ids[row] for row in problem.rows])
