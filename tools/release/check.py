"""Refuse to release what is not ready: `make release` begins with this."""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[2]


def problems(version: str, changelog: str, citation: str, changes: str) -> list[str]:
    """Return what stands in the way of a release.

    Args:
        version: Version of the package.
        changelog: Text of CHANGELOG.md.
        citation: Text of CITATION.cff.
        changes: Output of ``git status --porcelain``; empty if all is committed.
    """
    found = []
    heading = re.search(r'^## (\S+) \((.+)\)$', changelog, re.MULTILINE)
    if heading is None or heading[1] != version:
        first = 'none' if heading is None else heading[1]
        found.append(f'the first heading of CHANGELOG.md is of {first}, not of {version}')
    elif not is_date(heading[2]):
        found.append(
            f'CHANGELOG.md says that {version} is {heading[2]}: write the date of today, '
            f'{date.today()}'
        )
    if f'\nversion: {version}\n' not in citation:
        found.append(f'CITATION.cff needs the line "version: {version}"')
    if changes:
        found.append(f'there are changes that are not committed:\n{changes.rstrip()}')
    return found


def is_date(text: str) -> bool:
    """Return whether a text is a date as 2026-11-27 is."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def main() -> None:
    """Exit with an error if this folder cannot be released."""
    about = (ROOT / 'hrnet_plugin/version.py').read_text()
    version = about.split("'")[1]
    git = ['git', '-C', str(ROOT), 'status', '--porcelain']
    changes = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    texts = [(ROOT / name).read_text() for name in ('CHANGELOG.md', 'CITATION.cff')]
    if found := problems(version, texts[0], texts[1], changes):
        sys.exit(f'{version} is not ready:\n' + '\n'.join(f'- {each}' for each in found))
    print(f'{version} is ready to be built')


if __name__ == '__main__':
    main()
