"""Boxes of instances that a caller gives, as arrays or as a file."""
