"""Lightning, as quiet as a clinician's terminal wants it."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Keep what Lightning tells its developers away from a clinician's terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=r".*(does not have many workers|Checkpoint directory).*")
