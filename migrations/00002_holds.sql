-- +goose Up
-- Holds: money that is set aside and has not moved. Everything is added, so that a version that knows no holds goes on working beside this one
-- (docs/decisions/020). What most rows do not need is null there, and takes no room.

-- 0 where it is null. Without a CHECK, which every payment would read from its text (docs/decisions/017).
ALTER TABLE balance
    ADD COLUMN debits_pending  bigint,
    ADD COLUMN credits_pending bigint;

ALTER TABLE entry
    ADD COLUMN pending         bigint, -- on the entry's side: set aside, or below zero free again; null: 0
    ADD COLUMN available_after bigint, -- null: as posted_after
    ADD COLUMN hold_id         uuid;   -- the hold that it makes or ends
-- An entry of a hold posts nothing. Rows that are there have passed a stricter check: the table need not be read again.
ALTER TABLE entry DROP CONSTRAINT entry_posted_check;
ALTER TABLE entry ADD CONSTRAINT entry_posted_check CHECK (posted >= 0) NOT VALID;
ALTER TABLE entry ALTER pending SET STATISTICS 0, ALTER available_after SET STATISTICS 0, ALTER hold_id SET STATISTICS 0;

-- A hold has the UUID of the transaction that made it. It changes once, when it ends.
CREATE TABLE hold (
    merchant_id        uuid        NOT NULL,
    id                 uuid        NOT NULL,
    account_id         uuid        NOT NULL, -- is debited where it is posted
    counter_account_id uuid        NOT NULL, -- is credited
    amount             bigint      NOT NULL CHECK (amount > 0),
    posted             bigint      NOT NULL CHECK (posted >= 0), -- of the amount, once it has ended
    created_at         timestamptz NOT NULL,
    ended_at           timestamptz,
    ended_by           uuid,                 -- the transaction
    currency           text        NOT NULL,
    payment_id         uuid,
    reference          text,
    salt               bytea,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX hold_open ON hold (merchant_id, account_id, id) WHERE ended_at IS NULL;

-- +goose StatementBegin
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT attname AS name,
            EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND attnum = ANY (indkey)) AS is_key
        FROM pg_attribute
        WHERE attrelid = 'hold'::regclass AND attnum > 0
    LOOP
        EXECUTE format('ALTER TABLE hold ALTER %I SET STATISTICS %s', c.name, CASE WHEN c.is_key THEN 10 ELSE 0 END);
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE ON hold TO paygraph_runtime;
