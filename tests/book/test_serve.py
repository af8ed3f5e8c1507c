"""`make book` ends in an address that works, whether or not the usual port is free."""

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from paths import ROOT

from serve import USUAL_PORT


def test_a_taken_port_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("here it is")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", USUAL_PORT))
            other.listen()
        except OSError:
            pass  # somebody has taken it already, which serves as well
        command = [sys.executable, str(ROOT / "book_ext" / "serve.py"), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                found = re.search(r"http://127\.0\.0\.1:(\d+)/", server.stdout.readline())
                assert found and int(found[1]) != USUAL_PORT
                assert urllib.request.urlopen(found[0], timeout=10).read() == b"here it is"
            finally:
                server.terminate()
