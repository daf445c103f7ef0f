-- +goose Up
-- vigil:oldest=4

-- What is known of the student's monitor: whether it answers, and its running totals. JSON object.
ALTER TABLE sessions ADD COLUMN monitor TEXT NOT NULL DEFAULT '{}';
