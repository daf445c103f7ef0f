-- +goose Up
-- vigil:oldest=4

-- When the student was sent to the platform to begin, and when the platform opened the attempt, as
-- it says; 0: not, or it has not said so.
ALTER TABLE sessions ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN opened INTEGER NOT NULL DEFAULT 0;

-- Since when nobody watched the open attempt, until when, and whether many others had the same; 0:
-- that never came, and it goes on.
ALTER TABLE sessions ADD COLUMN unwatched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN unwatched_end INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN unwatched_room INTEGER NOT NULL DEFAULT 0;

-- Since when connections have reported without a break (0: none does), and how many milliseconds of
-- the attempt those before watched.
ALTER TABLE sessions ADD COLUMN reports INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN watched INTEGER NOT NULL DEFAULT 0;
