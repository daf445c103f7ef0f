-- +goose Up
-- vigil:oldest=4

-- The version of the schema that a node's program knows. Programs that do not write it know 4.
ALTER TABLE nodes ADD COLUMN schema INTEGER NOT NULL DEFAULT 4;
