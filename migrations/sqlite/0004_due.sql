-- +goose Up

-- The version of our plugin's format that a platform was last seen to speak; 0: not seen.
ALTER TABLE platforms ADD COLUMN plugin INTEGER NOT NULL DEFAULT 0;

-- Finished pauses, and when a session must be looked at although nothing happens; 0: never.
ALTER TABLE sessions ADD COLUMN pauses TEXT NOT NULL DEFAULT '[]'; -- JSON array
ALTER TABLE sessions ADD COLUMN due INTEGER NOT NULL DEFAULT 0;

-- When the platform had had its say about the present pause; 0: not yet.
ALTER TABLE sessions ADD COLUMN pause_answered INTEGER NOT NULL DEFAULT 0;

-- Sessions that have not ended become due at once, so that each is looked at and gets its right time.
UPDATE sessions SET due = 1 WHERE state NOT IN ('submitted', 'terminated', 'expired', 'stopped', 'canceled');

CREATE INDEX sessions_due ON sessions (due) WHERE due > 0;

-- Until when an open gap's cause holds, and how much of the gap the attempt's clock stood.
ALTER TABLE gaps ADD COLUMN until_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gaps ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;

-- The session version that queued an entry: entries are sent by it, then by id. Those that
-- were waiting before have 0 and are sent first.
ALTER TABLE deliveries ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
