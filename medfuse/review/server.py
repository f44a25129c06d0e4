"""`python -m medfuse.review.server run PAGE …`: Streamlit's own command, on a socket that sends small answers at once.

asyncio turns Nagle's algorithm (RFC 896) off for sockets that were made as TCP by name, and Streamlit makes its own
without one. Every answer of two small parts, and every small message to a page, would then wait up to 40 ms for the
browser's delayed acknowledgement (RFC 1122, 4.2.3.2) of the one before.
"""

from __future__ import annotations

import socket
import sys
from typing import Any


def main() -> None:
    """Run Streamlit with the arguments of this process."""
    from streamlit.web.cli import main as streamlit

    sys.addaudithook(send_at_once)
    streamlit(prog_name="streamlit")


def send_at_once(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: whatever a bound socket accepts has its options (Linux, macOS, Windows), and so sends at once."""
    if event == "socket.bind":
        bound = arguments[0]
        if bound.family in (socket.AF_INET, socket.AF_INET6) and bound.type == socket.SOCK_STREAM:
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


if __name__ == "__main__":
    main()
