"""What a user can cause and mend: each error is one line that names the thing, the place and the remedy.

No message carries patient data: a file is named by its path inside the cohort, a note's text never appears.
"""

from __future__ import annotations


class MedfuseError(Exception):
    """Any error that the user can mend; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 2


class ScanError(MedfuseError):
    """A scan cannot be read; the case goes on without it."""

    exit_code = 1


class NoteError(MedfuseError):
    """A note cannot be read; the case goes on without it."""

    exit_code = 1


class ConfigError(MedfuseError):
    """A configuration is not valid."""


class CohortError(MedfuseError):
    """A cohort folder is not valid as a whole."""


class EncoderError(MedfuseError):
    """An encoder cannot be built, or its weights do not fit it."""


class BundleError(MedfuseError):
    """A bundle is not what its receipt says."""

    exit_code = 1
