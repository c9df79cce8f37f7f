"""Pages and their files: all served by us, with nothing from elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from tests.gateway.fakes import Running

PAGES = ["/", "/docs", "/redoc"]


class Links(HTMLParser):
    """Every address that a page loads, and whether it has code of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for key in ("src", "href") if (value := given.get(key))]
        self._script = tag == "script"
        self.inline += [key for key in given if key.startswith("on") or key == "style"]

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = False


@pytest.mark.parametrize("path", PAGES)
async def test_pages_load_only_what_we_serve(tezi: Running, path: str) -> None:
    response = await tezi.client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    links = Links()
    links.feed(response.text)
    assert links.inline == []
    assert links.found
    for address in links.found:
        assert address.startswith("/")
        assert (await tezi.client.get(address)).status_code == 200, address


@pytest.mark.parametrize("path", PAGES)
async def test_pages_may_load_nothing_else(tezi: Running, path: str) -> None:
    headers = (await tezi.client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert ("'unsafe-inline'" in policy) is (path != "/")
    assert "unsafe-eval" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "kind", "caching"),
    [
        ("/static/console.js", "text/javascript", "no-cache"),
        ("/static/console.css", "text/css", "no-cache"),
        ("/static/icon.svg", "image/svg+xml", "no-cache"),
        ("/static/docs/swagger_bundle.js", "text/javascript", "max-age=86400"),
        ("/static/docs/redoc.js", "text/javascript", "max-age=86400"),
    ],
)
async def test_files_are_cached_and_compressed(
    tezi: Running, path: str, kind: str, caching: str
) -> None:
    plain = await tezi.client.get(path, headers={"accept-encoding": "identity"})
    assert plain.status_code == 200
    assert plain.headers["content-type"].startswith(kind)
    assert caching in plain.headers["cache-control"]
    assert "content-encoding" not in plain.headers
    zipped = await tezi.client.get(path, headers={"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content
    other = await tezi.client.get(path, headers={"if-none-match": 'W/"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("br", False),
        ("xgzip", False),
        ("", False),
        ("br, GZIP", True),
        ("gzip;q=0.5, *;q=0", True),
        ("deflate, gzip;q=1.0", True),
    ],
)
async def test_only_who_takes_gzip_gets_it(tezi: Running, accepted: str, zipped: bool) -> None:
    for path in ("/", "/static/console.js"):
        response = await tezi.client.get(path, headers={"accept-encoding": accepted})
        assert ("content-encoding" in response.headers) is zipped
        assert len(response.text) > 500


async def test_any_known_version_is_a_304(tezi: Running) -> None:
    tag = (await tezi.client.get("/static/console.js")).headers["etag"]
    for known in ("*", tag, tag.removeprefix("W/"), f'"x", {tag}'):
        response = await tezi.client.get("/static/console.js", headers={"if-none-match": known})
        assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize("path", PAGES)
async def test_versioned_links_are_immutable(tezi: Running, path: str) -> None:
    links = Links()
    links.feed((await tezi.client.get(path)).text)
    files = [address for address in links.found if address.startswith("/static/")]
    assert files
    for address in files:
        kept = (await tezi.client.get(address)).headers["cache-control"]
        assert kept == "public, max-age=31536000, immutable", address
        # A page of another version requests this while gateways are restarted one by one.
        other = (await tezi.client.get(f"{address}0")).headers["cache-control"]
        assert "immutable" not in other


async def test_the_console_calls_only_known_endpoints(tezi: Running) -> None:
    script = (await tezi.client.get("/static/console.js")).text
    called = set(re.findall(r"[\"`](/[a-z][a-z0-9_/.]*)", script))
    assert called >= {"/api/v1/predict", "/api/v1/health"}
    for path in called:
        assert (await tezi.client.get(path)).status_code != 404
    page = (await tezi.client.get("/")).text
    wanted = set(re.findall(r'element\("([a-z-]+)"\)', script))
    assert wanted <= set(re.findall(r'id="([a-z-]+)"', page))
