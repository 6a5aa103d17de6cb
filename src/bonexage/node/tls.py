"""TLS for DICOM: contexts that a listener and a caller need, from a configuration's files."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from bonexage.errors import WrongUse
from bonexage.node.config import Tls


class _Patient(ssl.SSLContext):
    """A context whose handshake happens in the association's own thread, within a time, not at the door."""

    seconds: float = 60.0

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        sock.settimeout(self.seconds)
        return super().wrap_socket(sock, *arguments, **{**options, "do_handshake_on_connect": False})


def listening_context(tls: Tls, seconds: float) -> ssl.SSLContext | None:
    """What a listener needs; None where TLS is not wanted.

    Args:
        tls: its files; with authorities who calls has to show a certificate of theirs.
        seconds: that a caller may take for its handshake.

    Raises:
        WrongUse: a file is missing or is not what it should be.
    """
    if not tls.wanted:
        return None
    context = _Patient(ssl.PROTOCOL_TLS_SERVER)
    context.seconds = seconds
    _load(context, tls)
    context.verify_mode = ssl.CERT_REQUIRED if tls.authorities else ssl.CERT_NONE
    return context


def calling_context(tls: Tls) -> ssl.SSLContext | None:
    """What a caller needs; None where TLS is not wanted.

    The other side's certificate and host name are checked, against the system's authorities where none are
    given.

    Raises:
        WrongUse: a file is missing or is not what it should be.
    """
    if not tls.wanted:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, tls)
    if not tls.authorities:
        context.load_default_certs()
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
        if tls.authorities:
            context.load_verify_locations(tls.authorities)
    except (OSError, ssl.SSLError) as error:
        raise WrongUse(
            f"a TLS file cannot be used ({error.strerror or type(error).__name__})",
            remedy="Give certificate, key and authorities as PEM files that this user may read",
            subject=tls.certificate or tls.authorities,
        ) from None
