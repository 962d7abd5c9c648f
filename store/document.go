package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"

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
	var ids, names, texts pq.StringArray
	var hashes pq.ByteaArray
	for _, d := range documents {
		ids, hashes, names, texts = append(ids, d.ID), append(hashes, d.Hash()), append(names, d.Name), append(texts, d.Text)
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	var taken sql.NullString
	err = tx.QueryRowContext(ctx, `WITH given AS (SELECT DISTINCT ON (id) id, hash, name, text
				FROM unnest($2::text[], $3::bytea[], $4::text[], $5::text[]) AS u (id, hash, name, text)),
			known AS (SELECT g.id FROM given g JOIN document d ON d.merchant_id = $1 AND d.id = g.id WHERE d.retired_at IS NULL),
			added AS (INSERT INTO document (merchant_id, id, hash, name, text, created_at)
				SELECT $1, id, hash, name, text, clock_timestamp() FROM given
				ON CONFLICT (merchant_id, id) DO UPDATE SET retired_at = NULL WHERE document.merchant_id = $1 AND document.hash = excluded.hash RETURNING id)
		SELECT (SELECT min(g.id) FROM given g WHERE NOT EXISTS (SELECT FROM added a WHERE a.id = g.id)),
			(SELECT count(*) FROM given) - (SELECT count(*) FROM known)`,
		id, ids, hashes, names, texts).Scan(&taken, &added)
	switch {
	case err != nil:
		return 0, err
	case taken.Valid:
		return 0, fmt.Errorf("%w: %s", ErrDocumentTaken, taken.String)
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
	var unknown sql.NullString
	err = tx.QueryRowContext(ctx, `WITH retired AS (UPDATE document d SET retired_at = clock_timestamp()
			WHERE d.merchant_id = $1 AND d.id = ANY($2::text[]) AND d.retired_at IS NULL RETURNING d.id)
		SELECT min(u.id) FROM unnest($2::text[]) AS u (id) WHERE NOT EXISTS (SELECT FROM retired r WHERE r.id = u.id)`,
		id, pq.StringArray(ids)).Scan(&unknown)
	switch {
	case err != nil:
		return err
	case unknown.Valid:
		return fmt.Errorf("%w: %s", ErrNoDocument, unknown.String)
	}
	return tx.Commit()
}

// Document is the text of a document that a merchant trusts, by its identifier or by its hash; empty: there is none.
func (r Reads) Document(ctx context.Context, m merchant.ID, name string) (text string, err error) {
	err = r.query(ctx, m, `SELECT d.text FROM document d WHERE d.merchant_id = $1 AND d.id = $2 AND d.retired_at IS NULL
		UNION ALL SELECT d.text FROM document d WHERE d.merchant_id = $1 AND d.hash = $3 AND d.retired_at IS NULL LIMIT 1`,
		func(scan scanner) error { return scan(&text) }, name, merchant.DocumentHash(name))
	return text, err
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
