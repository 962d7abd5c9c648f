package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/store/connector"
)

// Admin changes reference data as the owner of the database: merchants and credentials. The serving process has none.
type Admin struct {
	db *sql.DB
}

// OpenAdmin connects as the owner.
func OpenAdmin(dsn string) (*Admin, error) {
	db, err := connector.Open(dsn, connector.Options{Settings: map[string]string{"application_name": "paygraph admin"}})
	if err != nil {
		return nil, err
	}
	return &Admin{db}, nil
}

// Close disconnects.
func (a *Admin) Close() error { return a.db.Close() }

// CreateMerchant adds a merchant with an empty log.
func (a *Admin) CreateMerchant(ctx context.Context, name string) (*merchant.Merchant, error) {
	b := batch{t: time.Now().UTC().Truncate(time.Microsecond)}
	m := &merchant.Merchant{ID: merchant.ID(b.NewID(answer.MerchantPrefix)), Name: name, CreatedAt: b.t}
	genesis := event.Genesis(m.ID)
	_, err := a.db.ExecContext(ctx, `WITH m AS (INSERT INTO merchant (id, name, created_at) VALUES ($1, $2, $3))
		INSERT INTO head (merchant_id, sequence, hash, at, stamp) VALUES ($1, 0, $4, $3, 0)`,
		uuidOf(m.ID), name, m.CreatedAt, genesis[:])
	return m, err
}

// Merchants lists all merchants, the oldest first.
func (a *Admin) Merchants(ctx context.Context) ([]*merchant.Merchant, error) {
	rows, err := a.db.QueryContext(ctx, `SELECT id, name, created_at FROM merchant ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []*merchant.Merchant
	for rows.Next() {
		m, err := scanMerchant(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

func scanMerchant(scan scanner) (*merchant.Merchant, error) {
	var m merchant.Merchant
	var id answer.UUID
	err := scan(&id, &m.Name, &m.CreatedAt)
	m.ID = merchant.ID(answer.Encode(answer.MerchantPrefix, id))
	m.CreatedAt = m.CreatedAt.UTC()
	return &m, err
}

// ErrNoMerchant says that there is no merchant with this identifier.
var ErrNoMerchant = errors.New("there is no such merchant")

// SetFeePlan says what a merchant is charged from the next commit on; nil charges nothing. Errors: ErrNoMerchant, payment.ErrFeePlan.
func (a *Admin) SetFeePlan(ctx context.Context, m merchant.ID, currency money.Currency, plan *payment.FeePlan) error {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		return ErrNoMerchant
	}
	var text []byte
	if plan != nil {
		if err := plan.Check(); err != nil {
			return err
		}
		text, _ = json.Marshal(plan) // two numbers
	}
	result, err := a.db.ExecContext(ctx, `UPDATE head SET stamp = $4, fee_plans = CASE WHEN $3::jsonb IS NULL THEN fee_plans - $2
		ELSE jsonb_set(COALESCE(fee_plans, '{}'), ARRAY[$2], $3::jsonb) END WHERE merchant_id = $1`,
		id.String(), string(currency), sql.NullString{String: string(text), Valid: text != nil}, mathrand.Int64())
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrNoMerchant, err)
	}
	return nil
}

// CreateCredential adds a credential. Errors: ErrNoMerchant, ErrClientIDTaken, quota.ErrLimits.
func (a *Admin) CreateCredential(ctx context.Context, c auth.Credential) error {
	id, err := answer.Decode(answer.MerchantPrefix, string(c.Merchant))
	if err != nil {
		return ErrNoMerchant
	}
	scopes := make([]string, len(c.Scopes))
	for i, s := range c.Scopes {
		scopes[i] = string(s)
	}
	keys, err := keysValue(c.Keys)
	if err != nil {
		return err
	}
	limits, err := limitsValue(c.Quota)
	if err != nil {
		return err
	}
	_, err = a.db.ExecContext(ctx, `INSERT INTO credential (client_id, merchant_id, name, secret_hash, keys, scopes, created_at, limits)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, c.ClientID, id.String(), c.Name, sql.Null[[]byte]{V: c.SecretHash, Valid: c.SecretHash != nil}, keys,
		pq.Array(scopes), c.CreatedAt, limits)
	var answered *pq.Error
	if errors.As(err, &answered) {
		switch answered.Code.Name() {
		case "foreign_key_violation":
			return ErrNoMerchant
		case "unique_violation":
			return fmt.Errorf("%w: %s", ErrClientIDTaken, c.ClientID)
		}
	}
	return err
}

// keysValue is what is stored of a credential's keys: null where there are none.
func keysValue(keys auth.ClientKeys) (value sql.NullString, err error) {
	if keys.Empty() {
		return value, nil
	}
	text, err := json.Marshal(keys)
	return sql.NullString{String: string(text), Valid: true}, err
}

// limitsValue is what is stored of a credential's limits: null where all are the defaults. Error: quota.ErrLimits.
func limitsValue(l quota.Limits) (value sql.NullString, err error) {
	if l == (quota.Limits{}) {
		return value, nil
	}
	if err := l.Check(); err != nil {
		return value, err
	}
	text, err := json.Marshal(l)
	return sql.NullString{String: string(text), Valid: true}, err
}

// SetCredentialLimits changes how much a credential's client may ask for; what is zero is the default from now on. It counts within auth.CredentialAge.
// Errors: auth.ErrUnknownCredential, quota.ErrLimits.
func (a *Admin) SetCredentialLimits(ctx context.Context, clientID string, l quota.Limits) error {
	value, err := limitsValue(l)
	if err != nil {
		return err
	}
	result, err := a.db.ExecContext(ctx, `UPDATE credential SET limits = $2 WHERE client_id = $1`, clientID, value)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(auth.ErrUnknownCredential, err)
	}
	return nil
}

// SetCredentialKeys changes the keys of a credential that has some: what its client signs with others is refused from the next token on. Errors:
// auth.ErrUnknownCredential, ErrHasSecret.
func (a *Admin) SetCredentialKeys(ctx context.Context, clientID string, keys auth.ClientKeys) error {
	value, err := keysValue(keys)
	if err != nil {
		return err
	}
	var hasSecret bool
	err = a.db.QueryRowContext(ctx, `UPDATE credential SET keys = CASE WHEN secret_hash IS NULL THEN $2::jsonb ELSE keys END WHERE client_id = $1
		RETURNING secret_hash IS NOT NULL`, clientID, value).Scan(&hasSecret)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.ErrUnknownCredential
	case hasSecret:
		return ErrHasSecret
	}
	return err
}

// ChangeSigning changes with which keys a credential's client signs requests, and which mutations take a signed request. It counts within
// auth.CredentialAge. Errors: auth.ErrUnknownCredential, or change's, with which nothing is changed.
func (a *Admin) ChangeSigning(ctx context.Context, clientID string, change func(*auth.Signing) error) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var s auth.Signing
	var text []byte
	err = tx.QueryRowContext(ctx, `SELECT request_keys, signed_mutations FROM credential WHERE client_id = $1 FOR UPDATE`, clientID).
		Scan(&text, (*pq.StringArray)(&s.Mutations))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.ErrUnknownCredential
	case err == nil && text != nil:
		err = json.Unmarshal(text, &s.Keys)
	}
	if err != nil {
		return err
	}
	if err := change(&s); err != nil {
		return err
	}
	if text, err = json.Marshal(s.Keys); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE credential SET request_keys = $2, signed_mutations = $3 WHERE client_id = $1`,
		clientID, sql.NullString{String: string(text), Valid: len(s.Keys) > 0}, pq.Array(append([]string{}, s.Mutations...)))
	if err != nil {
		return err
	}
	return tx.Commit()
}

// ErrHasSecret says that a credential's client shows a secret, and not what it has signed.
var ErrHasSecret = errors.New("this credential has a secret")

// ErrClientIDTaken says that a credential with this client id exists, perhaps of another merchant.
var ErrClientIDTaken = errors.New("this client id is taken")

// RevokeCredential ends a credential; again does nothing more. Tokens that were issued end within auth.CredentialAge. Error:
// auth.ErrUnknownCredential.
func (a *Admin) RevokeCredential(ctx context.Context, clientID string) error {
	result, err := a.db.ExecContext(ctx, `UPDATE credential SET revoked_at = COALESCE(revoked_at, clock_timestamp())
		WHERE client_id = $1`, clientID)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(auth.ErrUnknownCredential, err)
	}
	return nil
}

// Credential finds a credential by its client id. Error: auth.ErrUnknownCredential.
func (s *Store) Credential(ctx context.Context, clientID string) (auth.Credential, error) {
	c := auth.Credential{ClientID: clientID}
	var id answer.UUID
	var scopes pq.StringArray
	var keys, requestKeys, limits []byte
	err := s.readers.QueryRowContext(ctx, `SELECT merchant_id, name, secret_hash, keys, scopes, created_at, revoked_at, request_keys,
		signed_mutations, documents, limits FROM credential WHERE client_id = $1`, clientID).Scan(&id, &c.Name, &c.SecretHash, &keys, &scopes, &c.CreatedAt,
		&c.RevokedAt, &requestKeys, (*pq.StringArray)(&c.Signing.Mutations), &c.Documents, &limits)
	if errors.Is(err, sql.ErrNoRows) {
		return c, auth.ErrUnknownCredential
	}
	if keys != nil && err == nil {
		c.Keys, err = auth.ParseClientKeys(keys)
	}
	if requestKeys != nil && err == nil {
		err = json.Unmarshal(requestKeys, &c.Signing.Keys)
	}
	if limits != nil && err == nil {
		err = json.Unmarshal(limits, &c.Quota)
	}
	c.Merchant = merchant.ID(answer.Encode(answer.MerchantPrefix, id))
	for _, scope := range scopes {
		c.Scopes = append(c.Scopes, auth.Scope(scope))
	}
	return c, trouble(err)
}

// SigningKeys are all keys that sign tokens, the newest first.
func (a *Admin) SigningKeys(ctx context.Context) ([]auth.SigningKey, error) {
	return Reads{source: pooled{a.db}}.SigningKeys(ctx)
}

// SigningKeys are all keys that sign tokens, the newest first.
func (r Reads) SigningKeys(ctx context.Context) ([]auth.SigningKey, error) {
	var keys []auth.SigningKey
	err := r.queryShared(ctx, `SELECT id, previous, format, private_key, created_at FROM signing_key ORDER BY created_at DESC, id`,
		func(scan scanner) error {
			var k auth.SigningKey
			err := scan(&k.ID, &k.Previous, &k.Format, &k.Private, &k.CreatedAt)
			keys = append(keys, k)
			return err
		})
	return keys, err
}

// AddSigningKey adds a key, unless another one already follows the same previous key.
func (a *Admin) AddSigningKey(ctx context.Context, k auth.SigningKey) error {
	return addSigningKey(ctx, a.db, k)
}

// AddSigningKey adds a key, unless another one already follows the same previous key.
func (s *Store) AddSigningKey(ctx context.Context, k auth.SigningKey) error {
	return addSigningKey(ctx, s.writers, k)
}

func addSigningKey(ctx context.Context, db *sql.DB, k auth.SigningKey) error {
	_, err := db.ExecContext(ctx, `INSERT INTO signing_key (id, previous, format, private_key, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (previous) DO NOTHING`, k.ID, k.Previous, k.Format, k.Private, k.CreatedAt)
	return err
}
