-- +goose NO TRANSACTION
-- +goose Up
-- Where a key stands among its merchant's: a hash of it and of whose it is. An index of hashes is smaller than one of the keys, which clients
-- make long, and new keys fall anywhere in both: what they change of a large index costs pages, and log (docs/decisions/024). The version before
-- looks keys up by the primary key, so that it stays for now. Each statement may be run again where a migration was broken off.

-- The bytes of a text are those of its bytea where each backslash stands twice.
CREATE OR REPLACE FUNCTION idempotency_place(owner text, key text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(substring(sha256(replace(owner || chr(1) || key, '\', '\\')::bytea) FOR 16), 'hex')::uuid;
GRANT EXECUTE ON FUNCTION idempotency_place TO paygraph_runtime;

-- Payments go on while it is made. It waits for those who were there before it, and blocks nobody meanwhile. Half of one is left where that is broken off.
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS idempotency_place;
CREATE UNIQUE INDEX CONCURRENTLY idempotency_place ON idempotency (merchant_id, idempotency_place(owner, key));
RESET lock_timeout;
ALTER INDEX idempotency_place ALTER COLUMN 2 SET STATISTICS 0;
