"""Serve the built book on this machine and print its address."""

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

USUAL_PORT = 8000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """One line a request would bury the address."""


class Server(ThreadingHTTPServer):
    # With address reuse on, some systems let two servers share a port, and the reader would see the other book.
    allow_reuse_address = False


def serve(site: str) -> None:
    handler = functools.partial(Quiet, directory=site)
    try:
        server = Server(("127.0.0.1", USUAL_PORT), handler)
    except OSError:
        server = Server(("127.0.0.1", 0), handler)
    with server:
        print(f"The book is at http://127.0.0.1:{server.server_port}/  (Ctrl-C stops it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    serve(sys.argv[1])
