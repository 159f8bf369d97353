"""The plugin's registries.

MODELS, METRICS, … are children of MMEngine's root registries, so that configs of MMPose, MMDet,
MMSegmentation and MMPretrain all reach ``hrnet_plugin.X``; KEYPOINT_CODECS has no root in MMEngine
and is a child of MMPose's. MMEngine imports this module by itself when a config names the scope
``hrnet_plugin`` and imports ``locations`` when it first looks for a type.

Configs and inferencers can also have ``hrnet_plugin`` as their default scope, by
``_base_ = 'hrnet_plugin::…'`` or ``scope='hrnet_plugin'``: then names that are neither ours nor
MMEngine's are MMPose's.

MMPose itself is optional: without it, the classes that need it are left out.
"""

import functools
import inspect
from importlib import import_module
from typing import Any

from mmengine import registry as root
from mmengine.registry import Registry

from .environment.requirements import explained_import_errors
from .utils.errors import unknown_name

SCOPE = 'hrnet_plugin'
PUBLIC_NAMES = import_module(SCOPE).__all__


class PluginRegistry(Registry):
    """A registry whose classes refuse options that they do not have, naming the closest one.

    A class that is registered again, because its module was imported again, takes its own place.
    """

    mmposes: Registry | None  # MMPose's registry of the same kind
    missing: ImportError | None = None  # why a location could not be imported, if so
    _imported: bool

    def import_from_location(self) -> None:
        """Import the modules that register classes; remember why, where one does not import."""
        if self._imported:
            return
        for location in self._locations:
            try:
                import_module(location)
            except ImportError as error:
                self.missing = error
        self._imported = True

    def get(self, key: str) -> Any:
        """Return the class of this name: ours, MMEngine's or MMPose's.

        Raises:
            ImportError: It is ours, but needs a package that is missing or broken.
        """
        self.import_from_location()
        if self.missing and key in PUBLIC_NAMES and key not in self.module_dict:
            with explained_import_errors(f'{SCOPE}.{key}'):
                raise self.missing
        if '.' in key or key in self.module_dict or self.mmposes is None:
            return super().get(key)
        return self.mmposes.get(key)

    def _register_module(
        self, module: type, module_name: str | list[str] | None = None, force: bool = False
    ) -> None:
        _check_options(module)
        before = self.module_dict.get(module.__name__)
        again = before is not None and before.__module__ == module.__module__
        super()._register_module(module, module_name, force or again)


def _check_options(cls: type) -> None:
    init = cls.__init__  # type: ignore[misc]
    # A class without an __init__ has object's, whose signature takes anything.
    parameters = {} if init is object.__init__ else dict(inspect.signature(init).parameters)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise TypeError(f'{cls.__name__}.__init__ takes **kwargs, which would hide a misspelling')
    options = [name for name in parameters if name != 'self']

    @functools.wraps(init)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        # A subclass that calls super().__init__ has its own signature, checked where it is
        # registered; what arrives here must fit this class either way.
        for name in kwargs:
            if name not in options:
                raise TypeError(unknown_name(f'option of {cls.__name__}', name, options))
        init(self, *args, **kwargs)

    cls.__init__ = checked_init  # type: ignore[misc]


def _child(name: str, parent: Registry, *rooms: str) -> PluginRegistry:
    if SCOPE in parent.children:  # this module is imported again
        return parent.children[SCOPE]
    # Without any, MMEngine would look for a function that only its own family has.
    locations = [f'{SCOPE}.{room}' for room in rooms] or [SCOPE]
    child = PluginRegistry(name, parent=parent, scope=SCOPE, locations=locations)
    child.mmposes = next((r for r in MMPOSE_REGISTRIES if parent in (r, r.parent)), None)
    return child


def _registries(module: Any) -> list[Registry]:
    """The registries that a package's ``registry`` defines itself."""
    scope = module.__name__.split('.')[0]
    return [r for r in vars(module).values() if type(r) is Registry and r.scope == scope]


try:
    mmpose: Any = import_module('mmpose.registry')
except ImportError:  # what needs it says why when it is asked for
    mmpose = None
MMPOSE_REGISTRIES = _registries(mmpose) if mmpose else []

MODELS = _child('model', root.MODELS, 'models.backbones', 'models.heads', 'models.estimators')
METRICS = _child('metric', root.METRICS, 'evaluation')
HOOKS = _child(
    'hook',
    root.HOOKS,
    'hooks.atomic_checkpoint',
    'hooks.channels_last',
    'hooks.exact_resume',
    'hooks.preflight',
)
INFERENCERS = _child('inferencer', root.INFERENCERS, 'apis.inference')
if mmpose:
    KEYPOINT_CODECS = _child('keypoint codec', mmpose.KEYPOINT_CODECS, 'codecs')
# Of other kinds there are none of ours, but configs under our scope name them.
for _registry in [*_registries(root), *(r for r in MMPOSE_REGISTRIES if r.parent is None)]:
    _child(_registry.name, _registry)
