-- +goose Up
-- Documents that merchants trust their clients to run, and which of them a credential's clients may run: any, any with those that are not trusted in the log, or only
-- these. An old node runs any.
CREATE TABLE document (
    merchant_id uuid        NOT NULL REFERENCES merchant (id),
    id          text        NOT NULL,
    hash        bytea       NOT NULL, -- SHA-256 of the text
    name        text        NOT NULL,
    text        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    retired_at  timestamptz,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX document_hash ON document (merchant_id, hash);
GRANT SELECT ON document TO paygraph_runtime;
CREATE POLICY merchant ON document TO paygraph_runtime USING (merchant_id = current_setting('paygraph.merchant')::uuid);
ALTER TABLE document ENABLE ROW LEVEL SECURITY;

ALTER TABLE credential ADD COLUMN documents text NOT NULL DEFAULT 'any';
