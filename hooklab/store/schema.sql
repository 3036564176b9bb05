-- Times are microseconds since 1970 UTC. An arrival is (batch sequence << 22 | index in the array).
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,          -- in order of first appearance
    message_id BLOB NOT NULL,        -- 16 bytes
    rank INTEGER NOT NULL,           -- the greatest rank among its reports (rules.py): state and final_at
    seen INTEGER NOT NULL,           -- bits: kinds of report seen, late, repeated, label mismatch
    final_before INTEGER,            -- by how much the arrival of the first final report is before `last_arrival`
    reports INTEGER NOT NULL,        -- distinct ones
    repeats INTEGER NOT NULL,
    first_at INTEGER NOT NULL,       -- when its first arrival was received
    new_after INTEGER NOT NULL,      -- how long after that its last new report was received
    last_after INTEGER NOT NULL,     -- how long after that its last arrival was received
    last_arrival INTEGER NOT NULL,
    description ANY,                 -- ANY: as compact.py writes it
    msisdn ANY,
    organization_id ANY,
    total_segments INTEGER,
    custom_payload TEXT,
    pending_at INTEGER,              -- the least reported time of a PENDING
    sent_at INTEGER                  -- the least time of sending that a custom payload told
) STRICT;
CREATE INDEX messages_by_activity ON messages (last_arrival);
CREATE INDEX messages_pending ON messages (first_at + new_after) WHERE rank < 0;
CREATE INDEX messages_in_conflict ON messages (last_arrival) WHERE seen & 6 = 6;
CREATE INDEX messages_mismatched ON messages (last_arrival) WHERE seen & 32 <> 0;

-- Which message has an id, in one of two tables (ids.py).
CREATE TABLE ids (
    message_id BLOB PRIMARY KEY,
    message INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE recent_ids (
    message_id BLOB PRIMARY KEY,
    message INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
    message INTEGER NOT NULL,
    digest BLOB NOT NULL,
    arrival INTEGER NOT NULL,
    status INTEGER NOT NULL,         -- 0 PENDING, 1 DELIVERED, 2 NOT_DELIVERED
    reported_at ANY,                 -- as sent
    description ANY,
    extra TEXT,                      -- JSON object: unknown fields, and documented ones of a wrong type
    PRIMARY KEY (message, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE repeats (
    message INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    digest BLOB NOT NULL,            -- of the report that came again
    retry INTEGER NOT NULL,          -- 1: in a batch whose body was seen before; 0: a duplicate
    PRIMARY KEY (message, arrival)
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
    sequence INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    peer ANY NOT NULL,
    label TEXT,
    bytes INTEGER NOT NULL,
    elements INTEGER NOT NULL,
    new INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    retry_of INTEGER,                -- the first batch with this body
    attempt INTEGER NOT NULL
) STRICT;

CREATE TABLE bodies (
    digest BLOB PRIMARY KEY,         -- its first 8 bytes
    first INTEGER NOT NULL,          -- sequence of the first batch with this body
    times INTEGER NOT NULL,
    last_at INTEGER                  -- when it came last; null while it came once
) STRICT, WITHOUT ROWID;

-- Texts that many rows share: their number stands for them in the columns of type ANY.
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,          -- in order of first appearance
    text TEXT NOT NULL
) STRICT;

CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,          -- its arrival; a whole body has the greatest index
    reason TEXT NOT NULL,
    elements INTEGER NOT NULL,       -- how many elements it stands for; 0 for a malformed body
    count INTEGER NOT NULL,          -- how often this body came; 1 for an element
    raw BLOB NOT NULL
) STRICT;

CREATE TABLE minutes (
    minute INTEGER PRIMARY KEY,      -- minutes since 1970 UTC, by the time of receiving
    batches INTEGER NOT NULL,
    elements INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    delivered INTEGER NOT NULL,      -- new reports by status
    not_delivered INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    late INTEGER NOT NULL
) STRICT;

-- What the insights are counted from (facts.py). Hours are since 1970 UTC. It outlives what is pruned.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,          -- of its digest; 0 stands for none
    name TEXT NOT NULL               -- of an organization, or why a message was not delivered
) STRICT;

CREATE TABLE lives (
    hour INTEGER NOT NULL,           -- in which the messages were first heard of
    organization INTEGER NOT NULL,
    what INTEGER NOT NULL,           -- what they count as
    detail INTEGER NOT NULL,         -- a reason, or a bucket of milliseconds
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, organization, what, detail)
) STRICT, WITHOUT ROWID;
CREATE INDEX lives_empty ON lives (count) WHERE count = 0;

CREATE TABLE lags (
    hour INTEGER NOT NULL,           -- in which new reports were received
    quarters INTEGER NOT NULL,       -- of an hour by which their clock seems off
    bucket INTEGER NOT NULL,         -- of tenths of a second from reported to received
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, quarters, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE retries (
    hour INTEGER NOT NULL,           -- in which a body came again
    attempt INTEGER NOT NULL,        -- 2 for the first time that it came again
    half_seconds INTEGER NOT NULL,   -- since the attempt before
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, attempt, half_seconds)
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    checkpoint INTEGER NOT NULL,     -- the last batch that was projected
    batches INTEGER NOT NULL,
    malformed INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    elements INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    late INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    not_delivered INTEGER NOT NULL,
    conflicts INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID
