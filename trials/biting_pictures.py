"""Small pictures that ask for much time or memory, or for another program."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image


def biting_pictures() -> Iterator[tuple[str, bytes]]:
    """Each picture under a name that says how it bites; none holds a film."""
    yield "4000-scans.jpg", of_scans(4000, side=6000)
    yield "30001-directories.tif", of_directories(30_001)
    yield "60000-tags-of-all-bytes.tif", of_greedy_tags(60_000, 500_000)
    yield "100-gigapixels.png", _png(_header(2**31 - 1, 50, 8, 0), _packed(1 << 16))
    yield "90-megapixels-of-16-bit-colours.png", _png(_header(9_500, 9_500, 16, 6), _packed(722_009_500))
    yield (
        "text-of-268-mb.png",
        _png(_header(50, 50, 8, 0), _rows(50, 50), (b"zTXt", b"a\0\0" + _packed(1 << 28))),
    )
    yield (
        "profile-of-268-mb.png",
        _png(_header(50, 50, 8, 0), _rows(50, 50), (b"iCCP", b"a\0\0" + _packed(1 << 28))),
    )
    yield "200000-chunks.png", _png(_header(50, 50, 8, 0), _rows(50, 50), *[(b"tEXt", b"a\0b")] * 200_000)
    yield (
        "20000-frames.png",
        _png(
            _header(50, 50, 8, 0), _rows(50, 50), (b"acTL", struct.pack(">II", 20_000, 0)), *_frames(20_000)
        ),
    )
    yield "frames.webp", _frames_of("WEBP", 600)
    yield "frames-of-gif.png", _frames_of("GIF", 600)
    yield "pictures-within.jpg", _within(3000)
    yield "program.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n(%pipe%id) (r) file\n"
    yield "document.jpg", b"%PDF-1.7\n" + bytes(1000)
    yield "movie.heic", struct.pack(">I", 24) + b"ftypisom" + bytes(1000)
    yield (
        "grid.avif",
        struct.pack(">I", 16) + b"ftypavif" + bytes(4) + struct.pack(">I", 2**31) + b"meta" + bytes(100),
    )


def of_scans(number: int, side: int = 4000) -> bytes:
    """A progressive JPEG in which one scan over all its pixels comes again and again."""
    out = io.BytesIO()
    Image.new("L", (side, side), 90).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * number + whole[-2:]


def of_directories(number: int) -> bytes:
    """A TIFF of so many pages of one grey pixel, which all share their bytes."""
    out = io.BytesIO()
    Image.fromarray(np.full((1, 1), 7, np.uint8)).save(out, "TIFF")
    one = out.getvalue()
    (start,) = struct.unpack_from("<I", one, 4)
    (entries,) = struct.unpack_from("<H", one, start)
    directory = one[start : start + 2 + 12 * entries]
    made = bytearray(one + bytes(-len(one) % 2))
    first, size = len(made), len(directory) + 4
    struct.pack_into("<I", made, 4, first)
    for at in range(1, number + 1):
        made += directory + struct.pack("<I", first + at * size if at < number else 0)
    return bytes(made)


def of_greedy_tags(number: int, size: int) -> bytes:
    """A TIFF whose tags all name the same bytes as their value."""
    tags = [(256, 3, 1, 50), (257, 3, 1, 50), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(1000 + at, 1, size, 8) for at in range(number)]
    body = bytes(size)
    out = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags))
    return out + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


def _header(width: int, height: int, bits: int, colour: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)


def _packed(length: int) -> bytes:
    """So many zeros, packed."""
    packer, block = zlib.compressobj(6), bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(length >> 20)]
    return b"".join([*parts, packer.compress(bytes(length & 0xFFFFF)), packer.flush()])


def _rows(width: int, height: int) -> bytes:
    return zlib.compress(bytes((width + 1) * height))


def _png(header: bytes, content: bytes, *before: tuple[bytes, bytes]) -> bytes:
    chunks = ((b"IHDR", header), *before, (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _frames(number: int) -> Iterator[tuple[bytes, bytes]]:
    """So many frames of one pixel of an animated PNG."""
    pixel = zlib.compress(b"\0\0")
    for at in range(number):
        yield b"fcTL", struct.pack(">IIIIIHHBB", 2 * at, 1, 1, 0, 0, 1, 1, 0, 0)
        yield b"fdAT", struct.pack(">I", 2 * at + 1) + pixel


def _frames_of(kind: str, number: int) -> bytes:
    pages = [Image.new("L", (64, 64), at % 256) for at in range(number)]
    out = io.BytesIO()
    pages[0].save(out, kind, save_all=True, append_images=pages[1:])
    return out.getvalue()


def _within(number: int) -> bytes:
    """A JPEG that says it holds so many further ones, each of them itself (Multi-Picture Format)."""
    out = io.BytesIO()
    page = Image.new("L", (64, 64), 90)
    page.save(out, "MPO", save_all=True, append_images=[page])
    data = bytearray(out.getvalue())
    count = data.index(b"\x01\xb0\x04\x00\x01\x00\x00\x00") + 8
    struct.pack_into("<I", data, count, number)
    return bytes(data)
