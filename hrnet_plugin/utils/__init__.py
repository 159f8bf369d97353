"""Helpers that several packages share: files, errors, memory, imports."""
