"""The functions work without OpenMMLab, OpenCV and the rest of the package."""

import ast
import sys
from importlib.util import resolve_name
from pathlib import Path

import hrnet_plugin.functional

ALLOWED = {'numpy', 'torch', 'hrnet_plugin.functional', 'hrnet_plugin.utils'}


def test_imports_nothing_but_numpy_torch_and_utils():
    """tests/test_imports.py watches what is imported indeed; this is about every function."""
    folder = Path(hrnet_plugin.functional.__file__).parent
    imported = set()
    for path in folder.rglob('*.py*'):
        if path.suffix not in ('.py', '.pyi'):
            continue
        package = '.'.join(['hrnet_plugin.functional', *path.relative_to(folder).parts[:-1]])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(resolve_name('.' * node.level + (node.module or ''), package))
    rooms = {
        '.'.join(name.split('.')[: 2 if name.startswith('hrnet') else 1]) for name in imported
    }
    assert rooms - sys.stdlib_module_names == ALLOWED
