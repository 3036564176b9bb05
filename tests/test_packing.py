"""What the journal packs comes back as it was, and nothing that is no such frame does any harm."""

import random
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
import zstandard
from dictionary import SEED, request
from hypothesis import given
from hypothesis import strategies as st
from support import body_of, pair
from test_journal import batch

from hooklab.journal.base import digest_of
from hooklab.journal.packing import (
    DICTIONARY,
    PACKED,
    PACKED_BY_TEXT,
    PACKINGS,
    RAW,
    TEXT,
    Packer,
    is_whole,
    seal_of,
    size_of,
)
from hooklab.journal.sqlite import JournalLimits, SqliteJournal

_FRAMES: Final = {
    PACKED_BY_TEXT: "28b52ffd2030dd0000603139322e302e322e37787d5d0400771018dd02b22bbb32387104",
    PACKED: "28b52ffd2030d50000583139322e302e322e787d5d04dc0bc66bfa49a903daced8e95c",
}
"""The same batch, as hooklab packed it at first, and as it does."""


def test_the_dictionaries_never_change() -> None:
    """What lies in journals was packed with them: others could not unpack a single batch."""
    assert sha256(DICTIONARY).hexdigest() == "ccc7ce6d9e1b172d97878e57a8e93a81ee6ef5da6e3dc67af59c2f5d8d6ae91c"
    assert sha256(TEXT).hexdigest() == "c4d47e356a0b0d6a12bc329bbdb8569251f1e76eaff7c800b27b6c87f3a4c91f"
    for encoding, frame in _FRAMES.items():
        unpacked = Packer().unpack(bytes.fromhex(frame), encoding)
        assert unpacked == ("192.0.2.7", '[["host", "x"]]', b'[{"Status":"PENDING"}]')


def test_requests_are_packed_by_what_they_have_in_common() -> None:
    """Of requests new to it the dictionary leaves less than a fifth; the text before it left a third more."""
    chosen = random.Random(SEED + 1)
    requests = [request(chosen) for _ in range(300)]
    text = zstandard.ZstdCompressionDict(TEXT, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    packer, by_text = Packer(), zstandard.ZstdCompressor(level=1, dict_data=text)
    packed = 0
    for one in requests:
        peer, headers, body = one.split(b"\n", 2)
        packed += len(packer.pack(peer.decode(), headers.decode(), body))
    assert packed < sum(map(len, requests)) / 5
    assert packed < sum(len(by_text.compress(one)) for one in requests) * 3 / 4


@given(
    peer=st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=50),
    headers=st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=300),
    body=st.binary(max_size=3000),
)
def test_all_of_it_comes_back(peer: str, headers: str, body: bytes) -> None:
    """Any peer, headers and body, also with line breaks and NULs in the body."""
    packer = Packer()
    frame = packer.pack(peer, headers, body)
    assert packer.unpack(frame) == (peer, headers, body)
    assert is_whole(frame, seal_of(frame))
    assert size_of(PACKED, frame) >= len(body)


def test_a_line_break_in_a_peer_moves_nothing_into_the_body() -> None:
    """It could have been made up by a proxy."""
    packer = Packer()
    assert packer.unpack(packer.pack("a\nb", "c\nd", b"\n[1]")) == ("a b", "c d", b"\n[1]")


@given(
    harm=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), min_size=1, max_size=8),
    cut=st.integers(0, 400),
)
def test_a_damaged_frame_is_known_and_does_no_harm(harm: list[tuple[int, int]], cut: int) -> None:
    """Its seal does not fit, and to unpack it gives ValueError or something else, and no other error."""
    packer = Packer()
    frame = packer.pack("127.0.0.1", "[]", body_of([one for _ in range(4) for one in pair()]))
    spoilt = bytearray(frame[: max(1, len(frame) - cut)])
    for at, by in harm:
        spoilt[at % len(spoilt)] ^= by
    if bytes(spoilt) != frame:
        assert not is_whole(bytes(spoilt), seal_of(frame))
    try:
        packer.unpack(bytes(spoilt))
    except ValueError:
        packer.unpack_damaged(bytes(spoilt))


def test_a_frame_that_claims_to_be_huge_is_not_believed() -> None:
    """A few bytes that say they hold a petabyte give ValueError, and are counted for what they are."""
    frame = b"\x28\xb5\x2f\xfd\xe0" + (1 << 50).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(ValueError, match="more than was ever packed"):
        Packer().unpack(frame)
    assert [size_of(encoding, frame) for encoding in PACKINGS] == [len(frame)] * 2


def test_the_beginning_of_a_damaged_body_is_still_read() -> None:
    """Of a large batch whose end is damaged a person can read what comes before."""
    packer = Packer()
    body = body_of([one for _ in range(4000) for one in pair()])
    frame = packer.pack("127.0.0.1", "[]", body)
    found = packer.unpack_damaged(frame[: len(frame) // 2] + b"\xff" * 40)
    assert len(found) > 100_000
    assert body.startswith(found)


async def test_a_journal_of_before_is_read_and_goes_on(tmp_path: Path) -> None:
    """Bodies as they came, with a digest of 16 bytes, beside those packed in both ways; a changed one is known."""
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0))
    await journal.append(batch(b"[1]"))
    await journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        text = bytes.fromhex(_FRAMES[PACKED_BY_TEXT])
        for encoding, body, digest in (
            (RAW, b"[2]", digest_of(b"[2]")),
            (RAW, b"[3]", digest_of(b"[4]")),
            (PACKED_BY_TEXT, text, seal_of(text)),
        ):
            row = (5, 1, "198.51.100.1", None, '[["old", "y"]]', False, digest, encoding, body)
            plain.execute(
                "INSERT INTO batches (received_at, took_ms, peer, label, headers, malformed, digest, encoding, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
    journal = await SqliteJournal.open(path, JournalLimits(disk_reserve=0))
    await journal.append(batch(b"[5]"))
    found = await journal.read(0, 1 << 20)
    await journal.close()
    assert [(one.body, one.damaged) for one in found] == [
        (b"[1]", False),
        (b"[2]", False),
        (b"[3]", True),
        (b'[{"Status":"PENDING"}]', False),
        (b"[5]", False),
    ]
    assert (found[1].peer, found[1].headers) == ("198.51.100.1", '[["old", "y"]]')
    assert (found[3].peer, found[3].headers) == ("192.0.2.7", '[["host", "x"]]')
    assert all(one.digest == digest_of(one.body) for one in found)


async def test_what_is_read_at_once_is_bounded_by_what_it_unpacks_to(tmp_path: Path) -> None:
    """Bodies that shrink to nothing do not fill the memory by the hundred."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", JournalLimits(disk_reserve=0))
    for _ in range(5):
        await journal.append(batch(b"[" + b" " * 100_000 + b"]"))
    assert (tmp_path / "journal.db-wal").stat().st_size < 100_000
    assert len(await journal.read(0, 250_000)) == 2
    assert len(await journal.read(4, 10)) == 1
    await journal.close()
