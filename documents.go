package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/transport"
)

type documentsCommand struct {
	Upload documentsUpload `cmd:"" help:"Trust the documents of a manifest: Apollo's, or Relay's object of texts by their identifiers."`
	List   documentsList   `cmd:"" help:"List the documents that a merchant trusts, or has trusted."`
	Retire documentsRetire `cmd:"" help:"Trust documents no more. Where they are run by their text or their name, they are refused within seconds."`
}

type documentsUpload struct {
	File     string      `arg:"" type:"existingfile" help:"The manifest, as JSON."`
	Merchant merchant.ID `required:"" help:"Whose clients send these documents." placeholder:"ID"`
}

// Run takes all documents of a manifest, or none: each one that the schema, or a limit of requests, does not allow is named with its place.
func (c documentsUpload) Run(ctx context.Context, a *app) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	documents, err := merchant.ParseManifest(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if err := checkDocuments(documents); err != nil {
		return err
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		added, err := admin.TrustDocuments(ctx, c.Merchant, documents)
		if err != nil {
			return ofMerchant(c.Merchant, err)
		}
		_, err = fmt.Fprintf(a.stdout, "%d documents are trusted, %d of them from within %s on.\n", len(documents), added, transport.TrustedAge)
		return err
	})
}

// checkDocuments says of each document that may not be run why, and where.
func checkDocuments(documents []merchant.Document) error {
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	var mistakes []error
	for _, d := range documents {
		for _, mistake := range transport.CheckDocument(schema, d.Text) {
			place := d.ID
			if d.Name != "" {
				place = d.Name + " (" + d.ID + ")"
			}
			for _, at := range mistake.Locations {
				place += fmt.Sprintf(", line %d, column %d", at.Line, at.Column)
			}
			mistakes = append(mistakes, fmt.Errorf("%s: %s", place, mistake.Message))
		}
	}
	return errors.Join(mistakes...)
}

type documentsList struct {
	Merchant merchant.ID `required:"" help:"Whose." placeholder:"ID"`
	JSON     bool        `help:"Print JSON, with the texts."`
}

// Run prints a merchant's documents, by their identifiers.
func (c documentsList) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		all, err := admin.Documents(ctx, c.Merchant)
		if err != nil {
			return ofMerchant(c.Merchant, err)
		}
		shown, lines := make([]documentJSON, len(all)), ""
		for i, d := range all {
			shown[i] = documentJSON{d.ID, merchant.DocumentIDOf(d.Text), d.Name, d.Text, d.CreatedAt.UTC(), d.RetiredAt}
			state := "trusted"
			if d.RetiredAt != nil {
				state = "retired"
			}
			lines += fmt.Sprintf("%s  %s  %s  %s\n", d.ID, d.CreatedAt.UTC().Format(time.DateOnly), state, d.Name)
		}
		return show(a.stdout, c.JSON, shown, "%s", lines)
	})
}

type documentJSON struct {
	ID        string     `json:"id"`
	Hash      string     `json:"hash"`
	Name      string     `json:"name"`
	Text      string     `json:"text"`
	CreatedAt time.Time  `json:"createdAt"`
	RetiredAt *time.Time `json:"retiredAt,omitempty"`
}

type documentsRetire struct {
	Merchant merchant.ID `required:"" help:"Whose." placeholder:"ID"`
	IDs      []string    `arg:"" name:"id" help:"The documents' identifiers, as list prints them."`
}

// Run retires documents, all or none.
func (c documentsRetire) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.RetireDocuments(ctx, c.Merchant, c.IDs); err != nil {
			return ofMerchant(c.Merchant, err)
		}
		_, err := fmt.Fprintf(a.stdout, "Within %s nobody trusts %s.\n", transport.TrustedAge, strings.Join(c.IDs, " "))
		return err
	})
}

// ofMerchant says to people which merchant there is not.
func ofMerchant(m merchant.ID, err error) error {
	if errors.Is(err, store.ErrNoMerchant) {
		return fmt.Errorf("there is no merchant %s", m)
	}
	return err
}

type credentialDocuments struct {
	ClientID string         `arg:"" help:"The credential's client id."`
	Which    auth.Documents `arg:"" enum:"any,log,only" help:"any; log: any, and those that are not trusted are in the log; only: those that are trusted."`
}

// Run says which documents a credential's clients may run, and the customers' sessions that it makes.
func (c credentialDocuments) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.SetCredentialDocuments(ctx, c.ClientID, c.Which); err != nil {
			return ofCredential(c.ClientID, err)
		}
		_, err := fmt.Fprintf(a.stdout, "Within %s the documents of %s are: %s.\n", auth.CredentialAge, c.ClientID, c.Which)
		return err
	})
}
