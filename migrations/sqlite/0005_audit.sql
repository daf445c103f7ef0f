-- +goose Up
-- vigil:oldest=4

-- Entries of one process in one exam form a chain; docs/storage.md says how it is checked.
-- sessions is a JSON array; an entry of before has its session in session_id, as older programs read it.
ALTER TABLE audits ADD COLUMN sessions TEXT NOT NULL DEFAULT '[]';
ALTER TABLE audits ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE audits ADD COLUMN chain TEXT NOT NULL DEFAULT '';     -- '': written before there were chains
ALTER TABLE audits ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audits ADD COLUMN prev TEXT NOT NULL DEFAULT '';      -- hash of the entry before it
ALTER TABLE audits ADD COLUMN prev_at INTEGER NOT NULL DEFAULT 0; -- its time
ALTER TABLE audits ADD COLUMN who TEXT NOT NULL DEFAULT '';       -- commitment to the person
ALTER TABLE audits ADD COLUMN salt TEXT NOT NULL DEFAULT '';      -- of it; '': erased

-- Where each chain was when it was last signed. They outlive the entries.
CREATE TABLE audit_checkpoints (
    exam_id   TEXT NOT NULL, -- '': entries about no exam
    chain     TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    hash      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (exam_id, chain)
) STRICT, WITHOUT ROWID;
