"""Files for browsers: our console, and Swagger UI and ReDoc from the installed package."""

import asyncio
import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_JS, _CSS, _SVG = "text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"
_HTML = "text/html; charset=utf-8"

_OWN = {
    "console.css": _CSS,
    "console.js": _JS,
    "docs.css": _CSS,
    "icon.svg": _SVG,
    "swagger.js": _JS,
}
_INSTALLED = {
    "swagger_bundle.js": _JS,
    "swagger_preset.js": _JS,
    "swagger_style.css": _CSS,
    "redoc.js": _JS,
}
# Swagger UI and ReDoc write style elements and attributes; ReDoc searches in a web worker.
_SELF_ONLY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_WITH_INLINE_STYLES = _SELF_ONLY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_PAGES = {
    "console.html": _SELF_ONLY,
    "docs.html": _WITH_INLINE_STYLES,
    "redoc.html": f"{_WITH_INLINE_STYLES}; worker-src 'self' blob:",
}
_PAGE_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_LINK = re.compile(rb'"/static/(?P<installed>docs/)?(?P<name>[\w.]+)"')
_TAKES_GZIP = re.compile(r"(^|,)\s*gzip\s*(;\s*q=(1|0\.0*[1-9])[^,]*)?(,|$)", re.IGNORECASE)
# A URL with the version of its content never changes, so browsers and proxies keep the file.
_IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    compressed: bytes
    version: str

    @property
    def tag(self) -> str:
        return f'W/"{self.version}"'


class Assets:
    """Reads each file at its first request and keeps it in memory, compressed too."""

    def __init__(self) -> None:
        self._own = files("gateway") / "static"
        self._installed = files("offapi")
        self._read: dict[str, _File] = {}

    async def own(self, request: Request) -> Response:
        """GET /static/{name}: a file of the console."""
        name = request.path_params["name"]
        return await self._answer(request, self._own, name, _OWN.get(name), "no-cache")

    async def installed(self, request: Request) -> Response:
        """GET /static/docs/{name}: a file of Swagger UI or ReDoc."""
        name = request.path_params["name"]
        return await self._answer(
            request, self._installed, name, _INSTALLED.get(name), "public, max-age=86400"
        )

    async def console(self, request: Request) -> Response:
        """GET /"""
        return await self._page(request, "console.html")

    async def swagger(self, request: Request) -> Response:
        """GET /docs"""
        return await self._page(request, "docs.html")

    async def redoc(self, request: Request) -> Response:
        """GET /redoc"""
        return await self._page(request, "redoc.html")

    async def _page(self, request: Request, name: str) -> Response:
        response = await self._answer(request, self._own, name, _HTML, "no-cache")
        response.headers["content-security-policy"] = _PAGES[name]
        response.headers.update(_PAGE_HEADERS)
        return response

    async def _answer(
        self, request: Request, folder: Traversable, name: str, kind: str | None, caching: str
    ) -> Response:
        if kind is None:
            raise HTTPException(404)
        file = self._read.get(name)
        if file is None:
            file = await asyncio.to_thread(self._load, folder, name)
        versioned = request.query_params.get("v") == file.version
        headers = {
            "content-type": kind,
            "cache-control": _IMMUTABLE if versioned else caching,
            "etag": file.tag,
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        known = request.headers.get("if-none-match", "").strip()
        if known == "*" or f'"{file.version}"' in known:
            del headers["content-type"]
            return Response(status_code=304, headers=headers)
        if _TAKES_GZIP.search(request.headers.get("accept-encoding", "")):
            return Response(file.compressed, headers={**headers, "content-encoding": "gzip"})
        return Response(file.content, headers=headers)

    def _load(self, folder: Traversable, name: str) -> _File:
        content = (folder / name).read_bytes()
        if name in _PAGES:
            content = _LINK.sub(self._link, content)
        version = hashlib.sha256(content).hexdigest()[:20]
        file = self._read[name] = _File(content, gzip.compress(content, mtime=0), version)
        return file

    def _link(self, found: re.Match[bytes]) -> bytes:
        """A page's link to a file, with the version of its content added."""
        name = found["name"].decode()
        folder = self._installed if found["installed"] else self._own
        file = self._read.get(name) or self._load(folder, name)
        return found[0][:-1] + f'?v={file.version}"'.encode()
