-- The claims of processes to the delegations that they own, each renewed by a heartbeat.
CREATE TABLE leases (
    owner TEXT PRIMARY KEY,          -- as in delegations.owner
    host TEXT NOT NULL,              -- the process whose agents it supervises
    boot TEXT NOT NULL,              -- the run of the machine in which renewed_s means something
    renewed_s REAL NOT NULL          -- seconds of the monotonic clock
) STRICT, WITHOUT ROWID;
