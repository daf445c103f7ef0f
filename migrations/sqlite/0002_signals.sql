-- +goose Up

-- A signal used to dirty pages of its own in two indexes and in its session's wide row,
-- and each page that is dirty is written to the log and to the file as a whole. From here
-- on what changes with each signal is in narrow rows that lie together, and in the newest
-- end of a table and of an index.

-- A session's streams. The row is written once.
CREATE TABLE streams (
    no      INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    block   INTEGER NOT NULL, -- of its first signal
    UNIQUE (session, name)
) STRICT;

-- What changes with each signal of a stream, and nothing else: the smaller the rows, the
-- fewer pages a commit writes.
CREATE TABLE counts (
    stream  INTEGER PRIMARY KEY REFERENCES streams (no) ON DELETE CASCADE,
    top     INTEGER NOT NULL, -- the highest number that came
    missing INTEGER NOT NULL, -- numbers below it that did not come: the holes together
    block   INTEGER NOT NULL  -- of its last signal
) STRICT;

-- Ranges of numbers below a stream's highest that did not come.
CREATE TABLE holes (
    stream INTEGER NOT NULL REFERENCES streams (no) ON DELETE CASCADE,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (stream, first)
) STRICT, WITHOUT ROWID;

INSERT INTO streams (session, name, block)
SELECT session, stream, min(no) >> 12 FROM signals GROUP BY session, stream ORDER BY min(no);

INSERT INTO counts (stream, top, missing, block)
SELECT r.no, max(g.seq), max(g.seq) - count(*), max(g.no) >> 12
FROM signals g JOIN streams r ON r.session = g.session AND r.name = g.stream GROUP BY r.no;

INSERT INTO holes (stream, first, last)
SELECT stream, before + 1, seq - 1 FROM (
    SELECT r.no AS stream, g.seq, lag(g.seq, 1, 0) OVER (PARTITION BY r.no ORDER BY g.seq) AS before
    FROM signals g JOIN streams r ON r.session = g.session AND r.name = g.stream
) WHERE seq > before + 1;

-- sessions.signals keeps what the streams do not count: signals that were swept before.
UPDATE sessions SET signals = signals - n FROM (SELECT session, count(*) AS n FROM signals GROUP BY session) AS v
WHERE sessions.no = v.session;

-- No reference to the session: SQLite would look for it with each signal, and would need an
-- index that begins with it. Who deletes a session deletes its signals first.
CREATE TABLE signals_new (
    no       INTEGER PRIMARY KEY,
    session  INTEGER NOT NULL,
    stream   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    severity REAL NOT NULL,
    incident INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    received INTEGER NOT NULL,
    data     BLOB
) STRICT;

INSERT INTO signals_new (no, session, stream, seq, kind, severity, incident, at, duration, received, data)
SELECT g.no, g.session, r.no, g.seq, g.kind, g.severity, g.incident, g.at, g.duration, g.received, g.data
FROM signals g CROSS JOIN streams r ON r.session = g.session AND r.name = g.stream ORDER BY g.no;

DROP TABLE signals;
ALTER TABLE signals_new RENAME TO signals;

-- By session within each block of 4096 numbers: new entries fall into the few pages of the
-- last block. A session's signals are looked for in the blocks from its streams' first to
-- their last.
CREATE INDEX signals_block ON signals (no >> 12, session);

-- One row, which counts transactions that removed sessions or signals: what a process
-- remembers of them is right while the number stays.
CREATE TABLE removals (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    round INTEGER NOT NULL
) STRICT;

INSERT INTO removals (one, round) VALUES (1, 0);
