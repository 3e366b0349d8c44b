"""Ports for servers in other processes, which cannot choose a port themselves."""

import random
import socket

_BELOW_EPHEMERAL = range(20_000, 32_000)
"""The system gives outgoing connections higher ports: none of them takes a port before its server starts."""


def free_port() -> int:
    """Return a free port of this machine."""
    # Not the shared generator: tests that run at the same time may have seeded it equally.
    choose = random.SystemRandom().choice
    while True:
        port = choose(_BELOW_EPHEMERAL)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
