"""Load on a server: TLS handshakes, HTTP requests, and who answered."""
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

from servers import HERE, Failed


def served(port, name, root):
    """True if name's host shows a certificate that root verifies."""
    context = ssl.create_default_context(cafile=str(root))
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=name):
                return True
    except (OSError, ssl.SSLError):
        return False


class Handshakes:
    """The compiled load generator."""

    def __init__(self, folder):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            raise Failed("no C compiler: install gcc and libssl-dev")
        self.program = pathlib.Path(folder) / "handshakes"
        subprocess.run([compiler, "-O2", "-o", str(self.program),
                        str(HERE / "handshakes.c"), "-lssl", "-lcrypto"],
                       check=True)

    def run(self, port, version, count, names):
        """Seconds that count full handshakes took."""
        done = subprocess.run(
            [str(self.program), str(port), version, str(count), *names],
            stdout=subprocess.PIPE, text=True, check=False)
        good, seconds = done.stdout.split()
        if int(good) != count:
            raise Failed("%d of %d handshakes failed"
                         % (count - int(good), count))
        return float(seconds)


def wrk(url, seconds, host=None, keep_alive=True, connections=8):
    """(requests done, per second, those not 2xx or 3xx) of one wrk run."""
    program = shutil.which("wrk")
    if not program:
        raise Failed("no wrk: install Debian's package wrk")
    argv = [program, "-t1", "-c%d" % connections, "-d%ds" % seconds]
    if host:
        argv += ["-H", "Host: " + host]
    if not keep_alive:
        argv += ["-H", "Connection: close"]
    text = subprocess.run(argv + [url], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), "
                       r"timeout (\d+)", text)
    if errors and any(int(errors.group(n)) for n in (1, 3, 4)):
        raise Failed("wrk: " + errors.group(0))
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return (int(re.search(r"(\d+) requests in", text).group(1)),
            float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
            int(other.group(1)) if other else 0)
