"""Modules of the last release under their former names, for one more release."""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

PACKAGE = 'hrnet_plugin'
# functional.oks and functional.oks_nms are missing: they would hide the functions of these names.
MOVED = {
    'allocator': 'utils.allocator',
    'apis.checkpoints': 'checkpoints',
    'apis.checkpoints.convert': 'checkpoints.convert',
    'apis.checkpoints.files': 'checkpoints.files',
    'apis.checkpoints.layouts': 'checkpoints.layouts',
    'apis.checkpoints.recognise': 'checkpoints.recognise',
    'apis.checkpoints.safe_globals': 'checkpoints.safe_globals',
    'apis.configs': 'apis',
    'apis.configs.check': 'checks.config',
    'apis.configs.contact_sheet': 'checks.contact_sheet',
    'apis.configs.names': 'utils.model_index',
    'apis.configs.versions': 'checks.old_config',
    'apis.inference.box_file': 'apis.boxes.box_file',
    'apis.inference.boxes': 'apis.boxes.given_boxes',
    'apis.inference.fuse': 'models.fuse',
    'apis.inference.inputs': 'apis.inputs.sources',
    'apis.processes': 'commands.processes',
    'apis.tools': 'commands.launch',
    'archs': 'models.archs',
    'atomic_files': 'utils.atomic_files',
    'cli': 'commands.cli',
    'datasets.preflight': 'checks',
    'datasets.preflight.boxes': 'checks.boxes',
    'datasets.preflight.coco': 'checks.coco',
    'datasets.preflight.findings': 'checks.findings',
    'datasets.preflight.images': 'checks.images',
    'datasets.preflight.metainfo': 'checks.metainfo',
    'datasets.preflight.mpii': 'checks.mpii',
    'datasets.preflight.people': 'checks.instances',
    'datasets.preflight.units': 'checks.units',
    'doctor': 'environment.doctor',
    'errors': 'utils.errors',
    'evaluation.columns': 'evaluation.gather',
    'evaluation.samples': 'evaluation.collect',
    'evaluation.scores': 'functional.coco.scoring',
    'functional.accuracy': 'functional.heatmaps.accuracy',
    'functional.coco_arrays': 'functional.coco.arrays',
    'functional.coco_eval': 'functional.coco.evaluate',
    'functional.coco_matching': 'functional.coco.matching',
    'functional.coco_schema': 'functional.coco.schema',
    'functional.coordinate_units': 'functional.coco.units',
    'functional.heatmap': 'functional.heatmaps.peaks',
    'functional.heatmap_decode': 'functional.heatmaps.decode',
    'functional.heatmap_encode': 'functional.heatmaps.encode',
    'functional.one_euro': 'functional.video.one_euro',
    'functional.tracking': 'functional.video.tracking',
    'functional.windows': 'models.layers.windows',
    'hooks.gathering': 'checks.gathering',
    'hooks.last_checkpoint': 'checkpoints.last_checkpoint',
    'hooks.sample_fetch': 'datasets.fetch',
    'requirements': 'environment.requirements',
}
STAYS = ('archs',)  # a public name, without a warning


class FormerModules(MetaPathFinder, Loader):
    """Import a module under its former name, with a warning."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        package, _, name = fullname.partition('.')
        if package != PACKAGE or name not in MOVED:
            return None
        return spec_from_loader(fullname, self)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        former = module.__name__
        name = former.removeprefix(f'{PACKAGE}.')
        new = f'{PACKAGE}.{MOVED[name]}'
        if name not in STAYS:
            warnings.warn(
                f'{former} is now {new}; the former name goes with the next release',
                DeprecationWarning,
                stacklevel=2,
            )
        sys.modules[former] = import_module(new)


def find_former_modules() -> None:
    """Allow imports of modules under their former names."""
    if not any(isinstance(finder, FormerModules) for finder in sys.meta_path):
        # First, as Python would find apis.checkpoints.convert in the folder of checkpoints, and
        # load it a second time.
        sys.meta_path.insert(0, FormerModules())
