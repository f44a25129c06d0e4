"""Where the exceptions and warnings of other libraries stop: here they turn into one plain reason."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PIXELS = 2**26  # rows x columns of one frame; twice the largest mammogram, a quarter of a gigabyte as float32
MAX_VOXELS = 2**28  # rows x columns x frames; a CT of 1024 slices, a gigabyte as float32 where all of it is asked for
MAX_FRAMES = 2**16
CUT = "the file is cut short or damaged (a broken transfer); fetch it again"
MAX_BYTES = 2**30  # of one file or archive; 2**28 pixels of 16 bit, twice over

# What a damaged file makes a parser or a decoder raise. Named one by one, so that a wish to stop (KeyboardInterrupt,
# SystemExit) passes, and used only around calls into another library.
FOREIGN: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,  # Pillow's for a broken PNG
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

_NOISY = r"(pydicom|PIL|libjpeg|openjpeg|pylibjpeg|jpeg_ls|rle)(\.|$)"


class UnreadableError(Exception):
    """Why a file is not read and what to do, without the file's name; `read_scan` makes it a ScanError."""


@contextmanager
def foreign(reason: str, *also: type[Exception]) -> Iterator[None]:
    """Turn whatever another library raises on a damaged file into an UnreadableError.

    Args:
        reason: What is wrong and what to do. The library's own words are left out: they quote header values.
        also: Exceptions of that library that derive from none of Python's own.

    Raises:
        UnreadableError: In place of the library's exception, which stays its cause.
    """
    try:
        yield
    except BaseException as error:
        # A panic of pylibjpeg-rle, which is written in Rust, derives from BaseException and can only be told by name.
        if isinstance(error, (*FOREIGN, *also)) or type(error).__name__ == "PanicException":
            raise UnreadableError(reason) from error
        raise


def hush() -> None:
    """Keep the decoding libraries from writing to stderr: their warnings quote header values.

    A filter is added once instead of `warnings.catch_warnings`, which restores the state of the whole process and so
    goes wrong between threads. pydicom tells its logger the same warnings; WARNING is the level that pydicom itself
    sets there, and another one, which the application has chosen, is left as it is.
    """
    ours = ("ignore", _NOISY)
    if not any((kind, getattr(module, "pattern", None)) == ours for kind, _, _, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=_NOISY)
    logger = logging.getLogger("pydicom")
    if logger.level == logging.WARNING:
        logger.setLevel(logging.CRITICAL)
