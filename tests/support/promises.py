"""docs/promises.md: what the plugin promises, and the tests that keep each promise."""

import ast
import functools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .paths import ROOT

PAGE = ROOT / 'docs/promises.md'


@dataclass
class Promise:
    """One promise of the page.

    Attributes:
        number: Its number on the page.
        tests: Ids of tests or of test classes -> whether the page marks them as slow.
    """

    number: int
    tests: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """A test function as its file declares it, with marks of its class and its module."""

    is_slow: bool
    is_conditional: bool  # skipped or expected to fail, always or somewhere


def read_promises(page: str) -> list[Promise]:
    """Read the promises of a page, in its order.

    Raises:
        ValueError: A test stands before the first promise, or twice under one.
    """
    promises: list[Promise] = []
    for line in page.splitlines():
        if numbered := re.match(r'(\d+)\. ', line):
            promises.append(Promise(int(numbered[1])))
        elif test := re.match(r' +- `(tests/[^`]+)`( \(slow\))?$', line):
            if not promises or test[1] in promises[-1].tests:
                raise ValueError(f'{test[1]} stands twice under a promise, or under none')
            promises[-1].tests[test[1]] = test[2] is not None
    return promises


def declared_tests(file: Path, root: Path = ROOT) -> dict[str, Declared]:
    """Return the test functions that a file declares, by id."""
    return _declared(file.read_text(encoding='utf-8'), file.relative_to(root).as_posix())


@functools.cache
def _declared(code: str, file: str) -> dict[str, Declared]:
    module = ast.parse(code)
    marks = {  # names of marks: `needs_gpu = pytest.mark.skipif(…)`
        ast.unparse(node.targets[0]): ast.unparse(node.value)
        for node in module.body
        if isinstance(node, ast.Assign)
    }

    def walk(body: list[ast.stmt], prefix: str, inherited: str) -> Iterator[tuple[str, Declared]]:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            texts = map(ast.unparse, node.decorator_list)
            text = '\n'.join([inherited, *(marks.get(each, each) for each in texts)])
            name = f'{prefix}::{node.name}'
            if isinstance(node, ast.ClassDef) and node.name.startswith('Test'):
                yield from walk(node.body, name, text)
            elif isinstance(node, ast.FunctionDef) and node.name.startswith('test'):
                conditional = re.search(r'^pytest\.mark\.(skip|xfail)', text, re.M) is not None
                # Not in a row of parametrize: its other rows run.
                slow = re.search(r'^pytest\.mark\.slow$', text, re.M) is not None
                yield name, Declared(slow, conditional)

    return dict(walk(module.body, file, marks.get('pytestmark', '')))


def named_tests(promises: list[Promise], root: Path = ROOT) -> dict[str, Declared | None]:
    """Return the test functions that promises name, by id: None for what does not exist."""
    names = [name for promise in promises for name in promise.tests]
    files = {root / name.partition('::')[0] for name in names}
    declared: dict[str, Declared] = {}
    for file in filter(Path.exists, files):
        declared |= declared_tests(file, root)
    found: dict[str, Declared | None] = {}
    for name in names:
        tests: dict[str, Declared | None] = {
            t: d for t, d in declared.items() if t == name or t.startswith(f'{name}::')
        }
        found |= tests or dict.fromkeys([name])
    return found


def broken_promises(
    passed: Collection[str], with_slow: bool, page: Path = PAGE, root: Path = ROOT
) -> list[str]:
    """Return the named tests that a run of all tests should have passed but has not.

    Args:
        passed: Ids of the tests that passed, without parameters.
        with_slow: Whether slow tests ran.
        page: The page that names tests.
        root: The folder that ids start from.
    """
    named = named_tests(read_promises(page.read_text(encoding='utf-8')), root)
    return [
        name
        for name, declared in named.items()
        if name not in passed and (with_slow or declared is None or not declared.is_slow)
    ]
