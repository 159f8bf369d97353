"""Hooks: what is done in MMEngine's runs besides training and testing."""

from .preflight import PreflightHook

__all__ = ['PreflightHook']
