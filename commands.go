package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/embedded"
)

const (
	// databasePatience is how long a start waits for a database that does not answer yet.
	databasePatience = 10 * time.Second
	databaseAgain    = 250 * time.Millisecond
	// clusterStop is what the gateway's own database may take to shut down before it is ended at once.
	clusterStop = 15 * time.Second
)

type migrateCommand struct{}

// Run brings the database up to date.
func (migrateCommand) Run(ctx context.Context, a *app) error {
	dsn, stop, err := a.database(ctx)
	if err != nil {
		return err
	}
	defer stop()
	_, err = fmt.Fprintln(a.stdout, "The database is up to date.")
	return errors.Join(a.migrate(ctx, dsn), err)
}

type merchantCommand struct {
	Create merchantCreate `cmd:"" help:"Add a merchant."`
	List   merchantList   `cmd:"" help:"List the merchants, the oldest first."`
}

type merchantCreate struct {
	Name string `arg:"" help:"What the merchant is called."`
	JSON bool   `help:"Print JSON."`
}

// Run adds a merchant and prints it.
func (c merchantCreate) Run(ctx context.Context, a *app) error {
	if err := checkName("a merchant's name", c.Name); err != nil || c.Name == "" {
		return errors.Join(err, missing(c.Name == "", "say what the merchant is called"))
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		m, err := admin.CreateMerchant(ctx, c.Name)
		if err != nil {
			return err
		}
		return show(a.stdout, c.JSON, shownMerchant(m), "%s  %s\n", m.ID, m.Name)
	})
}

type merchantList struct {
	JSON bool `help:"Print JSON."`
}

// Run prints all merchants.
func (c merchantList) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		all, err := admin.Merchants(ctx)
		if err != nil {
			return err
		}
		shown, lines := make([]merchantJSON, len(all)), ""
		for i, m := range all {
			shown[i] = shownMerchant(m)
			lines += fmt.Sprintf("%s  %s  %s\n", m.ID, m.CreatedAt.Format(time.DateOnly), m.Name)
		}
		return show(a.stdout, c.JSON, shown, "%s", lines)
	})
}

type credentialCommand struct {
	Create credentialCreate `cmd:"" help:"Add a credential to a merchant. Its secret is shown once."`
	Revoke credentialRevoke `cmd:"" help:"End a credential: it gets no more tokens."`
}

type credentialCreate struct {
	Merchant merchant.ID `required:"" help:"Whose backend it is for." placeholder:"ID"`
	Name     string      `help:"What it is for, for people."`
	Scope    []string    `help:"A scope that its tokens may have; can be given again. Without any: all of them."`
	JSON     bool        `help:"Print JSON."`
}

// Run adds a credential and prints it with its secret. Both client id and secret are made here: nobody can choose a weak one.
func (c credentialCreate) Run(ctx context.Context, a *app) error {
	scopes := auth.AllScopes
	if len(c.Scope) > 0 {
		known := false
		if scopes, known = auth.ParseScopes(strings.Join(c.Scope, " ")); !known {
			return fmt.Errorf("there is a scope among %s that does not exist: the scopes are %s", strings.Join(c.Scope, ", "), auth.AllScopes)
		}
	}
	if err := checkName("a credential's name", c.Name); err != nil {
		return err
	}
	secret, hash := auth.NewSecret()
	made := auth.Credential{
		ClientID: "pgc_" + strings.ToLower(rand.Text()), Merchant: c.Merchant, SecretHash: hash, Scopes: scopes,
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond), Name: c.Name,
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.CreateCredential(ctx, made); errors.Is(err, store.ErrNoMerchant) {
			return fmt.Errorf("there is no merchant %s", c.Merchant)
		} else if err != nil {
			return err
		}
		return show(a.stdout, c.JSON, credentialJSON{made.ClientID, secret, c.Merchant, c.Name, scopes, made.CreatedAt},
			"client id      %s\nclient secret  %s  (it is not shown again)\nscopes         %s\n", made.ClientID, secret, scopes)
	})
}

type credentialRevoke struct {
	ClientID string `arg:"" help:"The credential's client id."`
}

// Run ends a credential.
func (c credentialRevoke) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.RevokeCredential(ctx, c.ClientID); errors.Is(err, auth.ErrUnknownCredential) {
			return fmt.Errorf("there is no credential %s", c.ClientID)
		} else if err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "%s gets no more tokens; those that it has are good until they end.\n", c.ClientID)
		return err
	})
}

type merchantJSON struct {
	ID        merchant.ID `json:"id"`
	Name      string      `json:"name"`
	CreatedAt time.Time   `json:"createdAt"`
}

func shownMerchant(m *merchant.Merchant) merchantJSON { return merchantJSON{m.ID, m.Name, m.CreatedAt} }

type credentialJSON struct {
	ClientID     string      `json:"clientId"`
	ClientSecret string      `json:"clientSecret"`
	MerchantID   merchant.ID `json:"merchantId"`
	Name         string      `json:"name"`
	Scopes       auth.Scopes `json:"scopes"`
	CreatedAt    time.Time   `json:"createdAt"`
}

// show prints a result as JSON, or as text.
func show(to io.Writer, asJSON bool, value any, format string, args ...any) error {
	if asJSON {
		return json.NewEncoder(to).Encode(value)
	}
	_, err := fmt.Fprintf(to, format, args...)
	return err
}

// checkName checks a text before it comes near the database.
func checkName(what, text string) error {
	return errors.Join(
		missing(!utf8.ValidString(text) || strings.ContainsRune(text, 0), what+" must be UTF-8 without NUL"),
		missing(utf8.RuneCountInString(text) > answer.MaxNameLength, fmt.Sprintf("%s has at most %d characters", what, answer.MaxNameLength)),
	)
}

func missing(is bool, sentence string) error {
	if is {
		return errors.New(sentence)
	}
	return nil
}

// administer runs a command on the database's reference data, as its owner.
func (a *app) administer(ctx context.Context, do func(*store.Admin) error) error {
	dsn, stop, err := a.database(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if a.DatabaseURL == "" {
		if err := a.migrate(ctx, dsn); err != nil {
			return err
		}
	}
	admin, err := store.OpenAdmin(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	err = do(admin)
	if sqlState(err) == "42P01" { // undefined_table
		return errors.New("the database has no tables yet: run paygraph migrate first")
	}
	return unreachable(err)
}

// database is where the gateway keeps its data: the database that was named, or a cluster of its own, which stop ends.
func (a *app) database(ctx context.Context) (dsn string, stop func(), err error) {
	if a.DatabaseURL != "" {
		return a.DatabaseURL, func() {}, nil
	}
	cluster, err := embedded.Start(ctx, embedded.Config{
		Dir: a.DataDir, Fresh: a.Fresh, DieWithParent: true, Progress: func(line string) { a.log.Info(line) },
	})
	if err != nil {
		return "", nil, err
	}
	return cluster.DSN(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clusterStop)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			a.log.Warn("the database was not stopped in peace", "error", err)
		}
	}, nil
}

// migrate brings the database up to date, and waits a while for one that does not answer yet.
func (a *app) migrate(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, databasePatience)
	defer cancel()
	for told := false; ; told = true {
		err := store.Migrate(ctx, dsn)
		if err == nil || !isUnreachable(err) {
			return err
		}
		if !told {
			a.log.Info("waiting for the database", "error", err)
		}
		select {
		case <-ctx.Done():
			return unreachable(err)
		case <-time.After(databaseAgain):
		}
	}
}
