"""How a batch lies in the journal: its peer, its headers and its body as one zstd frame. Pure, both ways.

The frame is made with a dictionary, which was trained on requests of the kind that it packs, so that a batch of two
reports shrinks to a fifth, and less of it has to be written before the 200. Journals of before have bodies as they
came, or frames of another dictionary, and all are read.
"""

import contextlib
from importlib import resources
from typing import Final

import zstandard

from hooklab.journal.base import digest_of

RAW: Final = 0
"""A body as it came, peer and headers in columns of their own, and a digest of 16 bytes."""
PACKED_BY_TEXT: Final = 1
"""As `PACKED`, but with `TEXT`, of which no more is made."""
PACKED: Final = 2
"""All of it packed with `DICTIONARY`; the columns are empty, and the digest is the first 8 bytes of the frame's."""
PACKINGS: Final = (PACKED_BY_TEXT, PACKED)
SEAL_BYTES: Final = 8
_LEVEL: Final = 1
"""The fastest of the usual ones; a higher one packs batches of two reports no better."""
_MOST: Final = 1 << 30
"""Bytes that a frame may hold: more is said only by one that is damaged."""
_STEP: Final = 1024

DICTIONARY: Final = resources.files(__package__).joinpath("packing.dictionary").read_bytes()
"""What `tests/dictionary.py` wrote once.

Never to be changed: what was packed with it is unpacked with it. Another one is another encoding.
"""
TEXT: Final = (
    b'127.0.0.1\n[["host", "127.0.0.1:8080"], ["user-agent", "arpoone/1.0"], ["accept", "*/*"],'
    b' ["content-type", "application/json"], ["content-length", "698"]]\n'
    b'[{"Msisdn":"351","Status":"NOT_DELIVERED","MessageId":"00000000-0000-4000-8000-000000000000",'
    b'"OrganizationId":"00000000-0000-0000-0000-000000000000","ReportDescription":"Message delivered to handset",'
    b'"ReportDateTime":"2026-11-20T09:00:00Z","TotalSegments":1,"CustomPayload":"{\\"order\\": \\"A-1000\\"}"},'
    b'{"Msisdn":"351","Status":"PENDING","MessageId":"00000000-0000-4000-8000-000000000000","OrganizationId":"'
)
"""Never to be changed, as `DICTIONARY`."""


class Packer:
    """Packs and unpacks. Each thread wants one of its own."""

    def __init__(self) -> None:
        """Gets the dictionaries ready."""
        words = zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_FULLDICT)
        words.precompute_compress(level=_LEVEL)
        text = zstandard.ZstdCompressionDict(TEXT, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        # The number of the dictionary is left out: the encoding says it, in fewer bytes.
        self._pack = zstandard.ZstdCompressor(level=_LEVEL, dict_data=words, write_dict_id=False).compress
        self._unpackers = {
            PACKED: zstandard.ZstdDecompressor(dict_data=words),
            PACKED_BY_TEXT: zstandard.ZstdDecompressor(dict_data=text),
        }

    def pack(self, peer: str, headers: str, body: bytes) -> bytes:
        """One frame, `PACKED`; neither of the texts has a line break, or it is taken out."""
        return self._pack(b"%b\n%b\n%b" % (_line(peer), _line(headers), body))

    def unpack(self, frame: bytes, encoding: int = PACKED) -> tuple[str, str, bytes]:
        """Peer, headers and body of a frame in one of `PACKINGS`.

        Raises:
            ValueError: it is no frame of `pack`.
        """
        try:
            size = zstandard.frame_content_size(frame)
            if not 0 <= size <= _MOST:
                raise ValueError("it says that it holds more than was ever packed")
            peer, headers, body = self._unpackers[encoding].decompress(frame).split(b"\n", 2)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        return peer.decode(), headers.decode(), body

    def unpack_damaged(self, frame: bytes, encoding: int = PACKED) -> bytes:
        """What can still be read of the body of a damaged frame, or the frame as it is."""
        found = b""
        with contextlib.suppress(zstandard.ZstdError, ValueError):
            reading = self._unpackers[encoding].decompressobj(write_size=_STEP)
            for at in range(0, len(frame), _STEP):
                found += reading.decompress(frame[at : at + _STEP])
        return found.split(b"\n", 2)[2] if found.count(b"\n") > 1 else frame


def size_of(encoding: int, stored: bytes) -> int:
    """Bytes of a body once it is unpacked, roughly: with what is packed beside it."""
    if encoding in PACKINGS:
        with contextlib.suppress(zstandard.ZstdError):
            size = zstandard.frame_content_size(stored)
            return size if 0 <= size <= _MOST else len(stored)
    return len(stored)


def _line(text: str) -> bytes:
    return text.replace("\n", " ").encode("utf-8", "replace")


def seal_of(frame: bytes) -> bytes:
    """What tells whether a frame is as it was written."""
    return digest_of(frame)[:SEAL_BYTES]


def is_whole(stored: bytes, digest: bytes) -> bool:
    """Whether what is stored as a body, in any encoding, is what was written."""
    return len(digest) >= SEAL_BYTES and digest_of(stored)[: len(digest)] == digest
