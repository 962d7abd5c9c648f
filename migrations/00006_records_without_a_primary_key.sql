-- +goose Up
-- Keys are found by their places (00005), of which no two are the same. Nothing has looked a record up by its primary key since.
ALTER TABLE idempotency DROP CONSTRAINT idempotency_pkey;
