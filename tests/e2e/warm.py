"""The command in real processes that need not import PyTorch first: forked from one that has imported everything.

A process of its own for each command, with its own pipes, signals and exit code, at a twentieth of the time: importing
PyTorch, transformers and PEFT takes ten seconds on a slow machine. Nothing is computed before the fork, so no thread
of PyTorch is lost in it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress


class Warm:
    """Starts commands."""

    def __init__(self, environment):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], env=environment
        )
        theirs.close()

    def start(self, arguments, *, environment, cwd, prelude=""):
        """Run ``sft-playground ARGUMENTS`` as a process, with `prelude` executed in it first."""
        out, out_child = os.pipe()
        err, err_child = os.pipe()
        request = {
            "arguments": list(map(str, arguments)),
            "environment": environment,
            "cwd": str(cwd),
            "prelude": prelude,
        }
        socket.send_fds(self._socket, [json.dumps(request).encode()], [out_child, err_child])
        os.close(out_child)
        os.close(err_child)
        return Command(self._socket, int(self._socket.recv(64)), out, err)

    def close(self):
        """End the server; its commands have ended before."""
        self._socket.close()
        self._server.wait(10)


class Command:
    """A command that runs; `stdout` and `stderr` are its pipes."""

    def __init__(self, server, pid, out, err):
        self._server, self.pid = server, pid
        self.stdout, self.stderr = (os.fdopen(pipe, encoding="utf-8", errors="replace") for pipe in (out, err))

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=60):
        """Return the exit code, negative if a signal ended it; kill it if it takes too long."""
        late = threading.Timer(seconds, lambda: os.kill(self.pid, signal.SIGKILL))
        late.start()
        self._server.send(str(self.pid).encode())
        code = int(self._server.recv(64))
        late.cancel()
        for pipe in (self.stdout, self.stderr):
            with suppress(OSError):
                pipe.close()
        return code


def serve(connection):
    """Fork a process for each request; in it, return the request."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not data:
            sys.exit(0)
        if not descriptors:  # how did it end?
            _, status = os.waitpid(int(data), 0)
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if pid == 0:
            connection.close()
            for number, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return json.loads(data)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(pid).encode())


def main():
    """Import what a command imports, then serve."""
    import playground.cli.compare
    import playground.cli.data
    import playground.cli.runs
    import playground.cli.train
    import playground.inference.lineup
    import playground.training.loop  # noqa: F401
    from playground.cli import main as command

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    os.setsid()
    # As a shell starts a command, even if the tests themselves run under nohup or in the background.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    exec(request["prelude"], {})
    sys.argv = ["sft-playground", *request["arguments"]]
    command()


if __name__ == "__main__":
    main()
