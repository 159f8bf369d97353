"""The plugin's registries.

MODELS, METRICS, … are children of MMEngine's root registries, so that configs of MMPose, MMDet,
MMSegmentation and MMPretrain all reach ``hrnet_plugin.X``; KEYPOINT_CODECS has no root in MMEngine
and is a child of MMPose's. MMEngine imports this module by itself when a config names the scope
``hrnet_plugin`` and imports ``locations`` when it first looks for a type.

Configs and inferencers can also have ``hrnet_plugin`` as their default scope, by
``_base_ = 'hrnet_plugin::…'`` or ``scope='hrnet_plugin'``: then names that are neither ours nor
MMEngine's are MMPose's.
"""

import functools
import inspect
from typing import Any

from mmengine import registry as root
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmpose import registry as mmpose
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_KEYPOINT_CODECS

from .errors import unknown_name

SCOPE = 'hrnet_plugin'

# Lets MMEngine look for our configs and the names of our models.
MODULE2PACKAGE[SCOPE] = SCOPE


class PluginRegistry(Registry):
    """A registry whose classes refuse options that they do not have, naming the closest one.

    A class that is registered again, because its module was imported again, takes its own place.
    """

    mmposes: Registry  # MMPose's registry of the same kind

    def get(self, key: str) -> Any:
        """The class of this name: ours, MMEngine's or MMPose's."""
        self.import_from_location()
        if '.' in key or key in self.module_dict:
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


def _child(name: str, parent: Registry, *rooms: str) -> Registry:
    if SCOPE in parent.children:  # this module is imported again
        return parent.children[SCOPE]
    # Without any, MMEngine would look for a function that only its own family has.
    locations = [f'{SCOPE}.{room}' for room in rooms] or [SCOPE]
    child = PluginRegistry(name, parent=parent, scope=SCOPE, locations=locations)
    (child.mmposes,) = (r for r in _mmpose_registries() if parent in (r, r.parent))
    return child


def _mmpose_registries() -> list[Registry]:
    return [r for r in vars(mmpose).values() if type(r) is Registry and r.scope == 'mmpose']


MODELS = _child('model', root.MODELS, 'models')
METRICS = _child('metric', root.METRICS, 'evaluation')
HOOKS = _child('hook', root.HOOKS, 'hooks')
INFERENCERS = _child('inferencer', root.INFERENCERS, 'apis')
KEYPOINT_CODECS = _child('keypoint codec', MMPOSE_KEYPOINT_CODECS, 'codecs')
# Of other kinds there are none of ours, but configs under our scope name them.
for _kind in _mmpose_registries():
    _child(_kind.name, _kind if _kind.parent is None else _kind.parent)
