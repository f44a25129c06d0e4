"""Starting the dashboard: Streamlit with what it may show and send turned down, on this machine alone by default."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.resources import shipped
from medfuse.review.access import Accounts
from medfuse.review.desk import Desk, Places
from medfuse.review.reach import Reach

START_SECONDS = 60.0  # how long a browser waits for the server
_OPTIONS: Mapping[str, str] = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableCORS": "true",  # here "true" means protected
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.toolbarMode": "minimal",
    "theme.light.primaryColor": "#0b6b7e",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f6f8f9",
    "theme.light.textColor": "#0b141a",
    "theme.light.borderColor": "#d9e1e6",
    "theme.dark.primaryColor": "#1c7a8c",
    "theme.dark.backgroundColor": "#0b0f12",
    "theme.dark.secondaryBackgroundColor": "#151c21",
    "theme.dark.textColor": "#ffffff",
    "theme.dark.borderColor": "#33424b",
    "theme.baseRadius": "small",
    "theme.baseFontSize": "15",
    "theme.showWidgetBorder": "true",
    "theme.paddingTop": "2.5rem",
    "theme.metricValueFontSize": "1.7rem",
    "theme.headingFontSizes": '["1.9rem", "1.6rem", "1.35rem", "1.15rem"]',
}


def command(places: Places, *, port: int, reach: Reach | None = None) -> list[str]:
    """The command line that runs the dashboard."""
    reach = reach or Reach()
    options = [part for name, value in {**_OPTIONS, **reach.options()}.items() for part in (f"--{name}", value)]
    if not reach.needs_login:
        # Refusing other host names keeps a web page from reaching the dashboard under a name of its own (DNS
        # rebinding). Where a login is asked for, such a page has none.
        for host in (reach.address, "localhost"):
            options += ["--server.allowedHosts", host]
    run = [sys.executable, "-m", "medfuse.review.server", "run", str(shipped("dashboard") / "door.py")]
    return [*run, *options, "--server.port", str(port), "--", *places.arguments()]


def serve(
    *,
    cohort: Path,
    predictions: Path,
    store: str,
    evaluation: Path | None = None,
    bundle: Path | None = None,
    image: ImageConfig | None = None,
    reach: Reach | None = None,
    port: int = 8501,
    open_browser: bool = True,
) -> int:
    """Run the dashboard until it is interrupted.

    Args:
        cohort: The cohort's folder.
        predictions: The JSON lines that `medfuse classify` wrote.
        store: The file or SQLAlchemy URL of the decisions.
        evaluation: The folder that `medfuse evaluate` wrote.
        bundle: The bundle, for reasons and for cases that are dropped in; None only reviews.
        image: How scans were fitted for the network, as the bundle's configuration has it.
        reach: From where it can be reached; this machine alone by default.
        port: Where it listens.
        open_browser: Whether to open the page, if this machine has a screen.

    Returns:
        The server's exit code; 0 after an interrupt.

    Raises:
        MedfuseError: If an input cannot be read, the port is taken or `reach` refuses, before anything is started.
    """
    reach = reach or Reach()
    places = Places(
        cohort=cohort,
        predictions=predictions,
        store=store,
        evaluation=evaluation,
        bundle=bundle,
        image=image or ImageConfig(),
        login=reach.needs_login,
        openid=reach.openid is not None,
    )
    desk = Desk.open(places)  # a fault is told here, in one line, and not in the browser
    try:
        reach.check(Accounts(desk.store.database))
    finally:
        desk.store.close()
    _require_free(port, reach.address)
    server = subprocess.Popen(command(places, port=port, reach=reach))  # noqa: S603 - no shell; our own interpreter and page
    if open_browser and _has_screen():
        threading.Thread(target=_open_when_up, args=(f"{reach.url}:{port}", server), daemon=True).start()
    try:
        return server.wait()
    except KeyboardInterrupt:  # the server got it too, as it runs in the same terminal
        server.terminate()
        server.wait()
        return 0


def _require_free(port: int, address: str) -> None:
    if not 1 <= port <= 65535:
        message = f"port {port} is not one of 1…65535"
        raise MedfuseError(message)
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        # As the server does: a port that only waits out its old connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            message = f"port {port} cannot be used on {address}: {error.strerror}; choose another with --port"
            raise MedfuseError(message) from error


def _has_screen() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open_when_up(address: str, server: subprocess.Popen[bytes]) -> None:
    place, deadline = urlsplit(address), monotonic() + START_SECONDS
    while server.poll() is None and monotonic() < deadline:
        try:
            # Not by HTTP: its certificate need not be one of this address, or of an authority that is known here.
            socket.create_connection((place.hostname, place.port), timeout=2).close()
        except OSError:
            sleep(0.2)
            continue
        webbrowser.open(address)
        return
