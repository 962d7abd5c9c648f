-- +goose Up
-- Keys are found by their places (00005), of which no two are the same. Nothing has looked a record up by its primary key since.
ALTER TABLE idempotency DROP CONSTRAINT idempotency_pkey;
-- No index names a record for those who replicate the table by rows, or move it to another node. The gateway neither updates nor deletes records.
ALTER TABLE idempotency REPLICA IDENTITY FULL;
