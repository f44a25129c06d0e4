"""Starting the dashboard: Streamlit on this machine only, with what it may show and send turned down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import urllib.request
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep

from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.resources import shipped
from medfuse.review.desk import Desk, Places

ADDRESS = "127.0.0.1"  # the dashboard has no log-in, so it is never reachable from another machine
START_SECONDS = 60.0  # how long a browser waits for the server
_OPTIONS: Mapping[str, str] = {
    "server.address": ADDRESS,
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
    "theme.light.secondaryBackgroundColor": "#f2f5f7",
    "theme.light.textColor": "#1c2a33",
    "theme.light.borderColor": "#d9e1e6",
    "theme.dark.primaryColor": "#3fb6cc",
    "theme.dark.backgroundColor": "#11181c",
    "theme.dark.secondaryBackgroundColor": "#1b252b",
    "theme.dark.textColor": "#e6edf0",
    "theme.dark.borderColor": "#33424b",
    "theme.baseRadius": "small",
    "theme.baseFontSize": "15",
    "theme.showWidgetBorder": "true",
    "theme.paddingTop": "2.5rem",
    "theme.metricValueFontSize": "1.7rem",
    "theme.headingFontSizes": '["1.9rem", "1.6rem", "1.35rem", "1.15rem"]',
}


def command(places: Places, *, port: int) -> list[str]:
    """The command line that runs the dashboard."""
    options = [part for name, value in _OPTIONS.items() for part in (f"--{name}", value)]
    # Refusing other host names keeps a web page from reaching the dashboard under a name of its own (DNS rebinding).
    hosts = [part for host in (ADDRESS, "localhost") for part in ("--server.allowedHosts", host)]
    run = [sys.executable, "-m", "streamlit", "run", str(shipped("dashboard") / "app.py")]
    return [*run, *options, *hosts, "--server.port", str(port), "--", *places.arguments()]


def serve(
    *,
    cohort: Path,
    predictions: Path,
    store: str,
    evaluation: Path | None = None,
    bundle: Path | None = None,
    image: ImageConfig | None = None,
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
        port: Where it listens, on 127.0.0.1.
        open_browser: Whether to open the page, if this machine has a screen.

    Returns:
        The server's exit code; 0 after an interrupt.

    Raises:
        MedfuseError: If an input cannot be read or the port is taken, before anything is started.
    """
    places = Places(
        cohort=cohort,
        predictions=predictions,
        store=store,
        evaluation=evaluation,
        bundle=bundle,
        image=image or ImageConfig(),
    )
    Desk.open(places).store.close()  # a fault is told here, in one line, and not in the browser
    _require_free(port)
    server = subprocess.Popen(command(places, port=port))  # noqa: S603 - no shell; our own interpreter and page
    if open_browser and _has_screen():
        threading.Thread(target=_open_when_up, args=(port, server), daemon=True).start()
    try:
        return server.wait()
    except KeyboardInterrupt:  # the server got it too, as it runs in the same terminal
        server.terminate()
        server.wait()
        return 0


def _require_free(port: int) -> None:
    if not 1 <= port <= 65535:
        message = f"port {port} is not one of 1…65535"
        raise MedfuseError(message)
    with socket.socket() as probe:
        # As the server does: a port that only waits out its old connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            message = f"port {port} cannot be used on {ADDRESS}: {error.strerror}; choose another with --port"
            raise MedfuseError(message) from error


def _has_screen() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open_when_up(port: int, server: subprocess.Popen[bytes]) -> None:
    address = f"http://{ADDRESS}:{port}"
    deadline = monotonic() + START_SECONDS
    while server.poll() is None and monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()  # noqa: S310 - fixed http address
        except OSError:
            sleep(0.2)
            continue
        webbrowser.open(address)
        return
