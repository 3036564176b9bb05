"""What the journal's file is, in SQL."""

from typing import Final

from hooklab.database import Kind

JOURNAL: Final = Kind(
    name="journal",
    application_id=0x686B4C4A,  # "hkLJ"
    version=1,
    # AUTOINCREMENT: a sequence is never given twice, even after the newest batches were pruned.
    schema="""
    CREATE TABLE batches (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        received_at INTEGER NOT NULL,
        took_ms INTEGER NOT NULL,
        peer TEXT NOT NULL,
        label TEXT,
        headers TEXT NOT NULL,
        malformed INTEGER NOT NULL,
        digest BLOB NOT NULL,
        encoding INTEGER NOT NULL,
        body BLOB NOT NULL      -- as packing.py writes it, like the digest
    ) STRICT;
    CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    """,
    synchronous="FULL",
)
COLUMNS: Final = "received_at, took_ms, peer, label, headers, malformed, digest, encoding, body"
