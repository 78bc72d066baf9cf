-- What running agents have streamed, at most a second behind: OpenCode stores the text of a
-- message only when it is complete, so that a hard kill would lose it.
CREATE TABLE pieces (
    delegation TEXT NOT NULL,
    message TEXT NOT NULL,
    start INTEGER NOT NULL,          -- the character of the message at which the text begins
    text TEXT NOT NULL,
    PRIMARY KEY (delegation, message, start)
) STRICT, WITHOUT ROWID;
