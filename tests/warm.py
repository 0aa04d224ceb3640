"""A Python that need not import PyTorch first: what it runs is forked from a process that has imported everything.

Importing PyTorch, transformers and PEFT takes up to ten seconds on a slow machine, and the tests start a hundred
processes. `executable` writes a program that stands in for ``python -m MODULE ...`` and ``python -c CODE ...``: a
process of its own for each call, with its own pipes, signals, session and exit code. Nothing is computed before the
fork, so no thread of PyTorch is lost in it.

The program that was called stays, passes signals on and ends as the forked process ends; if it is killed, the
forked process is killed.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Server:
    """The process that has imported everything, and the program in front of it."""

    def __init__(self, folder):
        path, self.executable = folder / "socket", folder / "python"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen(16)  # who calls before the imports are done waits for them
        self._process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(listening.fileno())], pass_fds=[listening.fileno()],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}, start_new_session=True,
        )  # fmt: skip
        listening.close()
        self.executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{__file__}" call "{path}" "$@"\n')
        self.executable.chmod(0o755)

    def close(self):
        """End the server."""
        self._process.kill()
        self._process.wait()


def call(path, kind, code, *arguments):
    """Have it run by a fork of the server; end as it ends."""
    assert kind in ("-m", "-c"), kind
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    request = {
        "kind": kind, "code": code, "arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ),
    }  # fmt: skip
    socket.send_fds(server, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
    for descriptor in (0, 1, 2):  # or a pipe would stay open when the forked process has closed it
        os.close(descriptor)
    answers = server.makefile("r")
    pid = int(answers.readline())
    for number in PASSED_ON:
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
        time.sleep(10)
    os._exit(code)


def serve(listening):
    """Fork a process for each request; in it, return the request."""
    selector, callers = selectors.DefaultSelector(), {}
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    selector.register(listening, selectors.EVENT_READ, "call")
    selector.register(woken, selectors.EVENT_READ, "child")
    while True:
        for key, _ in selector.select():
            if key.data == "call":
                caller, _ = listening.accept()
                request, descriptors = receive(caller)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for each in (listening, caller, woken, wake, *callers.values()):
                        each.close()
                    selector.close()
                    for number, descriptor in enumerate(descriptors):
                        os.dup2(descriptor, number)
                        os.close(descriptor)
                    return request
                for descriptor in descriptors:
                    os.close(descriptor)
                with suppress(BrokenPipeError):  # it was killed already, which is noticed below
                    caller.sendall(f"{pid}\n".encode())
                callers[pid] = caller
                selector.register(caller, selectors.EVENT_READ, pid)
            elif key.data == "child":
                woken.recv(64)
                with suppress(ChildProcessError):
                    while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                        if caller := callers.pop(ended[0], None):
                            selector.unregister(caller)
                            with suppress(OSError):
                                caller.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())
                            caller.close()
            elif key.data in callers:  # the caller was killed
                selector.unregister(callers.pop(key.data))
                with suppress(ProcessLookupError):
                    os.kill(key.data, signal.SIGKILL)


def receive(caller):
    """Return a request and its standard input, output and error."""
    data, descriptors, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += caller.recv(1 << 20)
    return json.loads(data), descriptors


def main():
    """Import what a command or a child imports, then serve."""
    import runpy

    listening = socket.socket(fileno=int(sys.argv[2]))
    from playground.environ import before_torch

    before_torch()
    import playground.cli.compare
    import playground.cli.data
    import playground.cli.runs
    import playground.cli.train
    import playground.inference.service
    import playground.training.loop  # noqa: F401

    gc.freeze()  # or each fork would copy what its garbage collector looks at
    request = serve(listening)
    os.setsid()
    # What the streams know of their files (whether one can seek in them) was true before they were replaced.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - open until the process ends
    sys.stdout = open(1, "w", 1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    for number in PASSED_ON:  # as a shell starts a command, even if the tests themselves run under nohup
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    kind, code = request["kind"], request["code"]
    sys.argv = [code if kind == "-m" else "-c", *request["arguments"]]
    try:
        if kind == "-m":
            runpy.run_module(code, run_name="__main__", alter_sys=True)
        else:
            exec(code, {"__name__": "__main__"})
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the border of this process
        traceback.print_exc()
        status = 1
    # What Python does at an end, without taking three thousand modules apart, which takes a second.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    call(*sys.argv[2:]) if sys.argv[1] == "call" else main()
