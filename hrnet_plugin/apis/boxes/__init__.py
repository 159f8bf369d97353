"""Boxes of instances that a caller gives, as arrays or in a file."""
