-- Projections: computed from entries, in the transaction that commits them; `rebuild` empties and recomputes them.

-- Where each agent's chain stands. The sequencer keeps it in the same transaction as the entries.
CREATE TABLE agent (
    id             INTEGER PRIMARY KEY,
    agent          BLOB    NOT NULL UNIQUE,  -- key id of its first key
    epoch          INTEGER NOT NULL,
    key            BLOB    NOT NULL,
    spki           BLOB    NOT NULL,
    grp            TEXT    NOT NULL,
    state          TEXT    NOT NULL,         -- active, revoked, retired, forked
    next_seq       INTEGER NOT NULL,
    prev           BLOB    NOT NULL,
    ev             INTEGER NOT NULL,         -- key events so far
    enrolled_idx   INTEGER NOT NULL,
    enrolled_ms    INTEGER NOT NULL,
    ended_ms       INTEGER,
    last_idx       INTEGER,                  -- last statement
    last_rx        INTEGER,
    last_end       INTEGER,                  -- its time.end: the host's clock
    skew_ms        INTEGER,                  -- last_end - last_rx
    version        TEXT,                     -- of the agent program
    bundle         BLOB,
    bundle_version INTEGER,
    gaps           INTEGER NOT NULL DEFAULT 0,
    seen_size      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Stretches of one outcome of one check on one host.
CREATE TABLE interval (
    agent     INTEGER NOT NULL,
    check_id  TEXT    NOT NULL,
    from_ms   INTEGER NOT NULL,
    to_ms     INTEGER,                  -- NULL while it goes on
    outcome   TEXT    NOT NULL,
    reason    TEXT,
    first_idx INTEGER NOT NULL,         -- the round that opened it
    PRIMARY KEY (agent, check_id, from_ms)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX interval_open ON interval (check_id, agent) WHERE to_ms IS NULL;
CREATE INDEX interval_recent ON interval (from_ms);

-- When the checks of one cadence were last judged on a host: what keeps an open interval going.
CREATE TABLE judged (
    agent   INTEGER NOT NULL,
    cadence TEXT    NOT NULL,
    last_ms INTEGER NOT NULL,
    last_idx INTEGER NOT NULL,
    PRIMARY KEY (agent, cadence)
) STRICT, WITHOUT ROWID;

-- The facts that a host's latest rounds rest on.
CREATE TABLE agent_fact (
    agent     INTEGER NOT NULL,
    probe     TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    since_idx INTEGER NOT NULL,
    PRIMARY KEY (agent, probe)
) STRICT, WITHOUT ROWID;

-- Every key ever enrolled or rotated to: none may come back, for any agent.
CREATE TABLE agent_key (
    key   BLOB    PRIMARY KEY,
    agent INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    idx   INTEGER NOT NULL              -- the entry that brought it
) STRICT, WITHOUT ROWID;
