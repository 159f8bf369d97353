"""Functions of the last release, for one more release."""

import warnings
from collections.abc import Mapping
from typing import Any

from .stock import as_keypoint_codec


def follows_udp(codec: object) -> bool:
    """Return ``KeypointCodec.is_udp`` of a codec, ours or stock's."""
    warn_of_former_name('codecs.follows_udp(codec)', 'codecs.as_keypoint_codec(codec).is_udp')
    known = as_keypoint_codec(codec)
    return known is not None and bool(known.is_udp)


def shift_error(codec: object, test_cfg: Mapping[str, Any]) -> str | None:
    """Return ``KeypointCodec.shift_error`` of a codec, ours or stock's."""
    warn_of_former_name('codecs.shift_error(codec, …)', 'KeypointCodec.shift_error(…)')
    known = as_keypoint_codec(codec)
    return None if known is None else known.shift_error(test_cfg)


def warn_of_former_name(former: str, new: str) -> None:
    """Warn the caller's caller that a name has changed."""
    warnings.warn(
        f'{former} is now {new}; the former name goes with the next release',
        DeprecationWarning,
        stacklevel=3,
    )
