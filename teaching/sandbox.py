"""Where a submission runs: bubblewrap, with nothing of the machine in it but Python, the library and an empty directory.

Inside: its own process, network, IPC and host-name spaces; no network but its own loopback; the system's /usr, the Python environment and
the library read-only; a fresh /tmp in memory, of limited size, that is gone afterwards.  No sources, no gradebook, no other submission
and no test is there to be read.  Processes, memory, file sizes and processor time are limited from within (setrlimit), and memory, the
number of processes and time for all of it together by a watcher outside, who ends it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import psutil

import soft_optimality
import wire

HERE = Path(__file__).resolve().parent
LIBRARY = Path(soft_optimality.__file__).resolve().parents[1]
START_SECONDS = 120  # for Python to start, on a busy machine
PRIVATE_USERS = 1_000_000_000  # from root each submission gets a user of its own from here on


class NoSandbox(Exception):
    """No sandbox can be had here, and why."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds of the clock for all of it and for one cell or call, bytes, processes."""

    seconds: int = 180
    cell_seconds: int = 30
    memory: int = 2 * 2**30
    processes: int = 64
    disk: int = 64 * 2**20
    output: int = 100_000


def private_user() -> int:
    """From root: a user id that nobody else has, so that processes are counted for this submission only.  Otherwise 0."""
    if os.geteuid() != 0:
        return 0
    spans = [[int(word) for word in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()]
    inside, _, count = spans[0]
    if inside + count > PRIVATE_USERS + 2**22:
        return PRIVATE_USERS + os.getpid()
    return 20_000 + os.getpid() % (count - 20_000) if count > 40_000 else 0


def bubblewrap(program: list[str], limits: Limits) -> list[str]:
    """The command that runs a program of this Python in the sandbox.  NoSandbox where there is no bubblewrap."""
    bwrap = os.environ.get("BWRAP") or shutil.which("bwrap")
    if not bwrap:
        raise NoSandbox("bubblewrap (the program bwrap) is not installed: apt-get install bubblewrap")
    command = [
        bwrap,
        "--die-with-parent",
        "--new-session",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    if private_user():  # student.py becomes that user as its first act
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    command += ["--clearenv"]
    for name, value in environment("/tmp/home").items():
        command += ["--setenv", name, value]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(name):
            command += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            command += ["--ro-bind", name, name]
    for name in ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives"):
        command += ["--ro-bind-try", name, name]
    command += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", "/tmp"]
    needed = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(os.path.realpath(sys.executable)).parents[1],
        LIBRARY,
        HERE / "wire.py",
        HERE / "student.py",
    }
    for path in sorted(path for path in needed if not path.is_relative_to("/usr")):
        for parent in reversed(path.parents):  # bubblewrap would make them for its own user only
            if str(parent) not in ("/", "/tmp") and str(parent) not in command:
                command += ["--perms", "755", "--dir", str(parent)]
        command += ["--ro-bind", str(path), str(path)]
    command += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(limits.disk), "--tmpfs", "/dev/shm"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    return [*command, "--", *program]


def environment(home: str) -> dict[str, str]:
    """All that a submission sees of the environment.  One thread for each library: they count as processes."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "PYTHONPATH": str(LIBRARY), "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "IPYTHONDIR": f"{home}/.ipython", "MPLCONFIGDIR": f"{home}/.matplotlib",
        "SOFT_OPTIMALITY_STATIC": "1", **threads,
    }  # fmt: skip


def refusal(limits: Limits) -> str:
    """Why no submission can be sandboxed here; empty where one can.  It starts a sandbox and looks around in it."""
    look = "import os, socket; assert [name for _, name in socket.if_nameindex()] == ['lo']; assert set(os.listdir('/dev/shm')) == set()"
    try:
        run = subprocess.run(bubblewrap([sys.executable, "-c", look], limits), capture_output=True, text=True, timeout=60, check=False)
    except NoSandbox as error:
        return str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start: {error}"
    if run.returncode:
        return f"bubblewrap does not work here: {run.stderr.strip()[-300:]}"
    sandbox = Sandbox(limits, unsafe=False)
    try:
        sandbox.start()
    except (OSError, EOFError):
        return "the sandbox starts, but Python cannot run in it (can every user read this folder?)"
    finally:
        sandbox.close()
    return ""


def _memory(processes: list[psutil.Process], ask: str, field: str) -> int:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += getattr(getattr(process, ask)(), field)
    return total


class Sandbox:
    """A running submission: two streams for messages, and a watcher who ends it when it takes too much."""

    def __init__(self, limits: Limits, unsafe: bool) -> None:
        self.limits = limits
        self.ended = ""  # why the watcher ended it
        self.end = time.monotonic() + START_SECONDS + limits.seconds
        program = [sys.executable, str(HERE / "student.py")]
        self.scratch = tempfile.TemporaryDirectory() if unsafe else None
        if self.scratch:
            self.directory, command, env = self.scratch.name, program, environment(self.scratch.name)
        else:
            self.directory, command, env = "/tmp/home", bubblewrap(program, limits), None
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, start_new_session=True
        )
        assert self.process.stdin
        assert self.process.stdout
        self.to: IO[bytes] = self.process.stdin
        self.back: IO[bytes] = self.process.stdout
        self.unsafe = unsafe
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def start(self) -> None:
        """Hand over the limits and wait until Python is ready; the clock starts then.  OSError or EOFError where it does not start."""
        limits = self.limits
        message = {
            "memory": limits.memory, "processes": 4096 if self.unsafe else limits.processes, "file_size": limits.disk,
            "processor_seconds": START_SECONDS + limits.seconds, "output": limits.output,  # the watcher's clock comes first, and says why
            "cell_seconds": limits.cell_seconds, "user": 0 if self.unsafe else private_user(), "directory": self.directory,
        }  # fmt: skip
        wire.send(self.to, message)
        wire.receive(self.back)
        self.end = time.monotonic() + limits.seconds

    def _watch(self) -> None:
        while self.process.poll() is None and not self.ended:
            if time.monotonic() > self.end:
                self.kill(f"it ran longer than {self.limits.seconds} seconds in all")
                return
            processes = self._processes()
            count = len(processes)
            # What processes share is counted once, which takes the kernel longer to say.
            if _memory(processes, "memory_info", "rss") > self.limits.memory and _memory(processes, "memory_full_info", "pss") > self.limits.memory:
                self.kill(f"it used more than {self.limits.memory // 2**20} MB of memory")
            elif count > self.limits.processes + 8:  # where the kernel does not count: bubblewrap's own are among them
                self.kill(f"it started more than {self.limits.processes} processes")
            time.sleep(0.1)

    def _processes(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def kill(self, why: str) -> None:
        """End the submission and all it started: bubblewrap's process space dies with its first process."""
        self.ended = self.ended or why
        orphans = self._processes() if self.unsafe else []
        self.process.kill()
        for process in orphans:
            try:
                process.kill()
            except psutil.Error:
                continue

    def close(self) -> None:
        self.kill("closed")
        self.process.wait()
        self.watcher.join()
        for stream in (self.to, self.back):
            try:
                stream.close()
            except OSError:
                continue
        if self.scratch:
            self.scratch.cleanup()
