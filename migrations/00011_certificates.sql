-- +goose Up
-- What the nodes have from a certificate authority, sealed: certificates with their keys, the account's key, answers to challenges. Who has reserved a name asks
-- the authority for it, and nobody else until then.
CREATE TABLE certificate (
    name           text        NOT NULL PRIMARY KEY,
    value          bytea,      -- null: nothing yet
    reserved_by    text,
    reserved_until timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON certificate TO paygraph_runtime;
