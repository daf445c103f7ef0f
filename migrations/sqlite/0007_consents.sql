-- +goose Up
-- vigil:oldest=4

-- What the student agreed to, and when: versions of the check-in's notice. Sessions of before
-- have none, so their next check-in asks.
ALTER TABLE sessions ADD COLUMN consents TEXT NOT NULL DEFAULT '[]'; -- JSON array
