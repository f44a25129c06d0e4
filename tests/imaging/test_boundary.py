"""Other libraries' exceptions and warnings stop at the reader."""

from __future__ import annotations

import logging
import warnings

import pytest
from pydicom.data import get_testdata_file

from medfuse.errors import ScanError
from medfuse.imaging import read_scan
from medfuse.imaging.boundary import FOREIGN, UnreadableError, foreign


def test_nothing_reaches_stderr(capfd, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        read_scan(get_testdata_file("MR_small_padded.dcm", download=False))
        read_scan(get_testdata_file("badVR.dcm", download=False))
        with pytest.raises(ScanError):
            read_scan(get_testdata_file("MR_truncated.dcm", download=False))
    captured = capfd.readouterr()
    assert (captured.out, captured.err, caplog.records) == ("", "", [])


def test_a_level_that_the_application_chose_stays():
    logger = logging.getLogger("pydicom")
    before = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        read_scan(get_testdata_file("MR_small.dcm", download=False))
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize("kind", [*FOREIGN, RecursionError, UnicodeDecodeError])
def test_foreign_exceptions_become_a_reason(kind):
    error = kind("utf-8", b"", 0, 1, "x") if kind is UnicodeDecodeError else kind("SECRET")
    with pytest.raises(UnreadableError, match="damaged"), foreign("damaged"):
        raise error


def test_a_wish_to_stop_passes():
    with pytest.raises(KeyboardInterrupt), foreign("damaged"):
        raise KeyboardInterrupt
