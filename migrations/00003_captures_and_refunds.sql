-- +goose Up
-- Payments that are captured later, refunded, canceled or expire; reversed transfers; timers. Everything is added (docs/decisions/022). What
-- most payments do not need is null, and takes no room.

ALTER TABLE payment
    ADD COLUMN capture_method text,        -- null: AUTOMATIC
    ADD COLUMN authorized     bigint,      -- null: 0
    ADD COLUMN refunded       bigint,      -- null: 0
    ADD COLUMN fee            bigint,      -- null: 0
    ADD COLUMN hold_id        uuid,        -- of what is set aside
    ADD COLUMN expires_at     timestamptz; -- as long as it waits for a client
ALTER TABLE payment ALTER capture_method SET STATISTICS 0, ALTER authorized SET STATISTICS 0, ALTER refunded SET STATISTICS 0,
    ALTER fee SET STATISTICS 0, ALTER hold_id SET STATISTICS 0, ALTER expires_at SET STATISTICS 0;

-- By currency, what the merchant is charged. It is read with the lock, and who changes it makes a new stamp.
ALTER TABLE head ADD COLUMN fee_plans jsonb;

CREATE TABLE capture (
    merchant_id    uuid        NOT NULL,
    id             uuid        NOT NULL,
    payment_id     uuid        NOT NULL,
    transaction_id uuid        NOT NULL,
    amount         bigint      NOT NULL CHECK (amount > 0),
    created_at     timestamptz NOT NULL,
    final          boolean     NOT NULL,
    currency       text        NOT NULL,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX capture_payment ON capture (merchant_id, payment_id, id);

CREATE TABLE refund (
    merchant_id    uuid        NOT NULL,
    id             uuid        NOT NULL,
    payment_id     uuid        NOT NULL,
    transaction_id uuid        NOT NULL,
    amount         bigint      NOT NULL CHECK (amount > 0),
    created_at     timestamptz NOT NULL,
    currency       text        NOT NULL,
    reason         text,
    salt           bytea,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX refund_payment ON refund (merchant_id, payment_id, id);

ALTER TABLE entry ADD COLUMN reverses uuid; -- the transaction that this one undoes
ALTER TABLE entry ALTER reverses SET STATISTICS 0;

-- Who has undone a transaction. It says the same as entry.reverses: an index there would be built while nobody could pay.
CREATE TABLE reversal (
    merchant_id    uuid NOT NULL,
    transaction_id uuid NOT NULL,
    reversed_by    uuid NOT NULL,
    PRIMARY KEY (merchant_id, transaction_id)
);

-- What is to happen later. A row is written by the commit that needs it, and taken away by the one that serves it.
CREATE TABLE timer (
    merchant_id uuid        NOT NULL,
    object_id   uuid        NOT NULL,
    due_at      timestamptz NOT NULL,
    kind        text        NOT NULL,
    PRIMARY KEY (merchant_id, object_id, kind, due_at)
);
CREATE INDEX timer_due ON timer (due_at);
-- Millions may be due at once: what was served is cleaned up before much of it has to be skipped.
ALTER TABLE timer SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- +goose StatementBegin
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT attrelid::regclass AS relation, attname AS name,
            EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND attnum = ANY (indkey)) AS is_key
        FROM pg_attribute
        WHERE attrelid = ANY ('{capture,refund,reversal,timer}'::regclass[]) AND attnum > 0
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER %I SET STATISTICS %s', c.relation, c.name, CASE WHEN c.is_key THEN 10 ELSE 0 END);
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT, INSERT ON capture, refund, reversal, timer TO paygraph_runtime;
GRANT DELETE ON timer TO paygraph_runtime;
