"""Secrets by their octets: every form that one may be shown in, and where it lies in memory."""

import base64
import re
from pathlib import Path

CHUNK = 1 << 16


def forms(secret):
    """Octets that stand for secret: as it is, hexadecimal, base64 of both alphabets, percent escapes.

    Base64 also where the secret begins in the middle of a group, as in a PEM file: what depends on
    its neighbours is left out. Escapes of a slash, as JSON may have them, too.
    """
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(),
             ":".join(f"{octet:02x}" for octet in secret).encode()}  # fmt: skip
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + secret)
        inner = whole[(0, 2, 3)[shift] : len(whole) - 4]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_")), inner.replace(b"/", b"\\/")}
    found.add("".join(f"%{octet:02X}" for octet in secret).encode())
    return {form for form in found if len(form) >= 8}


def shown(secrets, text):
    """Names of those secrets (name -> octets) that text shows in one of their forms.

    Line ends are looked over, since PEM breaks its lines.
    """
    text = text if isinstance(text, bytes) else text.encode(errors="replace")
    joined = re.sub(rb"\s", b"", text)
    return sorted(
        name
        for name, secret in secrets.items()
        if any(form in text or form in joined for form in forms(secret))
    )


def memory(pid):
    """What the process may write to, in one piece; what was never written to is left out."""
    used = bytearray()
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            first, last = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw"):
                continue
            for at in range(first, last, CHUNK):
                mem.seek(at)
                octets = mem.read(min(CHUNK, last - at))
                if octets.count(0) < len(octets):
                    used += octets
    return bytes(used)
