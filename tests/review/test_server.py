from __future__ import annotations

import socket

from medfuse.review.server import send_at_once


def test_what_a_bound_socket_accepts_sends_at_once() -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_UNIX, None)):
        with socket.socket(family) as bound:
            send_at_once("socket.bind", (bound, address))
            if family != socket.AF_INET:
                continue
            bound.bind((address, 0))
            bound.listen()
            with socket.create_connection(bound.getsockname()), bound.accept()[0] as accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
