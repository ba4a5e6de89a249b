-- Written for both engines. In text for SQLite, BIGINT becomes INTEGER, BYTEA
-- becomes BLOB and a comment that begins with "sqlite:" is uncovered.

-- +goose Up
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
)/*sqlite: STRICT*/;

-- The tree head: one row, which every settling transaction locks first.
CREATE TABLE head (
    one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    size    BIGINT NOT NULL,
    root    BYTEA  NOT NULL,
    time    BIGINT NOT NULL, -- of the newest entry, milliseconds since 1970
    control BIGINT NOT NULL  -- newest entry that is no call, exemption or denial; -1: none
)/*sqlite: STRICT*/;

-- The entries' canonical bytes. The columns between are what filters need.
CREATE TABLE entries (
    seq        BIGINT NOT NULL PRIMARY KEY,
    time       BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    enterprise TEXT   NOT NULL,
    product    TEXT   NOT NULL,
    job        TEXT   NOT NULL,
    month      TEXT   NOT NULL, -- China Standard Time
    salt       BYTEA  NOT NULL,
    entry      BYTEA  NOT NULL
)/*sqlite: STRICT*/;
CREATE INDEX entries_enterprise ON entries (enterprise, seq);
CREATE INDEX entries_product ON entries (product, seq);
CREATE INDEX entries_kind ON entries (kind, seq) WHERE kind <> 'call';
CREATE INDEX entries_control ON entries (seq) WHERE kind NOT IN ('call', 'exemption', 'denied');

-- Row seq: the hashes that record seq adds to the tree, 32 bytes each.
CREATE TABLE tree (
    seq    BIGINT NOT NULL PRIMARY KEY,
    hashes BYTEA  NOT NULL
)/*sqlite: STRICT*/;

-- Every checkpoint that was signed, and the head's control entry at its size.
CREATE TABLE checkpoints (
    size    BIGINT NOT NULL PRIMARY KEY,
    root    BYTEA  NOT NULL,
    control BIGINT NOT NULL,
    note    BYTEA  NOT NULL
)/*sqlite: STRICT*/;

CREATE TABLE jobs (
    id         TEXT   NOT NULL PRIMARY KEY,
    enterprise TEXT   NOT NULL,
    product    TEXT   NOT NULL,
    header     TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    units      BIGINT NOT NULL,
    lookups    BIGINT NOT NULL,
    renewed    BIGINT NOT NULL,
    answer     TEXT   NOT NULL
)/*sqlite: STRICT*/;

CREATE TABLE counters (
    counter TEXT   NOT NULL,
    period  TEXT   NOT NULL,
    used    BIGINT NOT NULL,
    PRIMARY KEY (counter, period)
)/*sqlite: STRICT, WITHOUT ROWID*/;

-- Small answers, kept for retries until they expire.
CREATE TABLE answers (
    job     TEXT   NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL,
    answer  BYTEA  NOT NULL
)/*sqlite: STRICT*/;
CREATE INDEX answers_expires ON answers (expires);

-- Which query was answered under which index of a job.
CREATE TABLE lookups (
    job    TEXT   NOT NULL,
    idx    BIGINT NOT NULL,
    digest BYTEA  NOT NULL,
    PRIMARY KEY (job, idx)
)/*sqlite: STRICT, WITHOUT ROWID*/;

-- +goose Down
DROP TABLE lookups;
DROP TABLE answers;
DROP TABLE counters;
DROP TABLE jobs;
DROP TABLE checkpoints;
DROP TABLE tree;
DROP TABLE entries;
DROP TABLE head;
DROP TABLE meta;
