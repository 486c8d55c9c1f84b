"""Put first on PYTHONPATH, this makes every Python process below refuse connections that leave the machine.

Each refusal is also written to the file named by OFFLINE_LOG, so that a swallowed exception still fails the test.
"""

import ipaddress
import os
import socket
import traceback


def _leaves(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return False
    try:
        return not ipaddress.ip_address(str(host).split("%")[0]).is_loopback and str(host) != "0.0.0.0"
    except ValueError:
        return True  # a name that would have to be looked up


def _refuse(host: object) -> None:
    with open(os.environ["OFFLINE_LOG"], "a") as log:
        log.write(f"{host!r}\n{''.join(traceback.format_stack(limit=8))}\n")
    raise OSError(f"offline: refused to reach {host!r}")


if "OFFLINE_LOG" in os.environ:
    _connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def connect(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and _leaves(address[0]):
            _refuse(address[0])
        _connect(self, address)

    def connect_ex(self: socket.socket, address: object) -> int:
        if self.family in (socket.AF_INET, socket.AF_INET6) and _leaves(address[0]):
            _refuse(address[0])
        return _connect_ex(self, address)

    def getaddrinfo(host: object, *rest: object, **options: object) -> list:
        if _leaves(host):
            _refuse(host)
        return _getaddrinfo(host, *rest, **options)

    socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, getaddrinfo
