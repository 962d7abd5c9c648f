-- +goose Up
-- The merchant is the first column of every key of a tenant's table, so that the tables can be distributed by it.
-- merchant, credential, signing_key and secret are reference data. Tables that grow with payments have no foreign keys: each would lock a
-- row for every payment, which costs more than it protects (docs/decisions/012).

CREATE TABLE merchant (
    id         uuid        NOT NULL PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE credential (
    client_id   text        NOT NULL PRIMARY KEY,
    merchant_id uuid        NOT NULL REFERENCES merchant (id),
    name        text        NOT NULL,
    secret_hash bytea       NOT NULL,
    scopes      text[]      NOT NULL,
    created_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

CREATE TABLE signing_key (
    id          text        NOT NULL PRIMARY KEY,
    previous    text        NOT NULL UNIQUE, -- the key that it follows; empty for the first
    format      text        NOT NULL,        -- how private_key is written
    private_key bytea       NOT NULL,
    created_at  timestamptz NOT NULL
);

-- Secrets that all nodes share, by purpose: one row for each.
CREATE TABLE secret (
    purpose    text        NOT NULL PRIMARY KEY,
    value      bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- The one row that whoever changes a merchant locks. No foreign key points here, so nothing else ever locks it.
CREATE TABLE head (
    merchant_id uuid        NOT NULL PRIMARY KEY REFERENCES merchant (id),
    sequence    bigint      NOT NULL, -- of the last event
    hash        bytea       NOT NULL, -- of the last event
    at          timestamptz NOT NULL, -- t of the last batch
    stamp       bigint      NOT NULL  -- a new random number with each commit: what was cached under it is current
) WITH (fillfactor = 50);

CREATE TABLE customer (
    merchant_id uuid        NOT NULL REFERENCES merchant (id),
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    reference   text,
    metadata    jsonb,
    salt        bytea,
    version     integer     NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX customer_reference ON customer (merchant_id, reference, id) WHERE reference IS NOT NULL;

-- What an account is. Its sums are in balance, a narrow table of their own.
CREATE TABLE account (
    merchant_id   uuid        NOT NULL REFERENCES merchant (id),
    id            uuid        NOT NULL,
    kind          text        NOT NULL,
    currency      text        NOT NULL,
    status        text        NOT NULL,
    status_reason text,                 -- of the last change of status
    name          text        NOT NULL,
    customer_id   uuid,
    salt          bytea,
    version       integer     NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    FOREIGN KEY (merchant_id, customer_id) REFERENCES customer (merchant_id, id)
);
CREATE INDEX account_customer ON account (merchant_id, customer_id, id) WHERE customer_id IS NOT NULL;
-- The merchant's own accounts: one a kind and currency.
CREATE UNIQUE INDEX account_inner ON account (merchant_id, kind, currency) WHERE customer_id IS NULL;

CREATE TABLE balance (
    merchant_id    uuid   NOT NULL,
    account_id     uuid   NOT NULL,
    debits_posted  bigint NOT NULL CHECK (debits_posted >= 0),
    credits_posted bigint NOT NULL CHECK (credits_posted >= 0),
    sequence       bigint NOT NULL, -- of the account's last entry
    PRIMARY KEY (merchant_id, account_id),
    FOREIGN KEY (merchant_id, account_id) REFERENCES account (merchant_id, id)
) WITH (fillfactor = 70);

CREATE TABLE payment (
    merchant_id            uuid        NOT NULL,
    id                     uuid        NOT NULL,
    status                 text        NOT NULL,
    amount                 bigint      NOT NULL CHECK (amount > 0),
    currency               text        NOT NULL,
    source_account_id      uuid,
    destination_account_id uuid,
    captured               bigint      NOT NULL,
    reference              text,
    metadata               jsonb,
    salt                   bytea,
    version                integer     NOT NULL,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX payment_reference ON payment (merchant_id, reference, id) WHERE reference IS NOT NULL;

-- A transaction is its entries, which stand next to each other in the primary key. What they have in common stands on the first leg.
-- Columns of a fixed width come first, and those that may be null last: rows are small, and read fast. A CHECK is read from its text by
-- every statement that writes the table, and so only short ones stand here, on amounts (docs/decisions/017).
CREATE TABLE entry (
    merchant_id    uuid        NOT NULL,
    transaction_id uuid        NOT NULL,
    account_id     uuid        NOT NULL,
    sequence       bigint      NOT NULL, -- 1, 2, 3 … in the account
    posted         bigint      NOT NULL CHECK (posted > 0),
    posted_after   bigint      NOT NULL,
    created_at     timestamptz NOT NULL,
    leg            smallint    NOT NULL, -- 1, 2, 3 … in the transaction
    direction      text        NOT NULL,
    currency       text        NOT NULL,
    amount         bigint CHECK (amount > 0), -- what the transaction moved
    value_date     date,
    payment_id     uuid,
    kind           text,
    reference      text,
    salt           bytea,
    PRIMARY KEY (merchant_id, transaction_id, leg)
);
CREATE UNIQUE INDEX entry_account ON entry (merchant_id, account_id, sequence);
CREATE INDEX entry_payment ON entry (merchant_id, payment_id, transaction_id) WHERE payment_id IS NOT NULL;

CREATE TABLE event (
    merchant_id    uuid        NOT NULL,
    sequence       bigint      NOT NULL, -- 1, 2, 3 … in the merchant
    id             uuid        NOT NULL,
    type           text        NOT NULL,
    object_id      uuid        NOT NULL,
    object_version integer     NOT NULL,
    schema         smallint    NOT NULL,
    payload        bytea       NOT NULL, -- the bytes that were hashed
    hash           bytea       NOT NULL,
    occurred_at    timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, sequence)
);
CREATE UNIQUE INDEX event_id ON event (merchant_id, id);
CREATE UNIQUE INDEX event_object ON event (merchant_id, object_id, object_version);

CREATE TABLE idempotency (
    merchant_id    uuid        NOT NULL,
    owner          text        NOT NULL, -- whose key it is; empty for the merchant's own
    key            text        NOT NULL,
    operation      text        NOT NULL,
    fingerprint    bytea       NOT NULL,
    object_id      text,                 -- what a success made or changed
    refusal        text,                 -- the code of the gateway's no
    refusal_values bytea,                -- JSON; not jsonb, which refuses some strings that clients may send
    result_version smallint    NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, owner, key)
);

-- What ANALYZE looks at. Statements find their rows by keys, with plans that are pinned, so that only keys need statistics, and few. With
-- PostgreSQL's own targets autovacuum sorts 30,000 payloads and hashes every few minutes: on two cores payments then wait 50 ms and more
-- for six seconds.
-- +goose StatementBegin
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT attrelid::regclass AS relation, attname AS name,
            EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND attnum = ANY (indkey)) AS is_key
        FROM pg_attribute
        WHERE attrelid = ANY ('{payment,entry,event,idempotency}'::regclass[]) AND attnum > 0
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER %I SET STATISTICS %s', c.relation, c.name, CASE WHEN c.is_key THEN 10 ELSE 0 END);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The role that serves. It may not rewrite history: no UPDATE or DELETE on entries, events and recorded keys. An owner who may not make
-- roles finds it made by somebody who may. Being a member is not enough from PostgreSQL 16 on, where who makes a role becomes a member
-- that cannot SET ROLE: so it is tried.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'paygraph_runtime') THEN
        CREATE ROLE paygraph_runtime NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of the cluster is being migrated
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
DECLARE
    owner text := current_user;
BEGIN
    SET LOCAL ROLE paygraph_runtime;
    EXECUTE format('SET LOCAL ROLE %I', owner);
EXCEPTION WHEN insufficient_privilege THEN
    EXECUTE format('GRANT paygraph_runtime TO %I', owner);
END
$$;
-- +goose StatementEnd
GRANT SELECT ON merchant, credential, signing_key, secret, head, customer, account, balance, payment, entry, event, idempotency
    TO paygraph_runtime;
GRANT INSERT ON signing_key, secret, customer, account, balance, payment, entry, event, idempotency TO paygraph_runtime;
GRANT UPDATE ON head, customer, account, balance, payment TO paygraph_runtime;
