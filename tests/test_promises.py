"""docs/promises.md names tests that exist; a run in which one of them does not run fails."""

import difflib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.optional import INSTALL
from support.paths import ROOT
from support.promises import (
    PAGE,
    Declared,
    Promise,
    broken_promises,
    declared_tests,
    named_tests,
    read_promises,
)

PROMISES = read_promises(PAGE.read_text())
TEST_FILE = """
import pytest
here = pytest.mark.skipif(False, reason='some machines have no GPU')

def test_fast(): pass
@pytest.mark.slow
def test_slow(): pass
@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_partly_slow(x): pass
@here
def test_here(): pass
def helper(): pass
class TestThings:
    def test_one(self): pass
    @pytest.mark.slow
    def test_two(self): pass
"""
FAST, SLOW, HERE = (Declared(False, False), Declared(True, False), Declared(False, True))


def test_promises_are_numbered_in_order() -> None:
    numbers = [promise.number for promise in PROMISES]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 28


@pytest.mark.parametrize('promise', PROMISES, ids=lambda promise: f'promise {promise.number}')
class TestPage:
    def test_names_tests_that_exist(self, promise: Promise) -> None:
        assert promise.tests
        for name, declared in named_tests([promise]).items():
            file = ROOT / name.partition('::')[0]
            known = list(declared_tests(file)) if file.exists() else []
            closest = difflib.get_close_matches(name, known, n=1)
            assert declared is not None, f'there is no {name}; is it now {closest}?'

    def test_names_tests_that_run_everywhere(self, promise: Promise) -> None:
        conditional = [
            name for name, test in named_tests([promise]).items() if test and test.is_conditional
        ]
        assert conditional == []

    def test_says_which_are_slow(self, promise: Promise) -> None:
        for name, is_slow in promise.tests.items():
            tests = named_tests([Promise(promise.number, {name: is_slow})])
            assert is_slow == all(test.is_slow for test in tests.values() if test)

    def test_a_fast_test_keeps_it(self, promise: Promise) -> None:
        assert not all(promise.tests.values())


class TestReading:
    def test_page(self) -> None:
        page = '# Title\n- `tests/no.py`\n1. **One.**\n   more\n   - `tests/a.py::test_a` (slow)\n'
        with pytest.raises(ValueError, match=r'tests/no\.py stands twice .* or under none'):
            read_promises(page.replace('- `tests/no', ' - `tests/no'))
        assert read_promises(page) == [Promise(1, {'tests/a.py::test_a': True})]

    def test_tests(self, tmp_path: Path) -> None:
        (tmp_path / 'test_x.py').write_text(TEST_FILE)
        assert declared_tests(tmp_path / 'test_x.py', tmp_path) == {
            'test_x.py::test_fast': FAST,
            'test_x.py::test_slow': SLOW,
            'test_x.py::test_partly_slow': FAST,
            'test_x.py::test_here': HERE,
            'test_x.py::TestThings::test_one': FAST,
            'test_x.py::TestThings::test_two': SLOW,
        }

    @pytest.mark.parametrize('mark', ['slow', "skip(reason='')"])
    def test_marks_of_a_file_and_of_a_class(self, tmp_path: Path, mark: str) -> None:
        file = tmp_path / 'test_x.py'
        for text in (f'pytestmark = pytest.mark.{mark}\n{{}}', f'@pytest.mark.{mark}\n{{}}'):
            file.write_text(text.format('class TestThings:\n    def test_one(self): pass\n'))
            (test,) = declared_tests(file, tmp_path).values()
            assert test == (SLOW if mark == 'slow' else HERE)

    @pytest.mark.parametrize(
        ('passed', 'with_slow', 'broken'),
        [
            ({'test_fast', 'TestThings::test_one'}, False, {'test_gone'}),
            ({'test_fast'}, False, {'TestThings::test_one', 'test_gone'}),
            ({'test_fast'}, True, {'TestThings::test_one', 'TestThings::test_two', 'test_gone'}),
        ],
    )
    def test_what_did_not_pass(
        self, tmp_path: Path, passed: set[str], with_slow: bool, broken: set[str]
    ) -> None:
        (tmp_path / 'tests').mkdir()
        (tmp_path / 'tests/test_x.py').write_text(TEST_FILE)
        page = tmp_path / 'page.md'
        ids = [f'tests/test_x.py::{name}' for name in ('test_fast', 'TestThings', 'test_gone')]
        page.write_text('\n'.join(['1. **One.**', *(f'   - `{name}`' for name in ids)]))
        found = broken_promises(
            {f'tests/test_x.py::{name}' for name in passed}, with_slow, page, tmp_path
        )
        assert set(found) == {f'tests/test_x.py::{name}' for name in broken}


class TestRun:
    """Runs of a small project with our settings."""

    @pytest.fixture(scope='class')
    def project(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp('project')
        for name in ('setup.cfg', *(f'tests/{n}' for n in ('conftest.py', 'support'))):
            (folder / name).parent.mkdir(exist_ok=True)
            if (ROOT / name).is_dir():
                (folder / name).mkdir()
                for file in ('__init__.py', 'optional.py', 'paths.py', 'promises.py'):
                    shutil.copy(ROOT / name / file, folder / name)
            else:
                shutil.copy(ROOT / name, folder / name)
        (folder / 'tests/support/inference_fixtures.py').touch()  # a plugin of conftest.py
        (folder / 'docs').mkdir()
        (folder / 'docs/promises.md').write_text('1. **One.**\n   - `tests/test_x.py::test_a`\n')
        (folder / 'tests/test_x.py').write_text(
            'import os, pytest\n'
            'def test_a():\n'
            "    if 'SKIP' in os.environ: pytest.skip(os.environ['SKIP'])\n"
            'def test_b(): pass\n'
        )
        return folder

    @pytest.mark.parametrize(
        ('options', 'env', 'code'),
        [
            (['-n', '2'], {}, 0),
            (['-n', '2'], {'SKIP': '1'}, 1),
            ([], {'SKIP': '1'}, 1),
            ([], {'SKIP': f'mmseg is not installed: {INSTALL}'}, 0),
            (['-k', 'test_a'], {'SKIP': '1'}, 0),
            (['tests/test_x.py'], {'SKIP': '1'}, 0),
        ],
    )
    def test_fails_if_a_named_test_did_not_run(
        self, project: Path, options: list[str], env: dict[str, str], code: int
    ) -> None:
        result = subprocess.run(
            [sys.executable, '-m', 'pytest', *options], cwd=project, env=env, capture_output=True
        )
        assert result.returncode == code, result.stdout.decode()
        said = b'tests/test_x.py::test_a keeps a promise of docs/promises.md, but did not run'
        assert (said in result.stdout) == (code == 1)
