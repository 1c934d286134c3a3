"""Becomes another program that can't outlive its parent: `python launch.py PARENT_PID PROGRAM ARGUMENT…`.

On Linux the kernel is asked to kill this process when its parent dies, and that request survives exec: process id,
start time and standard streams are the program's own. Elsewhere this process stays, starts the program and watches the
parent. Uses the standard library only, so that it starts in a few milliseconds.
"""

import contextlib
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_WATCH_S = 0.25


def _die_with_parent() -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _watch(parent: int, program: list[str]) -> int:
    child = subprocess.Popen(program)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while child.poll() is None:
        if os.getppid() != parent:
            child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_WATCH_S)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def main() -> None:
    """Does not return."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform != "linux":
        sys.exit(_watch(parent, program))
    _die_with_parent()
    if os.getppid() != parent:  # it died before the request was made
        sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
