"""Where the repository is, and the goldens in it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDENS = Path(__file__).parent / 'goldens'
