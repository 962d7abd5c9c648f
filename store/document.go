package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/merchant"
)

// ErrDocumentTaken says that an identifier stands for another document already, trusted or retired.
var ErrDocumentTaken = errors.New("this identifier stands for another document")

// TrustDocuments adds documents to those that a merchant trusts, all or none, and returns how many were not trusted before. Errors: ErrNoMerchant,
// ErrDocumentTaken.
func (a *Admin) TrustDocuments(ctx context.Context, m merchant.ID, documents []merchant.Document) (added int, err error) {
	id, err := a.merchantID(ctx, m)
	if err != nil {
		return 0, err
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	for _, d := range documents {
		var trusted bool
		var same sql.NullBool
		err := tx.QueryRowContext(ctx, `WITH known AS (SELECT hash, retired_at FROM document WHERE merchant_id = $1 AND id = $2),
			added AS (INSERT INTO document AS d (merchant_id, id, hash, name, text, created_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (merchant_id, id) DO UPDATE SET retired_at = NULL WHERE d.merchant_id = $1 AND d.hash = $3 RETURNING true)
			SELECT (SELECT hash = $3 FROM known), COALESCE((SELECT retired_at IS NULL FROM known), false)`,
			id, d.ID, d.Hash(), d.Name, d.Text, d.CreatedAt).Scan(&same, &trusted)
		if err != nil {
			return 0, err
		}
		if same.Valid && !same.Bool {
			return 0, fmt.Errorf("%w: %s", ErrDocumentTaken, d.ID)
		}
		if !trusted {
			added++
		}
	}
	return added, tx.Commit()
}

// merchantID is a merchant's identifier as it is stored. Error: ErrNoMerchant.
func (a *Admin) merchantID(ctx context.Context, m merchant.ID) (string, error) {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		return "", ErrNoMerchant
	}
	var there bool
	err = a.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM merchant WHERE id = $1)`, id.String()).Scan(&there)
	if err == nil && !there {
		err = ErrNoMerchant
	}
	return id.String(), err
}

// Documents lists the documents that a merchant trusts, or has trusted, by their identifiers. Error: ErrNoMerchant.
func (a *Admin) Documents(ctx context.Context, m merchant.ID) ([]merchant.Document, error) {
	id, err := a.merchantID(ctx, m)
	if err != nil {
		return nil, err
	}
	rows, err := a.db.QueryContext(ctx, `SELECT id, name, text, created_at, retired_at FROM document WHERE merchant_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []merchant.Document
	for rows.Next() {
		var d merchant.Document
		if err := rows.Scan(&d.ID, &d.Name, &d.Text, &d.CreatedAt, &d.RetiredAt); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// ErrNoDocument says that a merchant trusts no document with this identifier.
var ErrNoDocument = errors.New("there is no such document")

// RetireDocuments has documents trusted no more, all or none. Errors: ErrNoMerchant, ErrNoDocument.
func (a *Admin) RetireDocuments(ctx context.Context, m merchant.ID, ids []string) error {
	id, err := a.merchantID(ctx, m)
	if err != nil {
		return err
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, name := range ids {
		result, err := tx.ExecContext(ctx, `UPDATE document SET retired_at = $3 WHERE merchant_id = $1 AND id = $2 AND retired_at IS NULL`,
			id, name, time.Now())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("%w: %s", ErrNoDocument, name), err)
		}
	}
	return tx.Commit()
}

// Document is the text of a document that a merchant trusts, by its identifier or by its hash; empty: there is none.
func (s *Store) Document(ctx context.Context, m merchant.ID, name string) (text string, err error) {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		return "", nil
	}
	err = s.readers.QueryRowContext(ctx, `SELECT text FROM document WHERE merchant_id = $1 AND id = $2 AND retired_at IS NULL
		UNION ALL SELECT text FROM document WHERE merchant_id = $1 AND hash = $3 AND retired_at IS NULL LIMIT 1`,
		id.String(), name, merchant.DocumentHash(name)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return text, trouble(err)
}

// SetCredentialDocuments says which documents a credential's clients may run. It counts within auth.CredentialAge. Error: auth.ErrUnknownCredential.
func (a *Admin) SetCredentialDocuments(ctx context.Context, clientID string, which auth.Documents) error {
	result, err := a.db.ExecContext(ctx, `UPDATE credential SET documents = $2 WHERE client_id = $1`, clientID, string(which))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(auth.ErrUnknownCredential, err)
	}
	return nil
}
