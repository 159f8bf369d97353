"""What importing costs, what it provides, and that the package's rooms import one way only."""

import ast
import pickle
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from support.paths import ROOT

OPENMMLAB = ('mmengine', 'mmcv', 'mmpose', 'mmdet')


def run(code: str, cwd: Path, *arguments: str) -> list[str]:
    """Words that code prints in a folder from which the package is only reachable as installed."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    ('module', 'forbidden'),
    [
        ('hrnet_plugin', (*OPENMMLAB, 'cv2', 'torch', 'numpy')),
        ('hrnet_plugin.commands.cli', (*OPENMMLAB, 'cv2', 'torch', 'numpy')),
        ('hrnet_plugin.functional', (*OPENMMLAB, 'cv2', 'matplotlib')),
        ('hrnet_plugin.report', (*OPENMMLAB, 'cv2', 'matplotlib', 'jinja2')),
        ('hrnet_plugin.archs', (*OPENMMLAB, 'cv2', 'torch', 'numpy')),
        ('hrnet_plugin.checks.coco', (*OPENMMLAB, 'cv2', 'torch')),
        ('hrnet_plugin.evaluation, hrnet_plugin.models.backbones', ('mmpose.models', 'mmdet')),
    ],
)
def test_imports_no_more_than_it_needs(
    tmp_path: Path, module: str, forbidden: tuple[str, ...]
) -> None:
    code = f"""
import sys, {module}
print('hrnet_plugin' in sys.modules, *(name for name in {forbidden} if name in sys.modules))
"""
    assert run(code, tmp_path) == ['True']


def test_nothing_is_registered_until_a_registry_is_asked(tmp_path: Path) -> None:
    code = """
import hrnet_plugin
from mmengine.registry import MODELS
print('hrnet_plugin' in MODELS.children)
print(MODELS.get('hrnet_plugin.HRNet').__name__)
print('hrnet_plugin' in MODELS.children)
"""
    assert run(code, tmp_path) == ['False', 'HRNet', 'True']


@pytest.mark.parametrize(
    'package',
    [
        *('', '.apis', '.checkpoints', '.checks', '.datasets', '.functional', '.hooks', '.models'),
        '.report',
    ],
)
def test_every_public_name_is_there(package: str) -> None:
    module = import_module(f'hrnet_plugin{package}')
    assert len(module.__all__) > 1
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = module.no_such_name


ORDERS = [
    'import hrnet_plugin, torch',
    pytest.param('import torch, hrnet_plugin', marks=pytest.mark.slow),
    'import mmengine, torch; from mmengine.config import Config; '
    """Config.fromstring("custom_imports = dict(imports=['hrnet_plugin'])", '.py')""",
    pytest.param(
        "import hrnet_plugin, importlib.util; importlib.util.find_spec('torch'); import torch",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize('order', ORDERS)
def test_the_safe_loader_reads_mmengine_checkpoints_in_any_order(
    tmp_path: Path, order: str
) -> None:
    """And still does after other code has allowed, and forbidden again, the same types."""
    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(history=HistoryBuffer([1.0, 2.0], [1, 3]), pairs=np.array([[0, 1]])), file)
    code = f"""
import sys
{order}
import numpy as np
with torch.serialization.safe_globals([np.ndarray, np.dtype, (np.ndarray, 'numpy.ndarray')]):
    pass
loaded = torch.load(sys.argv[1], weights_only=True)
print(loaded['history'].mean(), loaded['pairs'].sum())
"""
    assert run(code, tmp_path, str(file)) == ['0.75', '1']


@pytest.mark.parametrize(
    'order', ['hrnet_plugin, mmengine.config', 'mmengine.config, hrnet_plugin']
)
def test_our_configs_are_found_by_scope_in_any_order(tmp_path: Path, order: str) -> None:
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'hrnet_plugin::body_2d_keypoint/topdown_heatmap/coco/"
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'"
    )
    code = f"""
import {order}
print(mmengine.config.Config.fromfile('mine.py').model.backbone.arch)
"""
    assert run(code, tmp_path)[-1:] == ['w32']


def test_a_refused_attribute_is_named(tmp_path: Path) -> None:
    """Only statistics of HistoryBuffer are handed out by the stand-in for getattr."""
    from hrnet_plugin.checkpoints.safe_globals import history_statistic

    with pytest.raises(pickle.UnpicklingError, match="attribute 'mean' of <class 'dict'>"):
        history_statistic(dict, 'mean')


# Rooms

PACKAGE = 'hrnet_plugin'
# Lowest first. A room imports from the levels below its own; rooms of one level do not import each
# other. Within a room of INSIDE the same holds for its parts; elsewhere only cycles are forbidden.
# A name in a string is no import: the registries' locations, former names of modules, lazy names.
LEVELS = (
    'environment version',
    'utils',
    'registry functional',
    'codecs report',
    'models evaluation datasets checkpoints optim',
    'checks export',
    'hooks',
    'apis',
    'commands',
    '__main__',
)
INSIDE = {
    'functional': ('coco crops heatmaps', 'video'),
    'models': (
        'archs',
        'extra families',
        'layers',
        'backbones necks heads',
        'estimators',
        'fuse',
    ),
    'apis': ('importing inputs evaluation', 'boxes', 'inference', 'training'),
}
# (importing room, imported module) -> why it may
EXCEPTIONS = {
    ('checkpoints', 'models'): 'published weights are recognised by the models they fit',
}


class Import(NamedTuple):
    """One module of the package, and one that it imports, both by full name."""

    source: str
    target: str


def modules() -> dict[str, Path]:
    """Return the modules of the package, by full name."""
    files = sorted((ROOT / PACKAGE).rglob('*.py'))
    names = ('.'.join(file.relative_to(ROOT).with_suffix('').parts) for file in files)
    return {name.removesuffix('.__init__'): file for name, file in zip(names, files)}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree, also into functions, but not into ``if TYPE_CHECKING:``."""
    yield node
    children = node.orelse if is_type_checking(node) else ast.iter_child_nodes(node)
    for child in children:
        yield from statements(child)


def imports(name: str, file: Path, known: dict[str, Path]) -> Iterator[Import]:
    """Find the modules of the package that one of its modules imports."""
    package = name if file.name == '__init__.py' else name.rpartition('.')[0]
    for node in statements(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split('.')[: len(package.split('.')) + 1 - node.level]
            base = '.'.join([*(parts if node.level else ()), *filter(None, [node.module])])
            names = (f'{base}.{alias.name}' for alias in node.names)
            targets = [each if each in known else base for each in names]
        else:
            continue
        for target in targets:
            if target.split('.')[0] == PACKAGE and target != name:
                yield Import(name, target)


def all_imports() -> list[Import]:
    known = modules()
    return sorted({each for name, file in known.items() for each in imports(name, file, known)})


def level(part: str, levels: tuple[str, ...]) -> int | None:
    """Return how high a part stands; None if it is not listed."""
    return next((i for i, row in enumerate(levels) if part in row.split()), None)


def complaint(each: Import) -> str | None:
    """Say what is wrong with an import; None if nothing is."""
    source, target = (name.split('.')[1:] for name in each)
    if not source:  # the package itself offers what all rooms have
        return None
    for room, imported in EXCEPTIONS:
        prefix = imported.split('.')
        if source[0] == room and target[: len(prefix)] == prefix:
            return None
    levels: tuple[str, ...] = LEVELS
    if target and source[0] == target[0]:
        if source[0] not in INSIDE or len(source) == 1:
            return None
        levels, source, target = INSIDE[source[0]], source[1:], target[1:]
        if source[:1] == target[:1]:
            return None
    here, there = (level(name[0], levels) if name else None for name in (source, target))
    if here is None or there is None or there >= here:
        return f'{each.source} imports {each.target}'
    return None


def has_room(name: str) -> bool:
    parts = name.split('.')[1:]
    tables = (LEVELS, INSIDE[parts[0]]) if parts and parts[0] in INSIDE else (LEVELS,)
    return all(level(part, levels) is not None for part, levels in zip(parts, tables))


def test_every_module_has_a_room() -> None:
    known = modules()
    assert len(known) > 50
    assert [name for name in known if not has_room(name)] == []
    assert not has_room(f'{PACKAGE}.loose')
    assert not has_room(f'{PACKAGE}.apis.loose')


def test_rooms_import_one_way() -> None:
    found = all_imports()
    assert len(found) > 100
    assert [text for text in map(complaint, found) if text] == []


@pytest.mark.parametrize('exception', EXCEPTIONS, ids=' -> '.join)
def test_exceptions_are_needed(exception: tuple[str, str]) -> None:
    room, imported = exception
    assert any(
        each.source.startswith(f'{PACKAGE}.{room}.')
        and f'{each.target}.'.startswith(f'{PACKAGE}.{imported}.')
        for each in all_imports()
    )


@pytest.mark.parametrize(
    ('source', 'target', 'refused'),
    [
        ('checks.config', 'hooks.preflight', True),
        ('checks.config', 'export.onnx', True),
        ('hooks.preflight', 'checks.config', False),
        ('datasets.metainfo', 'models.archs', True),
        ('checkpoints.convert', 'models.archs', False),
        ('models.archs', 'models.layers.windows', True),
        ('models.backbones.hrnet', 'models.heads.heatmap_head', True),
        ('models.backbones.hrnet', 'models.layers.windows', False),
        ('models.layers.windows', 'models', True),
        ('models', 'models.backbones', False),
        ('apis.inputs.sources', 'apis.boxes.box_file', True),
        ('functional.coco.oks', 'registry', True),
        ('utils.errors', 'unheard_of', True),
        ('commands.cli', '', True),
        ('', 'commands.cli', False),
    ],
)
def test_the_rule_itself(source: str, target: str, refused: bool) -> None:
    names = (f'{PACKAGE}.{name}'.rstrip('.') for name in (source, target))
    assert (complaint(Import(*names)) is not None) == refused


def test_imports_are_found_in_functions_but_not_for_type_checkers(tmp_path: Path) -> None:
    file = tmp_path / 'sources.py'
    file.write_text("""
from typing import TYPE_CHECKING
from ..boxes import box_file, nothing
import hrnet_plugin.utils.errors as errors
if TYPE_CHECKING:
    from ...commands import cli
else:
    from ... import hooks
def function():
    from ... import version as v
""")
    found = imports('hrnet_plugin.apis.inputs.sources', file, modules())
    assert [each.target.removeprefix(f'{PACKAGE}.') for each in found] == [
        'apis.boxes.box_file',
        'apis.boxes',
        'utils.errors',
        'hooks',
        'version',
    ]


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for source, target in all_imports():
        graph.setdefault(source, set()).add(target)
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names a cycle
    assert order.index(f'{PACKAGE}.version') < order.index(PACKAGE)
