"""How architectures are given: by name, or as the ``extra`` dictionaries of stock configs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ...utils.errors import unknown_name


class Arch(Protocol):
    """A published architecture."""

    @property
    def extra(self) -> dict[str, Any]: ...


def choose_extra(
    backbone: str, archs: Mapping[str, Arch], arch: str | None, extra: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """The ``extra`` of a published architecture, or the one given.

    Raises:
        ValueError: there is no such architecture, or both or neither are given.
    """
    if arch is None and extra is not None:
        return extra
    if arch is None or extra is not None:
        raise ValueError(f'{backbone} takes either arch=NAME or extra=dict(…)')
    if arch not in archs:
        raise ValueError(unknown_name(f'arch of {backbone}', arch, archs))
    return archs[arch].extra


def check_keys(
    where: str,
    cfg: Mapping[str, Any],
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> None:
    """Raise a ValueError if ``cfg`` lacks a required key or has one that is neither."""
    for key in cfg:
        if key not in required and key not in optional:
            raise ValueError(unknown_name(f'option in {where}', key, [*required, *optional]))
    for key in required:
        if key not in cfg:
            raise ValueError(f'{where} lacks {key!r}; expected {", ".join(required)}')


def check_lengths(where: str, cfg: Mapping[str, Any], keys: Sequence[str], of: str) -> None:
    """Raise a ValueError unless each of ``keys`` has ``cfg[of]`` entries."""
    for key in keys:
        if len(cfg[key]) != cfg[of]:
            raise ValueError(
                f'{where}: {key}={tuple(cfg[key])} has {len(cfg[key])} entries; '
                f'expected one for each of {of}={cfg[of]}'
            )


def check_new_streams(before: Sequence[int], channels: Sequence[int], where: str) -> None:
    """Raise a ValueError unless a stage has more streams than the one before it."""
    if len(channels) <= len(before):
        raise ValueError(
            f'{where} has num_branches={len(channels)}; expected more than the '
            f'{len(before)} of the stage before it'
        )
