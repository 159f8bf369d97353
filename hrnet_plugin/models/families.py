"""Backbone families: the published architectures of each, and the class that builds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..utils.errors import unknown_name
from .archs import HRFORMER_ARCHS, HRNET_ARCHS, LITEHRNET_ARCHS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Family:
    """One backbone family; its class, ``hrnet_plugin.models.<name>``, is imported when used.

    Attributes:
        name: Name of the backbone class.
        archs: Rows of the published architectures by name.
        prefix: What tells these names from those of other families.
    """

    name: str
    archs: Mapping[str, Any]
    prefix: str = ''

    def build(self, arch: str, **options: Any) -> 'nn.Module':
        """Build a published architecture of the family.

        Args:
            arch: Name of the architecture.
            **options: Further options of the backbone class.

        Returns:
            The backbone, with the class's initial weights.

        Raises:
            ValueError: The family has no architecture of this name.

        Example:
            >>> import torch
            >>> with torch.device('meta'):
            ...     FAMILIES['LiteHRNet'].build('lite-18').out_channels
            (40,)
        """
        backbone: type[nn.Module] = getattr(import_module(__package__), self.name)
        return backbone(arch=arch, **options)


FAMILIES = {
    family.name: family
    for family in (
        Family('HRNet', HRNET_ARCHS),
        Family('LiteHRNet', LITEHRNET_ARCHS),
        Family('HRFormer', HRFORMER_ARCHS, 'hrformer-'),
    )
}

# Names that are unique among all families -> family and its name of the architecture
ARCH_NAMES = {
    f'{family.prefix}{arch}': (family, arch)
    for family in FAMILIES.values()
    for arch in family.archs
}


def find_arch(name: str) -> tuple[Family, str]:
    """Return the family of a published architecture, and the architecture's name in it.

    Args:
        name: Key of ``ARCH_NAMES``.

    Raises:
        ValueError: There is no such architecture; the message has the closest name.

    Example:
        >>> family, arch = find_arch('hrformer-small')
        >>> family.name, arch
        ('HRFormer', 'small')
    """
    if name not in ARCH_NAMES:
        raise ValueError(unknown_name('arch', name, ARCH_NAMES))
    return ARCH_NAMES[name]
