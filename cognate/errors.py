"""What Cognate raises: one sentence that says what happened, where, and what to do next."""

from __future__ import annotations


class CognateError(Exception):
    """Base of every error that Cognate raises on purpose; the CLI prints its message and exits with `exit_code`."""

    exit_code = 2


class UsageError(CognateError):
    """The command, option or name cannot be understood."""


class CaseError(CognateError):
    """A file or folder cannot be read as evidence."""


class SettingsError(CognateError):
    """`[tool.cognate]` or `cognate.toml` holds something that Cognate does not accept."""


class SkillError(CognateError):
    """A skill folder or a rule in it is malformed."""
