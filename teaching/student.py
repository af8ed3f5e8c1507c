"""Inside the sandbox: runs the cells of one submission and calls its functions when the grader asks.

Nothing here is secret, and nothing it answers is trusted.  A submission can break this process; it then breaks its own grade only.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import pickle
import resource
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any


class TimeIsUp(BaseException):
    """Not an Exception, so that a student's `except Exception` does not swallow it."""


def restrict(memory: int, processes: int, file_size: int, processor_seconds: int, user: int) -> None:
    """Limits on this process and its children; from root, become a user that owns nothing."""
    for what, limit in [
        (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, file_size), (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_NOFILE, 256), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, processes),
    ]:  # fmt: skip
        hard = resource.getrlimit(what)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError):  # macOS has no RLIMIT_AS to speak of
            resource.setrlimit(what, (limit, limit))
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp(f"stopped after {seconds:g} seconds")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)  # again and again: a bare `except:` may swallow the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Limited(io.StringIO):
    """A text that stops growing."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def write(self, text: str) -> int:
        if self.left > 0:
            super().write(text[: self.left])
            if len(text) > self.left:
                super().write("\n[the rest of the output was left out]\n")
        self.left -= len(text)
        return len(text)


class Submission:
    """The student's Python: an IPython shell, and the objects that the grader knows by number."""

    def __init__(self, cell_seconds: float, most_output: int) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        self.shell = InteractiveShell.instance()
        self.shell.showtraceback = lambda *args, **kwargs: None  # type: ignore[method-assign]
        self.shell.showsyntaxerror = lambda *args, **kwargs: None  # type: ignore[method-assign]
        self.known: list[Any] = []
        self.cell_seconds, self.most_output = cell_seconds, most_output

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell: its outputs as a notebook stores them, and the error that ended it."""
        from IPython.utils.capture import capture_output

        stdout, stderr = Limited(self.most_output), Limited(self.most_output)
        problem: BaseException | None = None
        with (
            capture_output(stdout=False, stderr=False, display=True) as captured,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                with time_limit(self.cell_seconds):
                    result = self.shell.run_cell(code, store_history=True)
                problem = result.error_before_exec or result.error_in_exec
            except BaseException as error:
                problem = error
        outputs: list[dict[str, Any]] = []
        for name, text in (("stdout", stdout.getvalue()), ("stderr", stderr.getvalue())):
            if text:
                outputs.append({"output_type": "stream", "name": name, "text": text})
        for rich in captured.outputs:
            outputs.append({"output_type": "display_data", "data": {k: v for k, v in rich.data.items() if isinstance(v, str)}, "metadata": {}})
        if problem is not None:
            trace = self.shell.InteractiveTB.structured_traceback(type(problem), problem, problem.__traceback__, tb_offset=1)
            trace = [line[:1000] for line in trace][-40:]
            outputs.append({"output_type": "error", "ename": type(problem).__name__, "evalue": str(problem)[:1000], "traceback": trace})
        return {"outputs": outputs}

    def get(self, name: str) -> dict[str, Any]:
        if name not in self.shell.user_ns:
            return {"missing": True}
        return {"value": self.encode(self.shell.user_ns[name])}

    def attribute(self, number: int, name: str) -> dict[str, Any]:
        return self._answer(lambda: getattr(self.known[number], name))

    def call(self, number: int, arguments: Any, keywords: Any) -> dict[str, Any]:
        """Call a function; send back the arrays among its arguments too, as it left them."""
        given = [self.decode(item) for item in arguments]
        named = {name: self.decode(item) for name, item in keywords.items()}
        answer = self._answer(lambda: self.known[number](*given, **named))
        answer["arguments"] = [self.encode(item) for item in given]
        return answer

    def _answer(self, ask: Any) -> dict[str, Any]:
        hush = Limited(0)
        try:
            with contextlib.redirect_stdout(hush), contextlib.redirect_stderr(hush), time_limit(self.cell_seconds):
                value = ask()
            return {"value": self.encode(value)}
        except BaseException as error:
            return {"error": [type(error).__name__, str(error)[:2000]]}

    def encode(self, value: Any) -> Any:
        return wire.encode(value, self._keep)

    def _keep(self, value: Any) -> dict[str, Any]:
        self.known.append(value)
        return {"remote": [len(self.known) - 1, callable(value), type(value).__name__]}

    def decode(self, message: Any) -> Any:
        def other(message: dict[str, Any]) -> Any:
            if "remote" in message:
                return self.known[message["remote"]]
            return pickle.loads(base64.b64decode(message["pickle"]))

        return wire.decode(message, other)


def main() -> None:
    # The messages get file descriptors of their own; what the submission writes to 1 goes nowhere.
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    start = wire.receive(incoming)
    restrict(start["memory"], start["processes"], start["file_size"], start["processor_seconds"], start["user"])
    os.makedirs(start["directory"], exist_ok=True)
    os.chdir(start["directory"])
    os.environ["HOME"] = start["directory"]
    import soft_optimality  # noqa: F401  the library's records can be received from here on

    submission = Submission(start["cell_seconds"], start["output"])
    wire.send(outgoing, {"id": 0, "ready": True})
    while True:
        try:
            request = wire.receive(incoming)
        except EOFError:
            os._exit(0)
        number, what = request.pop("id"), request.pop("what")
        try:
            answer = getattr(submission, what)(**request)
        except BaseException as error:
            answer = {"error": [type(error).__name__, str(error)[:2000]]}
        wire.send(outgoing, {**answer, "id": number})


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import wire

    main()
