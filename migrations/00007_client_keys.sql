-- +goose Up
-- A credential has a secret, or public keys: a JSON Web Key Set. An old node takes one without a secret for one whose secret is wrong.
ALTER TABLE credential
    ALTER secret_hash DROP NOT NULL,
    ADD COLUMN keys jsonb,
    -- With which it signs requests, and which mutations take a signed request. An old node asks for no signature.
    ADD COLUMN request_keys jsonb,
    ADD COLUMN signed_mutations text[] NOT NULL DEFAULT '{}';

-- What a client may use once, by its hash, until it has ended anyway: the identifiers of what it signs.
CREATE TABLE used_once (
    client_id  text        NOT NULL,
    value      bytea       NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, value)
);
CREATE INDEX used_once_ended ON used_once (expires_at);
GRANT SELECT, INSERT, DELETE ON used_once TO paygraph_runtime;
