"""A BIND name server on loopback, for dynamic updates and as the zone's own server."""

import base64
import os
import secrets
import socket
import subprocess
from pathlib import Path

from .proc import Process, free_port, tail, wait_until

TOP = Path(__file__).resolve().parents[2]
KEY_NAME = "mod-acme-test"


def program():
    """named: of the system, else what build/deps unpacked."""
    deps = Path(os.environ.get("ACME_DEPS_DIR") or TOP / "build" / ".deps")
    for path in (Path("/usr/sbin/named"), deps / "bind9/usr/sbin/named"):
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError("no named: run build/deps test")


class Named:
    """A running named with one zone, which a TSIG key may update.

    extra  more records of the zone, as in a zone file
    port   None: a free one
    """

    def __init__(self, folder, zone="example.org", extra="", port=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.zone = zone
        self.port = port or free_port()
        self.log = self.folder / "named.log"
        self.key_file = self.folder / "tsig.key"
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.key_file.write_text(
            f'key "{KEY_NAME}" {{\n  algorithm hmac-sha256;\n  secret "{secret}";\n}};\n'
        )
        self.key_file.chmod(0o644)
        (self.folder / "zone").write_text(
            f"$TTL 60\n@ IN SOA ns.{zone}. root.{zone}. 1 60 60 600 5\n"
            f"@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n{extra}\n"
        )
        (self.folder / "named.conf").write_text(f"""
            include "{self.key_file}";
            options {{
                directory "{self.folder}";
                listen-on port {self.port} {{ 127.0.0.1; }};
                listen-on-v6 {{ none; }};
                pid-file none;
                session-keyfile none;
                recursion no;
                dnssec-validation no;
                allow-transfer {{ none; }};
            }};
            controls {{ }};
            zone "{zone}" {{
                type primary;
                file "zone";
                update-policy {{ grant {KEY_NAME} zonesub TXT; }};
            }};
        """)
        self._process = None

    def __enter__(self):
        argv = [program(), "-g", "-n", "1", "-c", self.folder / "named.conf"]
        self._process = Process("named", argv, self.log)
        wait_until(self._answers, 30, lambda: f"named answers\n{tail(self.log)}")
        return self

    def __exit__(self, *_):
        self._process.stop()

    def _answers(self):
        if not self._process.running():
            raise RuntimeError(f"named ended at start:\n{tail(self.log)}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return bool(self.dig(self.zone, "SOA"))
        except OSError:
            return False

    def dig(self, name, kind="TXT"):
        """The data of all records, sorted."""
        argv = ["dig", "+short", "+tries=1", "+time=2", "-p", str(self.port)]
        done = subprocess.run(
            [*argv, "@127.0.0.1", name, kind], capture_output=True, text=True, check=False
        )
        return sorted(done.stdout.split("\n"))[1:] if done.returncode == 0 else []

    def txt(self, name):
        return [text.strip('"') for text in self.dig(name)]
