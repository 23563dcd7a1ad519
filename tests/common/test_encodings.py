"""Compressed bodies: unpacked while they stream in, never beyond the limit."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.harness import Running

NOTE = b'{"name": "a", "number": 1}'
LIMIT = 4 * 1024 * 1024


async def post(echo: Running, content: bytes | AsyncIterator[bytes], encoding: str) -> httpx.Response:
    headers = echo.headers("district") | {"Content-Type": "application/json", "Content-Encoding": encoding}
    return await echo.http.post("/echo/v1/notes", content=content, headers=headers)


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(NOTE), "gzip"),
        (gzip.compress(NOTE), " GZip "),
        (gzip.compress(NOTE[:10]) + gzip.compress(NOTE[10:]), "x-gzip"),
        (zlib.compress(NOTE), "deflate"),
        (NOTE, "identity"),
    ],
    ids=["gzip", "any case", "two members", "deflate", "identity"],
)
async def test_a_compressed_body_is_the_same_body_whole_or_byte_by_byte(
    echo: Running, body: bytes, encoding: str
) -> None:
    assert (await post(echo, body, encoding)).status_code == 201
    assert (await post(echo, in_pieces(body, 1), encoding)).status_code == 201


@pytest.mark.parametrize("spaces", [64 * 1024, 200_000, LIMIT - len(NOTE)])
async def test_a_body_up_to_the_limit_comes_out_whole(echo: Running, spaces: int) -> None:
    body = gzip.compress(b" " * spaces + NOTE)
    assert (await post(echo, body, "gzip")).status_code == 201
    assert (await post(echo, in_pieces(body, 7), "gzip")).status_code == 201


@pytest.mark.parametrize(
    ("body", "encoding", "status", "kind"),
    [
        (gzip.compress(NOTE)[:-1], "gzip", 400, "broken-encoding"),
        (gzip.compress(NOTE) + b"more", "gzip", 400, "broken-encoding"),
        (NOTE, "gzip", 400, "broken-encoding"),
        (gzip.compress(NOTE), "deflate", 400, "broken-encoding"),
        (NOTE, "br", 415, "unknown-encoding"),
        (gzip.compress(gzip.compress(NOTE)), "gzip, gzip", 415, "unknown-encoding"),
        (b"", "gzip", 422, "invalid"),
        (gzip.compress(b" " * LIMIT + NOTE), "gzip", 413, "too-large"),
        (gzip.compress(b"") * 1001, "gzip", 400, "broken-encoding"),
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * LIMIT + gzip.compress(NOTE)[9:], "gzip", 413, "too-large"),
    ],
    ids=[
        "cut off",
        "more behind",
        "plain",
        "another",
        "unknown",
        "twice",
        "nothing",
        "over the limit",
        "empty files",
        "a long name",
    ],
)
async def test_what_cannot_be_unpacked_is_refused(
    echo: Running, body: bytes, encoding: str, status: int, kind: str
) -> None:
    refused = await post(echo, in_pieces(body, 50_000), encoding)
    assert (refused.status_code, refused.json()["type"]) == (status, f"urn:trellis:problem:{kind}"), refused.text


async def test_a_bomb_is_cut_while_it_unpacks(echo: Running) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(1000)) + packer.flush()
    assert len(bomb) < LIMIT
    tracemalloc.start()
    refused = await post(echo, in_pieces(bomb, 50_000), "gzip")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.status_code == 413
    assert most < 5 * LIMIT
