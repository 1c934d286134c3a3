"""HTTPS, and mutual TLS, as set."""

from __future__ import annotations

import ssl
from typing import Any

from service.errors import StartRefused
from service.settings import Settings


def tls_options(settings: Settings) -> dict[str, Any]:
    """What the server is given for TLS; nothing where none is set. Raises StartRefused for files that can't be used."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return {}
    files = (settings.tls_cert_file, settings.tls_key_file)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        if settings.tls_client_ca_file is not None:
            context.load_verify_locations(settings.tls_client_ca_file)
    except (OSError, ssl.SSLError):
        raise StartRefused("TLS_CERT_FILE, TLS_KEY_FILE or TLS_CLIENT_CA_FILE can't be used") from None
    options: dict[str, Any] = {"ssl_certfile": str(files[0]), "ssl_keyfile": str(files[1])}
    if settings.tls_client_ca_file is not None:
        options |= {"ssl_ca_certs": str(settings.tls_client_ca_file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options
