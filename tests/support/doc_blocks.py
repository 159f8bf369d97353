"""Blocks of code of README.md and docs/*.md: what runs each, or why nothing does.

Blocks run in the order of their page, in a folder in which `make demo` has run. A comment in the
line before a block says otherwise, and one below the title of a page, by itself, for all of them:

    <!-- quick -->            needs no demo: runs in an empty folder, in `make test`
    <!-- run by TEST -->      another test runs it: a file of tests, or the id of a test
    <!-- not run: REASON -->  nothing can run it here

A Python block that begins with `# NAME.py` is written to that file. `python -m support.doc_blocks`
lists what is not run.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .paths import ROOT

PAGES = (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))
RUN = ('sh', 'python')
SHOWN = ('json', 'text')  # languages of blocks that show something
DIRECTIVE = re.compile(r'\{[\w-]+\}')  # of MyST
MARK = re.compile(r'<!-- (quick|run by|not run:)(?: (.+))? -->')


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Path of its page, from the repository.
        line: Number of its first line, from 1.
        language: Word behind the opening fence.
        code: Its lines.
        mark: ``'quick'``, ``'run by'``, ``'not run:'``, or empty.
        reason: What the mark says: a test, or why nothing runs it.
    """

    page: str
    line: int
    language: str
    code: str
    mark: str = ''
    reason: str = ''

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'

    @property
    def file_name(self) -> str | None:
        """Name of the file that a Python block is written to, or None."""
        named = re.match(r'# (\w+\.py)\n', self.code)
        return named[1] if named else None


def read_blocks(text: str, page: str) -> Iterator[Block]:
    """Yield the blocks of a page in order.

    Raises:
        ValueError: A block has no end.
    """
    lines = text.splitlines()
    of_page = MARK.fullmatch(lines[2]) if lines[3:4] == [''] else None
    i = 0
    while i < len(lines):
        opening = re.match(r'(`{3,}|:{3,})(.*)', lines[i])
        if opening is None:
            i += 1
            continue
        try:
            end = lines.index(opening[1], i + 1)
        except ValueError:
            raise ValueError(f'{page}:{i + 1}: the block has no end') from None
        language = opening[2].strip()
        mark = MARK.fullmatch(lines[i - 1]) or of_page if i else None
        if not DIRECTIVE.match(language):
            code = ''.join(f'{line}\n' for line in lines[i + 1 : end])
            yield Block(page, i + 2, language, code, *(mark[1], mark[2] or '') if mark else ())
        i = end + 1


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [
        block
        for page in PAGES
        for block in read_blocks(page.read_text(), page.relative_to(ROOT).as_posix())
    ]


def code_cells(notebook: Path) -> list[str]:
    """Return the code of a notebook, cell by cell."""
    cells = json.loads(notebook.read_text())['cells']
    return [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code']


def main() -> None:
    """Print how many blocks are run, and which are not."""
    blocks = [block for block in all_blocks() if block.language in RUN]
    skipped = [block for block in blocks if block.mark == 'not run:']
    print(f'{len(blocks) - len(skipped)} of {len(blocks)} blocks of code are run by tests; not:')
    for block in skipped:
        print(f'  {block}: {block.reason}')


if __name__ == '__main__':
    main()
