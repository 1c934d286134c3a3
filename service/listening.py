"""The socket that the service is reached at."""

from __future__ import annotations

import socket

from service.errors import StartRefused
from service.settings import Settings


def listening_on(settings: Settings) -> socket.socket:
    """The socket to serve on. Raises StartRefused when the port is taken."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        raise StartRefused(f"PORT {settings.port} on {settings.host} can't be used: {error.strerror}") from None
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening


def base_url_of(settings: Settings, listening: socket.socket) -> str:
    """The address that callers on this machine reach it at."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    port = listening.getsockname()[1]
    scheme = "https" if settings.tls_cert_file is not None else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
