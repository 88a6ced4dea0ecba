"""Connections passed on between a listening socket and another address, such as a Unix socket and a port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def relaying(listening: socket.socket, connect: Callable[[], socket.socket]) -> Iterator[None]:
    """Pass each connection to `listening`, which is bound, on to a new one made by `connect`."""
    listening.listen()

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_forward, args=(connection, connect), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield
    listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def unix_socket(path: str) -> socket.socket:
    """A connection to the Unix socket at `path`."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def _forward(connection: socket.socket, connect: Callable[[], socket.socket]) -> None:
    with connection, connect() as other:
        back = threading.Thread(target=_copy, args=(other, connection), daemon=True)
        back.start()
        _copy(connection, other)
        back.join()


def _copy(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        return
