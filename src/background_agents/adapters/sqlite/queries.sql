-- Every statement the store runs, by name. The line `-- name:` begins one; the comment
-- below it says what it is for.

-- name: insert_delegation
-- A new delegation; changes no row when the id is taken.
INSERT INTO delegations (
    id, version, owner, active, status, root_session, parent_session, session,
    agent, title, summary, registered_at, ended_at, read_at, record
) VALUES (
    :id, :version, :owner, :active, :status, :root_session, :parent_session, :session,
    :agent, :title, :summary, :registered_at, :ended_at, :read_at, :record
)
ON CONFLICT (id) DO NOTHING;

-- name: update_delegation
-- Compare and set: changes no row when the stored version is not the expected one.
UPDATE delegations
SET version = :version, owner = :owner, active = :active, status = :status,
    session = :session, title = :title, summary = :summary,
    ended_at = :ended_at, read_at = :read_at, record = :record
WHERE id = :id AND version = :expected;

-- name: insert_event
-- An event, under the version that it led to.
INSERT INTO events (delegation, seq, at, kind, body) VALUES (?, ?, ?, ?, ?);

-- name: insert_notice
-- A notice, in the same transaction as the change it tells of.
INSERT INTO notices (id, delegation, supervisor, due, state, message, text, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: find
-- A delegation, if it is visible from a root session.
SELECT record FROM delegations WHERE id = ? AND root_session = ?;

-- name: get
-- A delegation, whosever it is.
SELECT record FROM delegations WHERE id = ?;

-- name: with_session
-- The newest delegation that ran in a child session; several may have, by continuation.
SELECT record FROM delegations WHERE session = ? ORDER BY number DESC LIMIT 1;

-- name: page
-- The newest lines of a root session. Their records are not decoded: within a string of JSON no
-- quotation mark stands without a backslash, so what is looked for is a member and nothing else.
-- Only where something was changed, or another than the conversation's session has delegated it,
-- the record is looked into.
SELECT id, title, agent, status, summary, registered_at, ended_at, read_at,
       instr(record, CAST('"cut":"' AS BLOB)) > 0,
       iif(instr(record, CAST('"changes":{"' AS BLOB)) > 0,
           CAST(json_extract(CAST(record AS TEXT), '$.changes') AS BLOB), '{}'),
       iif(parent_session = root_session, '',
           coalesce(json_extract(CAST(record AS TEXT), '$.above'), ''))
FROM delegations WHERE root_session = ? ORDER BY number DESC LIMIT ?;

-- name: newest_records
-- The newest delegations, or the unread among them; only their records are read.
SELECT record FROM delegations
WHERE number IN (SELECT number FROM delegations ORDER BY number DESC LIMIT :limit)
  AND (NOT :unread OR (active = 0 AND read_at IS NULL)) ORDER BY number DESC;

-- name: newest_records_of
-- The same of a root session.
SELECT record FROM delegations
WHERE number IN (
    SELECT number FROM delegations WHERE root_session = :root ORDER BY number DESC LIMIT :limit
) AND (NOT :unread OR (active = 0 AND read_at IS NULL)) ORDER BY number DESC;

-- name: newest_event
-- The number of the row that was written last; answered by the end of the table.
SELECT max(rowid) FROM events;

-- name: count
-- How many delegations a root session has between two numbers; answered by an index alone.
SELECT count(*) FROM delegations WHERE root_session = ? AND number > ? AND number <= ?;

-- name: newest_number
-- The number of the newest delegation of all; null when there is none.
SELECT max(number) FROM delegations;

-- name: unfinished
-- Every delegation that is not terminal. Left to itself SQLite would rather
-- scan the whole table than sort the few.
SELECT record FROM delegations INDEXED BY delegations_active
WHERE active = 1 ORDER BY number;

-- name: ended_in_tree
-- What has ended and may be of an isolated tree: the text is somewhere in the record. None is
-- older than the one that the tree was made for.
SELECT record FROM delegations
WHERE number >= coalesce((SELECT number FROM delegations WHERE id = ?), 0)
  AND active = 0 AND instr(record, ?) ORDER BY number;

-- name: newest_ended
-- The lines that a live board shows below what runs, without their records. Backwards along
-- the rows it meets them at once; by an index it would sort them all.
SELECT id, title, agent, status, summary, registered_at, ended_at, read_at,
       instr(record, CAST('"cut":"' AS BLOB)) > 0,
       iif(instr(record, CAST('"changes":{"' AS BLOB)) > 0,
           CAST(json_extract(CAST(record AS TEXT), '$.changes') AS BLOB), '{}'),
       iif(parent_session = root_session, '',
           coalesce(json_extract(CAST(record AS TEXT), '$.above'), ''))
FROM delegations NOT INDEXED WHERE active = 0 ORDER BY number DESC LIMIT ?;

-- name: remaining
-- How many delegations of a supervisor session are not terminal; looks at those alone.
SELECT count(*) FROM delegations WHERE parent_session = ? AND active = 1;

-- name: spent
-- What has ended since a moment, or has not, of the newest ten thousand: more than a project has in
-- a day. Every time here is ISO 8601 in UTC, so that they compare as text.
SELECT record FROM delegations NOT INDEXED
WHERE number > (SELECT max(number) FROM delegations) - 10000 AND (active = 1 OR ended_at >= ?);

-- name: history
-- All events of a delegation, in order.
SELECT body FROM events WHERE delegation = ? ORDER BY seq;

-- name: due
-- The notices of all supervisors that have not arrived; by index for the same reason.
SELECT record, state, message, text FROM notices INDEXED BY notices_due
WHERE due = 1 ORDER BY number;

-- name: due_to
-- The notices of one supervisor that have not arrived.
SELECT record, state, message, text FROM notices
WHERE supervisor = ? AND due = 1 ORDER BY number;

-- name: assign
-- Fixes what a notice is sent with, once: the first message counts.
UPDATE notices SET state = ?, message = ?, text = ? WHERE id = ? AND due = 1 AND message IS NULL;

-- name: notice
-- A notice as it is now.
SELECT record, state, message, text FROM notices WHERE id = ?;

-- name: settle
-- Takes a notice out of the outbox. The first settlement counts.
UPDATE notices SET state = ?, due = ? WHERE id = ? AND due = 1;

-- name: keep_piece
-- A piece of streamed text, unless its delegation has ended meanwhile.
INSERT OR REPLACE INTO pieces (delegation, message, start, text)
SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM delegations WHERE id = ? AND active = 1);

-- name: pieces
-- All that was kept of a delegation's messages, in the order in which it was streamed.
SELECT message, start, text FROM pieces WHERE delegation = ? ORDER BY message, start;

-- name: drop_pieces
-- The artifact has it all now.
DELETE FROM pieces WHERE delegation = ?;

-- name: insert_lease
-- The claim of a process that has begun.
INSERT OR REPLACE INTO leases (owner, host, boot, renewed_s) VALUES (?, ?, ?, ?);

-- name: renew_lease
-- A heartbeat; changes no row when the claim was taken away.
UPDATE leases SET renewed_s = ? WHERE owner = ?;

-- name: leases
-- All claims: one for each process that has the project open, and a few that have ended.
SELECT owner, host, boot, renewed_s FROM leases;

-- name: revoke_lease
-- Takes a claim away, unless it was renewed since it was read.
DELETE FROM leases WHERE owner = ? AND renewed_s = ?;

-- name: newest
-- The newest delegations, for completion in a shell.
SELECT id, status, title FROM delegations ORDER BY number DESC LIMIT ?;

-- name: newest_from
-- The same in a range of ids. The unary plus keeps SQLite from walking through all rows by
-- number: a range of ids is small, once something is typed. Where it is not, the rows themselves are
-- read of the newest alone: the index of ids holds their numbers.
SELECT id, status, title FROM delegations WHERE number IN (
    SELECT number FROM delegations WHERE id >= ? AND id < ? ORDER BY +number DESC LIMIT ?
) ORDER BY number DESC;

-- name: agents
-- Which agents the newest delegations went to.
SELECT DISTINCT agent FROM (SELECT agent FROM delegations ORDER BY number DESC LIMIT 1000)
ORDER BY agent;

-- name: ids_from
-- Ids in a range, for those that begin alike; answered by the index of ids.
SELECT id FROM delegations WHERE id >= ? AND id < ? ORDER BY id LIMIT ?;

-- name: line
-- What a list shows of a delegation, without its record.
SELECT id, title, agent, status, summary, registered_at, ended_at, read_at,
       instr(record, CAST('"cut":"' AS BLOB)) > 0,
       iif(instr(record, CAST('"changes":{"' AS BLOB)) > 0,
           CAST(json_extract(CAST(record AS TEXT), '$.changes') AS BLOB), '{}'),
       iif(parent_session = root_session, '',
           coalesce(json_extract(CAST(record AS TEXT), '$.above'), ''))
FROM delegations WHERE number = ?;

-- name: record
-- A delegation by its number.
SELECT record FROM delegations WHERE number = ?;

-- name: notices_of
-- The notices of some delegations, whose ids are a JSON array, oldest first.
SELECT record, state, message, text FROM notices
WHERE delegation IN (SELECT value FROM json_each(?)) ORDER BY number;

-- name: count_unindexed
-- How many delegations the full-text index does not know as they are.
SELECT count(*) FROM unindexed;

-- name: unindexed
-- Some of them.
SELECT delegation, token FROM unindexed LIMIT ?;

-- name: indexed
-- The index knows a delegation, unless it has changed since the token was read.
DELETE FROM unindexed WHERE delegation = ? AND token = ?;

-- name: index_all
-- There is no index any more.
INSERT OR REPLACE INTO unindexed (delegation, token) SELECT id, random() FROM delegations;

-- name: index_mark
-- How far the index has come.
SELECT mark FROM index_mark WHERE one = 1;

-- name: set_index_mark
-- Somebody has indexed something; changes no row when somebody else was first.
UPDATE index_mark SET mark = ? WHERE one = 1 AND mark = ?;

-- name: to_index
-- What the index is to know of a delegation, and by which number.
SELECT number, record FROM delegations WHERE id = ?;

-- name: records_since
-- The delegations since a moment, for numbers about all of them.
SELECT record FROM delegations WHERE registered_at >= ?;

-- name: prunable
-- What ended before a moment, oldest first. It began before that, too, which the index tells.
SELECT id, root_session, title, agent, status, summary, registered_at, ended_at, read_at, 0,
       '{}', ''
FROM delegations INDEXED BY delegations_facts
WHERE status IN (SELECT value FROM json_each(?)) AND registered_at < ? AND ended_at < ?
ORDER BY number;

-- name: prune_delegation
-- Deletes a delegation, never one that is active.
DELETE FROM delegations WHERE id = ? AND active = 0;

-- name: prune_events
-- Deletes the history of a delegation.
DELETE FROM events WHERE delegation = ?;

-- name: prune_notices
-- Deletes the notices of some delegations, whose ids are a JSON array.
DELETE FROM notices WHERE delegation IN (SELECT value FROM json_each(?));

-- name: there
-- Whether a delegation is there; answered by the index of ids.
SELECT count(*) FROM delegations WHERE id = ?;
