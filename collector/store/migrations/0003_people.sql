-- What is no evidence: accounts, sessions, enrolment tokens and names. Not in the ledger, not rebuilt from it.
CREATE TABLE account (
    id       TEXT    PRIMARY KEY,       -- UUID; stands in decisions instead of the name
    name     TEXT    NOT NULL UNIQUE,
    password TEXT,                      -- argon2id PHC string; NULL until one was set
    role     TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    disabled INTEGER
) STRICT;
CREATE TABLE session (
    token   BLOB    PRIMARY KEY,        -- SHA-256 of the cookie
    account TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sign_in_link (
    token   BLOB    PRIMARY KEY,        -- SHA-256 of the secret in the link
    account TEXT    NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolment_token (
    id      TEXT    PRIMARY KEY,        -- shown in entries and lists
    digest  BLOB    NOT NULL UNIQUE,    -- SHA-256 of the secret
    grp     TEXT    NOT NULL,
    uses    INTEGER NOT NULL,           -- left
    expires INTEGER NOT NULL,
    created INTEGER NOT NULL,
    by      TEXT    NOT NULL,
    revoked INTEGER
) STRICT;
CREATE TABLE host_hint (                -- what helps people recognise a host; never identifies it
    agent    BLOB PRIMARY KEY,
    hostname TEXT NOT NULL,
    os       TEXT NOT NULL,
    machine  BLOB
) STRICT, WITHOUT ROWID;
