"""Where the project is, for tests that start programs of it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
