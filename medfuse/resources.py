"""Where the folders that travel with the program lie: `configs`, `dashboard`, `sample_data`."""

from __future__ import annotations

from pathlib import Path

from medfuse.errors import MedfuseError


def shipped(name: str) -> Path:
    """The folder `name`, in an installed wheel or in a checkout.

    Example:
        >>> (shipped("configs") / "demo.yaml").exists()
        True

    Raises:
        MedfuseError: If the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "shipped" / name, package.parent / name):
        if folder.is_dir():
            return folder
    message = f"the folder '{name}' did not come with this installation; install medfuse again"
    raise MedfuseError(message)
