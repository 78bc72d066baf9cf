-- The first schema. This file is never edited; a change is a new file with the next number.

-- One row per delegation. `record` is the whole delegation as JSON; the other columns repeat
-- what queries filter, sort and list by. `record` is last, so that a list never reads the
-- overflow pages of a large prompt.
CREATE TABLE delegations (
    number INTEGER PRIMARY KEY,      -- the order of registration
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,        -- the number of events applied; compared before each change
    owner TEXT NOT NULL,             -- the process that supervises it
    active INTEGER NOT NULL,         -- 1 until the status is terminal
    status TEXT NOT NULL,
    root_session TEXT NOT NULL,
    parent_session TEXT NOT NULL,
    session TEXT,                    -- the child session, once there is one
    agent TEXT NOT NULL,
    title TEXT NOT NULL,
    summary TEXT NOT NULL,
    registered_at TEXT NOT NULL,     -- ISO 8601, UTC, as every time here
    ended_at TEXT,
    read_at TEXT,
    record BLOB NOT NULL
) STRICT;

-- The list and its count; the row number follows implicitly and gives the order.
CREATE INDEX delegations_by_root ON delegations (root_session);

-- What still runs: a handful of rows among very many.
CREATE INDEX delegations_active ON delegations (parent_session) WHERE active = 1;

CREATE INDEX delegations_by_session ON delegations (session) WHERE session IS NOT NULL;

-- Every event of every delegation; `seq` is the version that it led to.
CREATE TABLE events (
    delegation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (delegation, seq)
) STRICT;

-- The outbox. `record` is the notice as it was queued; state, message and text change.
CREATE TABLE notices (
    number INTEGER PRIMARY KEY,      -- the order of queueing
    id TEXT NOT NULL UNIQUE,
    delegation TEXT NOT NULL,
    supervisor TEXT NOT NULL,
    due INTEGER NOT NULL,            -- 1 until it is confirmed or dropped
    state TEXT NOT NULL,
    message TEXT,
    text TEXT,
    record BLOB NOT NULL
) STRICT;

CREATE INDEX notices_due ON notices (supervisor) WHERE due = 1;
