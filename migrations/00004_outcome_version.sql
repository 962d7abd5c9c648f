-- +goose Up
-- The version that the object of a request had when it was done: what a replay shows may have changed since. Null for refusals, and for records
-- of before (docs/decisions/023).

ALTER TABLE idempotency ADD COLUMN outcome_version integer;
ALTER TABLE idempotency ALTER outcome_version SET STATISTICS 0;
