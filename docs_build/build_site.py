"""Builds the site of the documents, strictly, and follows every link in it: `python -m docs_build.build_site`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

__all__ = ["SITE", "served"]

SITE: Final = Path("build/site")
_MERMAID: Final = "mermaid@12.3.0"
"""Draws the diagrams in the browser. The site carries it, so that it needs no other server."""
_LINKS: Final = "[checking]\nmaxrequestspersecond=10000\n"
"""Anchors are the builder's to check, which it does under --strict; the checker takes minutes for them."""


def main() -> int:
    """Build and check; 1 with what was said if either is not well."""
    _fetch_mermaid(Path("docs/assets/mermaid.min.js"))
    tools = Path(sys.executable).parent
    built = subprocess.run([tools / "zensical", "build", "--clean", "--strict"], check=False)
    return built.returncode or _follow_links(tools / "linkchecker")


def _fetch_mermaid(target: Path) -> None:
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", folder, _MERMAID], check=True)
        (package,) = Path(folder).glob("*.tgz")
        with tarfile.open(package) as files:
            script = files.extractfile(f"package/dist/{target.name}")
            assert script is not None, "the package has its script"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(script.read())


def _follow_links(checker: Path) -> int:
    """Have every link of the site looked up."""
    with served(SITE) as address, tempfile.NamedTemporaryFile("w", suffix=".ini") as rc:
        rc.write(_LINKS)
        rc.flush()
        done = subprocess.run([checker, "--config", rc.name, "--no-robots", "--no-status", address], check=False)
    return done.returncode


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields its address, which ends with a slash."""
    handler = partial(_Quiet, directory=str(site))
    with _Server(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_request: object) -> None:
        """Say nothing of a checker that leaves before it has read all: it only wants to know that a page is there."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_told: object) -> None:
        """Say nothing: the checker names what is wrong."""


if __name__ == "__main__":
    sys.exit(main())
