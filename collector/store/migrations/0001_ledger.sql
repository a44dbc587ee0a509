-- The ledger: entries, tiles and head. Committed together, never changed, never dropped.
CREATE TABLE entry (
    idx   INTEGER PRIMARY KEY,          -- position in the log, from 0
    kind  TEXT    NOT NULL,
    agent INTEGER,                      -- agent.id, for entries about an agent
    seq   INTEGER,                      -- sequence number, for agent statements
    pae   BLOB    NOT NULL,             -- SHA-256 of the envelope's pre-authentication encoding
    rx    INTEGER NOT NULL,             -- Unix milliseconds
    leaf  BLOB    NOT NULL              -- the bytes of the entry
) STRICT;
CREATE UNIQUE INDEX entry_pae ON entry (pae);
CREATE UNIQUE INDEX entry_statement ON entry (agent, seq) WHERE seq IS NOT NULL;
CREATE INDEX entry_event ON entry (kind, idx) WHERE kind NOT IN ('round', 'gap');

CREATE TABLE tile (
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    hashes BLOB    NOT NULL,            -- 1 to 256 hashes; a wider one replaces a narrower one of the same beginning
    PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE head (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    size       INTEGER NOT NULL,
    root       BLOB    NOT NULL
) STRICT;

-- What entries commit to. May be erased by a decision; every proof stays valid.
CREATE TABLE payload (
    idx  INTEGER PRIMARY KEY,           -- entry.idx
    base INTEGER,                       -- entry whose payload is the dictionary, or NULL
    body BLOB    NOT NULL               -- zstd
) STRICT;
CREATE TABLE other_envelope (           -- the second of two forked statements, and refused ones
    pae      BLOB PRIMARY KEY,
    envelope BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE disclosure (
    digest BLOB PRIMARY KEY,            -- SHA-256 of the text
    probe  TEXT NOT NULL,
    body   BLOB NOT NULL                -- zstd of the text
) STRICT, WITHOUT ROWID;
CREATE TABLE bundle (
    digest        BLOB    PRIMARY KEY,  -- SHA-256 of its bytes
    version       INTEGER NOT NULL UNIQUE,
    envelope      BLOB    NOT NULL,     -- DSSE file
    activated_idx INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
