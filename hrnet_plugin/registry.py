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
from types import ModuleType
from typing import Any, TypeVar

from mmengine import registry as root
from mmengine.registry import Registry

from .environment.requirements import explained_import_errors
from .utils.errors import unknown_name

SCOPE = 'hrnet_plugin'
PUBLIC_NAMES = import_module(SCOPE).__all__
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

C = TypeVar('C', bound=type)


class PluginRegistry(Registry):
    """A registry of the plugin's classes, which looks for other names where MMPose would.

    A class that is registered again, because its module was imported again, takes its own place.
    """

    mmposes: Registry | None  # MMPose's registry of the same kind
    missing: ImportError | None = None  # why a location could not be imported
    _imported: bool

    def import_from_location(self) -> None:
        """Import the modules that register classes; keep the error of one that fails."""
        if self._imported:
            return
        for location in self._locations:
            try:
                import_module(location)
            except ImportError as error:
                self.missing = error
        self._imported = True

    def get(self, key: str) -> Any:
        """Return the class of a name: ours, MMEngine's or MMPose's.

        Raises:
            ImportError: The class is ours, but needs a package that is missing or broken.
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
        before = self.module_dict.get(module.__name__)
        again = before is not None and before.__module__ == module.__module__
        super()._register_module(module, module_name, force or again)


def strict_options(cls: C) -> C:
    """Make a class refuse options that it does not have, naming the closest valid one.

    Its options are the parameters of ``__init__``; where that passes ``**kwargs`` on, also those
    of the next class in the method resolution order that has an ``__init__``, and so on.

    Args:
        cls: Class to decorate; its ``__init__`` is replaced by one that checks first.

    Returns:
        The class.

    Example:
        >>> @strict_options
        ... class Head:
        ...     def __init__(self, channels: int = 1) -> None: ...
        >>> Head(chanels=2)
        Traceback (most recent call last):
        TypeError: unknown option of Head 'chanels'; did you mean 'channels'? Valid: 'channels'
    """
    init = cls.__init__  # type: ignore[misc]
    options = _option_names(cls)

    @functools.wraps(init)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in options:
                raise TypeError(unknown_name(f'option of {cls.__name__}', name, options))
        init(self, *args, **kwargs)

    cls.__init__ = checked_init  # type: ignore[misc]
    return cls


def _option_names(cls: type) -> list[str]:
    """Collect the names of all options that a class accepts."""
    names: dict[str, None] = {}
    for base in cls.__mro__[:-1]:  # without object, whose signature accepts anything
        if '__init__' not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)['__init__']).parameters.values())[1:]
        kinds = [p.kind for p in parameters]
        names |= {p.name: None for p in parameters if p.kind in NAMED}
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return list(names)


def _child(name: str, parent: Registry, *rooms: str) -> PluginRegistry:
    """Return our child of a registry; ``rooms`` are the modules that register classes there."""
    if SCOPE in parent.children:  # this module is imported again
        return parent.children[SCOPE]
    # Without any, MMEngine would look for a function that only its own family has.
    locations = [f'{SCOPE}.{room}' for room in rooms] or [SCOPE]
    child = PluginRegistry(name, parent=parent, scope=SCOPE, locations=locations)
    child.mmposes = next((r for r in MMPOSE_REGISTRIES if parent in (r, r.parent)), None)
    return child


def _registries(module: ModuleType) -> list[Registry]:
    """Return the registries that a package's ``registry`` module defines itself."""
    scope = module.__name__.split('.')[0]
    return [r for r in vars(module).values() if type(r) is Registry and r.scope == scope]


try:
    mmpose: Any = import_module('mmpose.registry')
except ImportError:  # a class that needs it explains that when it is used
    mmpose = None
MMPOSE_REGISTRIES = _registries(mmpose) if mmpose else []

MODELS = _child(
    'model',
    root.MODELS,
    'models.backbones',
    'models.necks',
    'models.heads',
    'models.estimators',
)
METRICS = _child('metric', root.METRICS, 'evaluation')
HOOKS = _child(
    'hook',
    root.HOOKS,
    'hooks.atomic_checkpoint',
    'hooks.channels_last',
    'hooks.curves',
    'hooks.exact_resume',
    'hooks.preflight',
    'hooks.progress',
)
FUNCTIONS = _child('function', root.FUNCTIONS, 'datasets.collate')
OPTIM_WRAPPERS = _child('optim_wrapper', root.OPTIM_WRAPPERS, 'optim.autocast')
WEIGHT_INITIALIZERS = _child(
    'weight initializer', root.WEIGHT_INITIALIZERS, 'checkpoints.pretrained'
)
INFERENCERS = _child('inferencer', root.INFERENCERS, 'apis.inference')
if mmpose:
    KEYPOINT_CODECS = _child('keypoint codec', mmpose.KEYPOINT_CODECS, 'codecs')
# We have no classes of other kinds, but configs under our scope name some.
for _registry in [*_registries(root), *(r for r in MMPOSE_REGISTRIES if r.parent is None)]:
    _child(_registry.name, _registry)
