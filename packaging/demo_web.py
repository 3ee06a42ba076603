"""What runs at both ends of the demo: a page that says who asked, and a client to fetch it.

python3 demo_web.py serve PORT...
python3 demo_web.py get HOST:PORT...
"""

import socket
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS = 5


class Page(BaseHTTPRequestHandler):
    """Answer every GET with both ends of the connection, as this end sees them."""

    def do_GET(self) -> None:
        address, port = self.connection.getsockname()
        # A container's host name is its ID.
        name, asker = socket.gethostname(), self.client_address[0]
        page = f"container {name}, at {address}:{port}, answers {asker}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        """Keep the screen for the demo."""


def serve(*ports: str) -> int:
    servers = [ThreadingHTTPServer(("0.0.0.0", int(port)), Page) for port in ports]  # noqa: S104
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    # Whoever starts this waits for the line before asking.
    print("ready", flush=True)
    return 0


def get(*places: str) -> int:
    failures = 0
    for place in places:
        # Directly: a proxy of the person's own environment knows nothing of these addresses.
        connection = HTTPConnection(place, timeout=SECONDS)
        try:
            connection.request("GET", "/")
            print(connection.getresponse().read().decode(), end="", flush=True)
        except OSError as error:
            print(f"{place}: {error.strerror or error}", file=sys.stderr)
            failures += 1
    return 1 if failures else 0


def main(command: str, *arguments: str) -> int:
    return serve(*arguments) if command == "serve" else get(*arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
