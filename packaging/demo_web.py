"""What runs at both ends of the demo: a page that says who asked, and a client to fetch it.

python3 demo_web.py serve NAME PORT...
python3 demo_web.py get URL
"""

import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECONDS = 5


class Page(BaseHTTPRequestHandler):
    """Answer every GET with both ends of the connection, as this end sees them."""

    name = ""

    def do_GET(self) -> None:
        address, port = self.connection.getsockname()
        page = f"container {self.name}, at {address}:{port}, answers {self.client_address[0]}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        """Keep the screen for the demo."""


def serve(name: str, *ports: str) -> int:
    Page.name = name
    servers = [ThreadingHTTPServer(("0.0.0.0", int(port)), Page) for port in ports]  # noqa: S104
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    # Whoever starts this waits for the line before asking.
    print("ready", flush=True)
    return 0


def get(url: str) -> int:
    parts = urlsplit(url)
    # Directly: a proxy of the person's own environment knows nothing of these addresses.
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", parts.path)
        print(connection.getresponse().read().decode(), end="")
    except OSError as error:
        print(f"{url}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def main(command: str, *arguments: str) -> int:
    return serve(*arguments) if command == "serve" else get(*arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
