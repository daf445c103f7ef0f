-- +goose Up
-- vigil:oldest=4

-- What was erased, without a name or a user id, so that a backup that is restored forgets it, too.
CREATE TABLE erasures (
    no      INTEGER PRIMARY KEY,
    id      TEXT NOT NULL UNIQUE,
    salt    BLOB NOT NULL,
    hash    BLOB NOT NULL, -- of salt, issuer and user id
    exam_id TEXT NOT NULL, -- '': all that was the user's
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX erasures_at ON erasures (at);
