"""README.md and the pages of docs/: links, blocks of code, contents, and what they must list."""

import json
import re
import shlex
from pathlib import Path

import pytest
from support.doc_blocks import PAGES, RUN, SHOWN, Block, all_blocks, read_blocks
from support.paths import ROOT
from support.promises import declared_tests
from support.shell import exit_code

from hrnet_plugin.commands.cli import COMMANDS

BLOCKS = all_blocks()
LINKING = (
    *PAGES,
    *(ROOT / name for name in ('CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md')),
    *sorted((ROOT / 'docs/api').glob('*.md')),
)


def without_code(text: str) -> str:
    """Remove blocks and spans of code."""
    text = re.sub(r'^(`{3,})(?!\{toctree).*?^\1$', '', text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r'`[^`\n]*`', '', text)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.*)$', re.sub(r'^```.*?^```', '', text, flags=re.S | re.M), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


class TestLinks:
    @pytest.mark.parametrize('page', LINKING, ids=lambda page: page.name)
    def test_lead_somewhere(self, page: Path) -> None:
        for target in re.findall(r'\]\(([^)\s]+)\)', without_code(page.read_text())):
            if re.match(r'[a-z]+:', target):
                continue
            path, _, anchor = target.partition('#')
            file = page if not path else page.parent / path
            assert file.exists(), f'{page.name} links to {target}'
            if anchor:
                assert anchor in anchors(file.read_text()), f'{page.name} links to {target}'

    def test_have_a_text(self) -> None:
        """GitHub shows nothing for links without one, for which Sphinx takes the page's title."""
        empty = [page.name for page in LINKING if '[](' in page.read_text()]
        assert empty == []

    def test_anchors_are_githubs(self) -> None:
        assert anchors('# A\n## `mim`, MMPose & you\n```sh\n# no heading\n```\n') == {
            'a',
            'mim-mmpose--you',
        }


class TestContents:
    def test_each_page_is_in_one_table_of_contents(self) -> None:
        for index in (ROOT / 'docs/index.md', ROOT / 'docs/api/index.md'):
            entries = [
                line
                for toc in re.findall(r'```\{toctree\}\n(.*?)```', index.read_text(), re.DOTALL)
                for line in toc.splitlines()
                if line and not line.startswith(':')
            ]
            listed = [entry for entry in entries if '/' not in entry]
            pages = {page.stem for page in index.parent.glob('*.md')} - {'index'}
            assert sorted(listed) == sorted(pages)

    def test_readme_is_short(self) -> None:
        assert len((ROOT / 'README.md').read_text().splitlines()) <= 110

    def test_readme_lists_every_command(self) -> None:
        table = (ROOT / 'README.md').read_text().split('## Commands')[1].split('\n## ')[0]
        assert re.findall(r'^\| `([\w-]+)` \|', table, re.MULTILINE) == sorted(COMMANDS)

    def test_install_page_has_the_lines_of_the_readme(self) -> None:
        pip = [b.code for b in BLOCKS if b.code.startswith('pip install') and 'mmcv' in b.code]
        assert len(pip) == 2
        assert pip[0] == pip[1]


class TestBlocks:
    def test_each_says_what_it_is(self) -> None:
        unknown = [str(b) for b in BLOCKS if b.language not in (*RUN, *SHOWN)]
        assert unknown == []
        for block in BLOCKS:
            if block.language == 'json':
                json.loads(block.code)

    def test_reasons_and_tests_exist(self) -> None:
        marked = [block for block in BLOCKS if block.mark in ('run by', 'not run:')]
        assert marked
        for block in marked:
            assert len(block.reason) > 10, block
            if block.mark == 'run by':
                file, _, name = block.reason.partition('::')
                assert (ROOT / file).is_file(), block
                assert not name or block.reason in declared_tests(ROOT / file), block

    def test_python_is_python(self) -> None:
        for block in BLOCKS:
            if block.language == 'python':
                compile(block.code, str(block), 'exec')

    def test_are_read_with_their_marks(self) -> None:
        page = (
            '# A\n\n<!-- quick -->\n```python\n# a.py\nx = 1\n```\n```{toctree}\nb\n```\n'
            '<!-- not run: no GPU -->\n```sh\nls\n```\n```text\n```\n'
        )
        assert list(read_blocks(page, 'a.md')) == [
            Block('a.md', 5, 'python', '# a.py\nx = 1\n', 'quick'),
            Block('a.md', 13, 'sh', 'ls\n', 'not run:', 'no GPU'),
            Block('a.md', 16, 'text', ''),
        ]
        (block, _, _) = read_blocks(page, 'a.md')
        assert block.file_name == 'a.py'
        (of_page,) = read_blocks('# A\n\n<!-- run by tests/a.py -->\n\n```sh\nls\n```\n', 'a.md')
        assert of_page.reason == 'tests/a.py'
        with pytest.raises(ValueError, match=r'a.md:1: the block has no end'):
            list(read_blocks('```sh\nls\n', 'a.md'))


QUICK = [block for block in BLOCKS if block.mark == 'quick']


@pytest.mark.parametrize('block', QUICK, ids=str)
def test_quick_blocks_run(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """In this process, where everything is imported already."""
    monkeypatch.chdir(tmp_path)
    if block.language == 'python':
        exec(compile(block.code, str(block), 'exec'), {'__name__': '__main__'})
        return
    lines = block.code.replace('\\\n', ' ').splitlines()
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == 'hrnet-plugin'
        assert exit_code(arguments) == 0, capsys.readouterr()
