-- +goose Up

-- Times and durations are whole milliseconds (times since 1970, UTC); 0 is "none".
-- "no" columns number rows in the order in which they came: lists page by them, and
-- the tables of one session point at sessions.no to stay small.
-- docs/storage.md says what each table is for.

CREATE TABLE platforms (
    id                     TEXT PRIMARY KEY,
    issuer                 TEXT NOT NULL,
    client_id              TEXT NOT NULL,
    name                   TEXT NOT NULL,
    family                 TEXT NOT NULL,
    authorization_endpoint TEXT NOT NULL,
    token_endpoint         TEXT NOT NULL,
    token_audience         TEXT NOT NULL,
    key_set_url            TEXT NOT NULL,
    scopes                 TEXT NOT NULL, -- JSON array
    private                INTEGER NOT NULL,
    state                  TEXT NOT NULL,
    created                INTEGER NOT NULL,
    updated                INTEGER NOT NULL,
    version                INTEGER NOT NULL,
    UNIQUE (issuer, client_id)
) STRICT;

CREATE TABLE deployments (
    platform_id TEXT NOT NULL REFERENCES platforms (id) ON DELETE CASCADE,
    id          TEXT NOT NULL,
    state       TEXT NOT NULL,
    created     INTEGER NOT NULL,
    PRIMARY KEY (platform_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE invitations (
    hash        TEXT PRIMARY KEY,
    private     INTEGER NOT NULL,
    review      INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    platform_id TEXT NOT NULL, -- '': not spent
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    use        TEXT NOT NULL,
    state      TEXT NOT NULL,
    sealed     BLOB, -- encrypted before it comes here
    public_key BLOB,
    created    INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   BLOB,
    expires INTEGER NOT NULL, -- 0: never
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX records_expires ON records (expires) WHERE expires > 0;

CREATE TABLE exams (
    no            INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    title         TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    context_id    TEXT NOT NULL,
    course        TEXT NOT NULL,
    policy        TEXT NOT NULL,    -- JSON
    managed       INTEGER NOT NULL, -- the quiz sets the policy
    -- What the policy says about retention, in milliseconds: readers compare with it.
    keep_signals  INTEGER NOT NULL,
    keep_chat     INTEGER NOT NULL,
    keep_sessions INTEGER NOT NULL,
    keep_audit    INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    version       INTEGER NOT NULL
) STRICT;

CREATE INDEX exams_context ON exams (issuer, context_id, created);

CREATE TABLE links (
    platform_id      TEXT NOT NULL REFERENCES platforms (id) ON DELETE CASCADE,
    deployment_id    TEXT NOT NULL,
    resource_link_id TEXT NOT NULL,
    exam_id          TEXT NOT NULL,
    created          INTEGER NOT NULL,
    PRIMARY KEY (platform_id, deployment_id, resource_link_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    no               INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    exam_id          TEXT NOT NULL REFERENCES exams (id),
    user_id          TEXT NOT NULL,
    attempt          INTEGER NOT NULL,
    generation       INTEGER NOT NULL,
    previous         TEXT NOT NULL,
    name             TEXT NOT NULL,
    platform_id      TEXT NOT NULL,
    deployment_id    TEXT NOT NULL,
    resource_link_id TEXT NOT NULL,
    plugin           INTEGER NOT NULL,
    locale           TEXT NOT NULL,
    control_url      TEXT NOT NULL,
    control_actions  TEXT NOT NULL, -- JSON array
    return_url       TEXT NOT NULL,

    state            TEXT NOT NULL,
    version          INTEGER NOT NULL,
    created          INTEGER NOT NULL,
    ready            INTEGER NOT NULL,
    started          INTEGER NOT NULL,
    ended            INTEGER NOT NULL,
    changed          INTEGER NOT NULL,
    changed_by       TEXT NOT NULL, -- JSON
    reason           TEXT NOT NULL,
    paused_at        INTEGER NOT NULL,
    paused_total     INTEGER NOT NULL,
    end_at           INTEGER NOT NULL,
    end_seen         INTEGER NOT NULL,
    grants           TEXT NOT NULL, -- JSON array
    carry            INTEGER NOT NULL,

    -- Presence: not part of the version.
    connection       TEXT NOT NULL,
    since            INTEGER NOT NULL,
    heard            INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    node             TEXT NOT NULL,
    cause            TEXT NOT NULL,
    epochs           INTEGER NOT NULL, -- the last epoch that was given out

    -- Tally: not part of the version.
    signals          INTEGER NOT NULL DEFAULT 0,
    incidents        INTEGER NOT NULL DEFAULT 0,
    open_incidents   INTEGER NOT NULL DEFAULT 0,
    severity         REAL NOT NULL DEFAULT 0,
    last_kind        TEXT NOT NULL DEFAULT '',
    last_at          INTEGER NOT NULL DEFAULT 0,
    hand             INTEGER NOT NULL DEFAULT 0,
    unread           INTEGER NOT NULL DEFAULT 0,

    -- When the oldest stored signal came, 0 if there is none: Sweep finds by it what expired.
    signals_from     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (exam_id, user_id, attempt, generation)
) STRICT;

CREATE INDEX sessions_exam ON sessions (exam_id); -- and the row's number: the order of creation
CREATE INDEX sessions_created ON sessions (exam_id, created);
CREATE INDEX sessions_signals ON sessions (exam_id, signals_from) WHERE signals_from > 0;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_node ON sessions (node) WHERE connection IN ('online', 'degraded', 'navigating');

CREATE TABLE signals (
    no       INTEGER PRIMARY KEY,
    session  INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    stream   TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    severity REAL NOT NULL,
    incident INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    received INTEGER NOT NULL,
    data     BLOB,
    UNIQUE (session, stream, seq)
) STRICT;

CREATE INDEX signals_session ON signals (session);

CREATE TABLE incidents (
    no       INTEGER PRIMARY KEY,
    session  INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    exam_id  TEXT NOT NULL,
    id       TEXT NOT NULL,
    kind     TEXT NOT NULL,
    severity REAL NOT NULL,
    at       INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    review   TEXT NOT NULL,
    reviewer TEXT NOT NULL, -- JSON
    note     TEXT NOT NULL,
    reviewed INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    UNIQUE (session, id)
) STRICT;

CREATE INDEX incidents_session ON incidents (session);
CREATE INDEX incidents_exam ON incidents (exam_id);

CREATE TABLE gaps (
    no         INTEGER PRIMARY KEY,
    session    INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    exam_id    TEXT NOT NULL,
    id         TEXT NOT NULL,
    start_at   INTEGER NOT NULL,
    end_at     INTEGER NOT NULL,
    cause      TEXT NOT NULL,
    proposed   INTEGER NOT NULL,
    decision   TEXT NOT NULL,
    command_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    UNIQUE (session, id)
) STRICT;

CREATE INDEX gaps_exam ON gaps (exam_id);

CREATE TABLE commands (
    no          INTEGER PRIMARY KEY,
    session     INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    exam_id     TEXT NOT NULL,
    id          TEXT NOT NULL,
    kind        TEXT NOT NULL,
    text        TEXT NOT NULL,
    reason_code TEXT NOT NULL,
    time        INTEGER NOT NULL,
    severity    REAL NOT NULL,
    given_by    TEXT NOT NULL, -- JSON
    at          INTEGER NOT NULL,
    stage       TEXT NOT NULL,
    problem     TEXT NOT NULL,
    delivered   INTEGER NOT NULL,
    seen        INTEGER NOT NULL,
    lms_state   TEXT NOT NULL,
    lms_status  TEXT NOT NULL,
    lms_problem TEXT NOT NULL,
    lms_at      INTEGER NOT NULL,
    UNIQUE (session, id)
) STRICT;

CREATE INDEX commands_session ON commands (session);
CREATE INDEX commands_exam ON commands (exam_id, at);

-- The queue to the platforms.
CREATE TABLE deliveries (
    no            INTEGER PRIMARY KEY,
    session       INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    exam_id       TEXT NOT NULL,
    id            TEXT NOT NULL UNIQUE,
    command_id    TEXT NOT NULL,
    action        TEXT NOT NULL,
    extra_minutes INTEGER NOT NULL,
    incident_time INTEGER NOT NULL,
    severity      REAL NOT NULL,
    reason_code   TEXT NOT NULL,
    reason        TEXT NOT NULL,
    state         TEXT NOT NULL,
    tries         INTEGER NOT NULL,
    sent          INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    next_try      INTEGER NOT NULL,
    lease_owner   TEXT NOT NULL, -- '': leased by nobody
    lease_ends    INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_session ON deliveries (session);
CREATE INDEX deliveries_waiting ON deliveries (session) WHERE state = 'waiting';
CREATE INDEX deliveries_due ON deliveries (next_try) WHERE state = 'waiting';

CREATE TABLE chat (
    no      INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (no) ON DELETE CASCADE,
    exam_id TEXT NOT NULL,
    id      TEXT NOT NULL,
    sender  TEXT NOT NULL, -- JSON
    text    TEXT NOT NULL,
    urgent  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    UNIQUE (session, id)
) STRICT;

CREATE INDEX chat_session ON chat (session);
CREATE INDEX chat_exam ON chat (exam_id, at);

-- Entries outlive the sessions and the people that they name by id.
CREATE TABLE audits (
    no         INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    exam_id    TEXT NOT NULL, -- '': not about an exam
    session_id TEXT NOT NULL,
    action     TEXT NOT NULL,
    by         TEXT NOT NULL, -- JSON
    detail     TEXT NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE INDEX audits_exam ON audits (exam_id, at);

CREATE TABLE nodes (
    id    TEXT PRIMARY KEY,
    host  TEXT NOT NULL,
    heard INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that Ping writes.
CREATE TABLE pings (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;
