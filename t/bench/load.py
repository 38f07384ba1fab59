"""Load on a server: TLS handshakes, HTTP requests, and who answered."""
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

from servers import HERE, TOP, Failed


def served(port, name, root):
    """True if name's host shows a certificate that root verifies."""
    context = ssl.create_default_context(cafile=str(root))
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=name):
                return True
    except (OSError, ssl.SSLError):
        return False


def output(*argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                              check=True).stdout
    except OSError as error:
        raise Failed("%s: %s" % (argv[0], error)) from error


def compile_c(folder, name, *flags):
    """Compiles <name>.c of the bench; returns the program's path."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Failed("no C compiler: install gcc and libssl-dev")
    program = pathlib.Path(folder) / name
    subprocess.run([compiler, "-std=gnu11", "-O2", "-o", str(program),
                    str(HERE / (name + ".c")), *flags], check=True)
    return program


def callback(folder, count):
    """(nothing new, swapped live, stapled): microseconds of one call."""
    program = pathlib.Path(folder) / "callback"
    if not program.exists():
        headers = output("apxs", "-q", "INCLUDEDIR").strip()
        compile_c(folder, "callback", "-I%s" % (TOP / "mod_acme"),
                  "-isystem", headers,
                  *output("pkg-config", "--cflags", "--libs", "apr-1",
                          "openssl").split())
    return [int(value) / 1000
            for value in output(str(program), str(count)).split()]


class Handshakes:
    """The compiled load generator."""

    def __init__(self, folder):
        self.program = compile_c(folder, "handshakes", "-lssl", "-lcrypto")

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
