-- +goose Up
-- vigil:oldest=4

-- The student's groups at the platform, and the version of that word; 0: the platform told none.
ALTER TABLE sessions ADD COLUMN in_groups TEXT NOT NULL DEFAULT '[]'; -- JSON array
ALTER TABLE sessions ADD COLUMN groups_version INTEGER NOT NULL DEFAULT 0;

-- Whose word it is who may see and do what at the exam, and where it is asked; '': nobody's.
ALTER TABLE exams ADD COLUMN access_platform TEXT NOT NULL DEFAULT '';
ALTER TABLE exams ADD COLUMN access_url TEXT NOT NULL DEFAULT '';

-- What a platform told of one member of staff at one exam.
CREATE TABLE accesses (
    no          INTEGER PRIMARY KEY,
    exam_id     TEXT NOT NULL REFERENCES exams (id),
    user_id     TEXT NOT NULL,
    version     INTEGER NOT NULL, -- the platform's
    at          INTEGER NOT NULL, -- when it was told last
    sees_all    INTEGER NOT NULL,
    sees_groups TEXT NOT NULL,    -- JSON array
    rights      TEXT NOT NULL,    -- JSON array
    UNIQUE (exam_id, user_id)
) STRICT;

CREATE INDEX accesses_exam ON accesses (exam_id); -- and the row's number: the order of the list
CREATE INDEX accesses_user ON accesses (user_id);
CREATE INDEX accesses_at ON accesses (at);
