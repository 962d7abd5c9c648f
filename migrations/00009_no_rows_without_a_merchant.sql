-- +goose NO TRANSACTION
-- +goose Up
-- Each serving session names its merchant since 00008; one that does not gets an error. Each table by itself, as there.
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{head,customer,account,balance,payment,hold,capture,refund,reversal,timer,entry,event,idempotency}'::text[] LOOP
        EXECUTE format($q$ALTER POLICY merchant ON %I USING (merchant_id = current_setting('paygraph.merchant')::uuid)$q$, name);
        COMMIT;
    END LOOP;
END
$$;
-- +goose StatementEnd
