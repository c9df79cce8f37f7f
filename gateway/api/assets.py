"""Files for browsers: our console, and Swagger UI and ReDoc from the installed package."""

import asyncio
import gzip
import hashlib
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


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    zipped: bytes
    tag: str


class Assets:
    """Reads each file at its first request and keeps it in memory, compressed too."""

    def __init__(self) -> None:
        self._own = files("gateway") / "static"
        self._installed = files("offapi")
        self._read: dict[str, _File] = {}

    async def own(self, request: Request) -> Response:
        """GET /static/{name}: a file of the console."""
        name = request.path_params["name"]
        return await self._answer(request, self._own, name, _OWN.get(name))

    async def installed(self, request: Request) -> Response:
        """GET /static/docs/{name}: a file of Swagger UI or ReDoc."""
        name = request.path_params["name"]
        return await self._answer(request, self._installed, name, _INSTALLED.get(name))

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
        response = await self._answer(request, self._own, name, _HTML)
        response.headers["content-security-policy"] = _PAGES[name]
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["x-frame-options"] = "DENY"
        return response

    async def _answer(
        self, request: Request, folder: Traversable, name: str, kind: str | None
    ) -> Response:
        if kind is None:
            raise HTTPException(404)
        file = self._read.get(name)
        if file is None:
            file = await asyncio.to_thread(self._load, folder, name)
        headers = {
            "content-type": kind,
            # Browsers revalidate by the ETag: gateways of two versions serve during an update.
            "cache-control": "no-cache",
            "etag": file.tag,
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        if file.tag in request.headers.get("if-none-match", ""):
            del headers["content-type"]
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.zipped, headers={**headers, "content-encoding": "gzip"})
        return Response(file.content, headers=headers)

    def _load(self, folder: Traversable, name: str) -> _File:
        content = (folder / name).read_bytes()
        tag = f'W/"{hashlib.sha256(content).hexdigest()[:20]}"'
        file = self._read[name] = _File(content, gzip.compress(content, mtime=0), tag)
        return file
