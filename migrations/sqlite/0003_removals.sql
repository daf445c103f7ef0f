-- +goose Up
-- The highest number of a signal before any was removed: none is given twice, so blocks and
-- pages follow the order of arrival.

ALTER TABLE removals ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
