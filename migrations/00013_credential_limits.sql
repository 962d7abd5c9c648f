-- +goose Up
-- How much a credential's client may ask for: an object of numbers. Null, and what is not in it: the defaults. An old node has no limits of this kind.
ALTER TABLE credential ADD COLUMN limits jsonb;
