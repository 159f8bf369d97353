"""What a release needs: one version, its changelog, and files that name what exists."""

import ast
import importlib.util
import json
import re
import shlex
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from support.paths import ROOT

from hrnet_plugin import __version__

WORKFLOWS = sorted((ROOT / '.github/workflows').glob('*.yml'))
FORMS = sorted((ROOT / '.github/ISSUE_TEMPLATE').glob('*.yml'))


@pytest.fixture(scope='module')
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location('check', ROOT / 'tools/release/check.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(*arguments: str) -> str:
    """Return what make would run."""
    result = subprocess.run(
        ['make', '--dry-run', '--silent', *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


class TestCheck:
    READY = ('1.2.0', '# Changes\n\n## 1.2.0 (2026-11-27)\n', 'title: x\nversion: 1.2.0\n', '')

    def test_ready(self, check: ModuleType) -> None:
        assert check.problems(*self.READY) == []

    @pytest.mark.parametrize(
        ('place', 'value', 'message'),
        [
            (0, '1.3.0', 'the first heading of CHANGELOG.md is of 1.2.0, not of 1.3.0'),
            (1, '', 'the first heading of CHANGELOG.md is of none'),
            (1, '## 1.2.0 (unreleased)\n## 1.1.0 (2026-01-01)', '1.2.0 is unreleased: write'),
            (1, '## 1.2.0 (2026-13-01)', '1.2.0 is 2026-13-01: write'),
            (2, 'version: 1.2\n', 'CITATION.cff needs the line "version: 1.2.0"'),
            (3, ' M setup.cfg\n', 'changes that are not committed:\n M setup.cfg'),
        ],
    )
    def test_not_ready(self, check: ModuleType, place: int, value: str, message: str) -> None:
        state = list(self.READY)
        state[place] = value
        assert message in '\n'.join(check.problems(*state))

    def test_this_version_has_a_changelog(self, check: ModuleType) -> None:
        texts = [(ROOT / name).read_text() for name in ('CHANGELOG.md', 'CITATION.cff')]
        found = check.problems(__version__, *texts, '')
        assert all('is unreleased' in each for each in found)


def test_changelog_is_added_changed_fixed() -> None:
    releases = re.split(r'^## ', (ROOT / 'CHANGELOG.md').read_text(), flags=re.MULTILINE)[1:]
    assert len(releases) >= 2
    for release in releases:
        kinds = re.findall(r'^### (\w+)$', release, re.MULTILINE)
        assert kinds == [kind for kind in ('Added', 'Changed', 'Fixed') if kind in kinds]
        assert kinds


def test_make_release_builds_checks_and_tests() -> None:
    lines = make('release')
    steps = ('tools/release/check.py', '-m build', 'twine check --strict', 'tests/test_wheel.py')
    places = [lines.index(step) for step in steps]
    assert places == sorted(places)
    assert (ROOT / 'tools/release/check.py').is_file()


def test_make_docs_refuses_warnings() -> None:
    assert '--fail-on-warning' in make('docs')


class TestContainer:
    LINES = (ROOT / 'Containerfile').read_text().replace('\\\n', ' ').splitlines()

    def test_copies_what_exists(self) -> None:
        copied = [line.split()[1:-1] for line in self.LINES if line.startswith('COPY')]
        sources = [source for sources in copied for source in sources]
        assert len(sources) > 5
        for source in sources:
            assert (ROOT / source).exists(), source
        ignored = (ROOT / '.containerignore').read_text().splitlines()
        assert not set(sources) & set(ignored)

    def test_copies_what_installing_reads(self) -> None:
        """The package links to these, and the installed set is that of these files."""
        sources = ' '.join(line for line in self.LINES if line.startswith('COPY'))
        links = [
            (ROOT / 'hrnet_plugin/.mim' / name).readlink().name
            for name in ('configs', 'model-index.yml', 'packages', 'tools')
        ]
        for name in (*links, 'Makefile', 'pyproject.toml', 'README.md', 'LICENSE'):
            assert name in shlex.split(sources), name

    def test_starts_from_any_base(self) -> None:
        words = [
            line.split()[0] for line in self.LINES if line and not line.startswith(('#', ' '))
        ]
        assert words[:2] == ['ARG', 'FROM']
        assert {*words} <= {'ARG', 'FROM', 'RUN', 'WORKDIR', 'COPY', 'ENV', 'ENTRYPOINT', 'CMD'}
        assert 'FROM ${BASE}' in self.LINES

    def test_runs_targets_and_commands_that_exist(self) -> None:
        targets = re.findall(r'\bmake ([a-z-]+)', ' '.join(x for x in self.LINES if 'RUN' in x))
        assert 'install' in targets
        assert all(
            re.search(rf'^{t}:', (ROOT / 'Makefile').read_text(), re.M)
            for t in targets
            if t != 'python'
        )


class TestForge:
    @pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
    def test_workflows_run_what_exists(self, path: Path) -> None:
        jobs = yaml.safe_load(path.read_text())['jobs']
        commands = [s['run'] for job in jobs.values() for s in job['steps'] if 'run' in s]
        assert commands
        for command in commands:
            program, *arguments = shlex.split(command)
            if program == 'make':
                assert all(make(target) for target in arguments)
            else:
                assert (ROOT / program).is_file()

    def test_workflow_is_the_check_before_a_change_lands(self) -> None:
        assert any('run: .ci/run' in path.read_text() for path in WORKFLOWS)

    @pytest.mark.parametrize('path', FORMS, ids=lambda path: path.name)
    def test_issue_forms_are_complete(self, path: Path) -> None:
        form = yaml.safe_load(path.read_text())
        if path.stem == 'config':
            assert form == dict(blank_issues_enabled=True)
            return
        assert {'name', 'description', 'body'} <= form.keys()
        assert len({field['id'] for field in form['body']}) == len(form['body'])

    def test_citation_names_the_papers(self) -> None:
        citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
        assert citation['cff-version'] == '1.2.0'
        notes = ' '.join(reference['notes'] for reference in citation['references'])
        for name in ('HRNet', 'HRNetV2', 'Lite-HRNet', 'HRFormer', 'DARK', 'UDP'):
            assert name in notes
        for reference in citation['references']:
            assert reference['authors']
            assert reference['url'].startswith('https://arxiv.org/abs/')

    def test_security_page_names_what_exists(self) -> None:
        paths = re.findall(r'`(hrnet_plugin/\S+\.py)`', (ROOT / 'SECURITY.md').read_text())
        assert paths
        assert all((ROOT / path).is_file() for path in paths)


class TestNotebook:
    NOTEBOOK = json.loads((ROOT / 'demo/first_steps.ipynb').read_text())

    def test_has_no_outputs(self) -> None:
        cells = [cell for cell in self.NOTEBOOK['cells'] if cell['cell_type'] == 'code']
        assert len(cells) > 3
        assert all(cell['outputs'] == [] and cell['execution_count'] is None for cell in cells)

    def test_is_plain_python(self) -> None:
        """Without magics, so that its test runs the cells as a script."""
        for cell in self.NOTEBOOK['cells']:
            if cell['cell_type'] == 'code':
                ast.parse(''.join(cell['source']))
