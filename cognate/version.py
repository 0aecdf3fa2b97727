"""The version, where both sides may read it without importing each other."""

__version__ = "0.1.0"
