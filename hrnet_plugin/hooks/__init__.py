"""Hooks: what is done in MMEngine's runs besides training and testing."""

from .atomic_checkpoint import AtomicCheckpointHook
from .channels_last import ChannelsLastHook
from .exact_resume import ExactResumeHook
from .preflight import PreflightHook

__all__ = ['AtomicCheckpointHook', 'ChannelsLastHook', 'ExactResumeHook', 'PreflightHook']
