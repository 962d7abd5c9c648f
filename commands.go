package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/soak"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
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
	dsn, stop, err := a.database(ctx, false)
	if err != nil {
		return err
	}
	defer stop()
	if err := a.migrate(ctx, dsn); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, "The database is up to date.")
	return err
}

type merchantCommand struct {
	Create merchantCreate `cmd:"" help:"Add a merchant."`
	List   merchantList   `cmd:"" help:"List the merchants, the oldest first."`
	Fee    merchantFee    `cmd:"" help:"Say what a merchant is charged for payments in a currency, from now on."`
}

type merchantCreate struct {
	Name string `arg:"" help:"What the merchant is called."`
	JSON bool   `help:"Print JSON."`
}

// Run adds a merchant and prints it.
func (c merchantCreate) Run(ctx context.Context, a *app) error {
	if c.Name == "" {
		return errors.New("say what the merchant is called")
	}
	if err := checkName("a merchant's name", c.Name); err != nil {
		return err
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		m, err := admin.CreateMerchant(ctx, c.Name)
		if err != nil {
			return err
		}
		return show(a.stdout, c.JSON, shownMerchant(m), "%s  %s\n", m.ID, m.Name)
	})
}

type merchantFee struct {
	Merchant    merchant.ID    `arg:"" help:"Who is charged."`
	Currency    money.Currency `required:"" help:"The currency of the payments." placeholder:"USD"`
	BasisPoints int64          `help:"Hundredths of a percent of what is captured: 290 for 2.9 %." placeholder:"N"`
	Fixed       string         `default:"0" help:"What is charged for each payment beside that: 0.30." placeholder:"AMOUNT"`
}

// Run sets a merchant's plan for a currency, and prints it.
func (c merchantFee) Run(ctx context.Context, a *app) error {
	fixed, err := money.Parse(money.Input{Amount: c.Fixed, Currency: string(c.Currency)})
	if err != nil {
		return fmt.Errorf("--fixed %s %s: %w", c.Fixed, c.Currency, err)
	}
	plan := payment.FeePlan{BasisPoints: c.BasisPoints, FixedMinorUnits: fixed.MinorUnits}
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.SetFeePlan(ctx, c.Merchant, c.Currency, &plan); errors.Is(err, store.ErrNoMerchant) {
			return fmt.Errorf("there is no merchant %s", c.Merchant)
		} else if err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "%s  %d.%02d %% and %s of each payment\n", c.Merchant, plan.BasisPoints/100, plan.BasisPoints%100, fixed)
		return err
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
	Create    credentialCreate    `cmd:"" help:"Add a credential to a merchant. Its secret is shown once."`
	Keys      credentialKeys      `cmd:"" help:"Change the public keys of a credential that has some."`
	Limits    credentialLimits    `cmd:"" help:"Change how much a credential's client may ask for."`
	Sign      credentialSign      `cmd:"" help:"Say how a credential's client signs its requests, and which mutations take a signed one."`
	Documents credentialDocuments `cmd:"" help:"Say which documents a credential's clients may run: any, or those that the merchant trusts."`
	Revoke    credentialRevoke    `cmd:"" help:"End a credential: it gets no more tokens, and those it has are refused within seconds."`
}

type credentialCreate struct {
	Merchant merchant.ID `required:"" help:"Whose backend it is for." placeholder:"ID"`
	Name     string      `help:"What it is for, for people."`
	Scope    []string    `help:"A scope that its tokens may have; can be given again. Without any: all of them."`
	Keys     string      `type:"existingfile" help:"Public keys to sign in with instead of a secret: PEM, or JSON Web Keys." placeholder:"FILE"`
	limitFlags
	JSON bool `help:"Print JSON."`
}

// limitFlags are how much a credential's client may ask for. Each that is not given is the default of a backend, in docs/errors.md.
type limitFlags struct {
	PointsPerSecond int32 `help:"Points a second that come back to its bucket; without it the default." placeholder:"N"`
	Burst           int32 `help:"Points that its bucket holds; an operation that costs more is refused." placeholder:"N"`
	AtOnce          int32 `help:"Queries and mutations at the same time, at each node." placeholder:"N"`
	Sockets         int32 `help:"WebSockets and streams of events that are open, at each node." placeholder:"N"`
}

func (f limitFlags) limits() quota.Limits {
	return quota.Limits{PointsPerSecond: f.PointsPerSecond, Burst: f.Burst, AtOnce: f.AtOnce, Sockets: f.Sockets}
}

// Run adds a credential and prints it with its secret. Both client id and secret are made here: nobody can choose a weak one.
func (c credentialCreate) Run(ctx context.Context, a *app) error {
	scopes := auth.AllScopes
	if len(c.Scope) > 0 {
		named, known := auth.ParseScopes(strings.Join(c.Scope, " "))
		if !known {
			return fmt.Errorf("one of these is no scope: %s; the scopes are %s", strings.Join(c.Scope, " "), auth.AllScopes)
		}
		scopes = named
	}
	if err := checkName("a credential's name", c.Name); err != nil {
		return err
	}
	made := auth.Credential{
		ClientID: "pgc_" + strings.ToLower(rand.Text()), Merchant: c.Merchant, Scopes: scopes,
		Quota: c.limits(), CreatedAt: time.Now().UTC().Truncate(time.Microsecond), Name: c.Name,
	}
	var secret string
	var err error
	if c.Keys == "" {
		secret, made.SecretHash = auth.NewSecret()
	} else if made.Keys, err = readKeys(c.Keys); err != nil {
		return err
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.CreateCredential(ctx, made); errors.Is(err, store.ErrNoMerchant) {
			return fmt.Errorf("there is no merchant %s", c.Merchant)
		} else if err != nil {
			return err
		}
		shown := credentialJSON{made.ClientID, secret, made.Keys.IDs(), c.Merchant, c.Name, scopes, made.CreatedAt}
		if secret == "" {
			return show(a.stdout, c.JSON, shown, "client id      %s\nkeys           %s\nscopes         %s\n", made.ClientID, strings.Join(shown.KeyIDs, " "), scopes)
		}
		return show(a.stdout, c.JSON, shown,
			"client id      %s\nclient secret  %s  (it is not shown again)\nscopes         %s\n", made.ClientID, secret, scopes)
	})
}

// readKeys reads a file of public keys.
func readKeys(file string) (auth.ClientKeys, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return auth.ClientKeys{}, err
	}
	keys, err := auth.ParseClientKeys(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return keys, err
}

type credentialKeys struct {
	ClientID string `arg:"" help:"The credential's client id."`
	File     string `arg:"" type:"existingfile" help:"All its public keys from now on: PEM, or JSON Web Keys."`
}

// Run changes a credential's keys: to change from one to another without a pause, both are named for a while.
func (c credentialKeys) Run(ctx context.Context, a *app) error {
	keys, err := readKeys(c.File)
	if err != nil {
		return err
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		err := admin.SetCredentialKeys(ctx, c.ClientID, keys)
		if errors.Is(err, store.ErrHasSecret) {
			return fmt.Errorf("%s has a secret: make a credential with --keys, and revoke this one", c.ClientID)
		}
		if err != nil {
			return ofCredential(c.ClientID, err)
		}
		_, err = fmt.Fprintf(a.stdout, "%s signs in with %s.\n", c.ClientID, strings.Join(keys.IDs(), " "))
		return err
	})
}

type credentialLimits struct {
	ClientID string `arg:"" help:"The credential's client id."`
	limitFlags
}

// Run changes all limits of a credential: those that are not given are the defaults from now on.
func (c credentialLimits) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.SetCredentialLimits(ctx, c.ClientID, c.limits()); err != nil {
			return ofCredential(c.ClientID, err)
		}
		l := c.limits().Or(auth.DefaultLimits[auth.Backend])
		_, err := fmt.Fprintf(a.stdout, "Within %s %s has %d points a second, a burst of %d, %d operations at once and %d sockets.\n",
			auth.CredentialAge, c.ClientID, l.PointsPerSecond, l.Burst, l.AtOnce, l.Sockets)
		return err
	})
}

type credentialSign struct {
	Add     signAdd     `cmd:"" help:"Add a key: a new secret, which is shown once, or the public half of an Ed25519 key."`
	Remove  signRemove  `cmd:"" help:"Take a key away."`
	Require signRequire `cmd:"" help:"Say which mutations take a signed request."`
}

type signAdd struct {
	ClientID string `arg:"" help:"The credential's client id."`
	Public   string `type:"existingfile" help:"The public half of an Ed25519 key, in PEM or as a JSON Web Key. Without it a secret is made." placeholder:"FILE"`
	JSON     bool   `help:"Print JSON."`
}

// Run adds a key and prints it.
func (c signAdd) Run(ctx context.Context, a *app) error {
	key := auth.NewRequestSecret("sig_" + strings.ToLower(rand.Text()))
	if c.Public != "" {
		text, err := os.ReadFile(c.Public)
		if err != nil {
			return err
		}
		if key, err = auth.ParseRequestKey(text); err != nil {
			return fmt.Errorf("%s: %w", c.Public, err)
		}
	}
	return a.changeSigning(ctx, c.ClientID, func(s *auth.Signing) error { return s.Add(key) }, func() error {
		shown := requestKeyJSON{key.ID, key.Secret}
		if key.Secret == nil {
			return show(a.stdout, c.JSON, shown, "key id  %s\n", key.ID)
		}
		return show(a.stdout, c.JSON, shown, "key id  %s\nsecret  %s  (base64; it is not shown again)\n", key.ID, base64.StdEncoding.EncodeToString(key.Secret))
	})
}

type signRemove struct {
	ClientID string `arg:"" help:"The credential's client id."`
	KeyID    string `arg:"" help:"The key's identifier."`
}

// Run takes a key away.
func (c signRemove) Run(ctx context.Context, a *app) error {
	return a.changeSigning(ctx, c.ClientID, func(s *auth.Signing) error { return s.Remove(c.KeyID) }, func() error {
		_, err := fmt.Fprintf(a.stdout, "Within %s nothing is taken that %s has signed.\n", auth.CredentialAge, c.KeyID)
		return err
	})
}

type signRequire struct {
	ClientID  string   `arg:"" help:"The credential's client id."`
	Mutations []string `arg:"" optional:"" help:"All that take a signed request: createPayment, or '*' for each there is. Without any: none does."`
}

// Run says what takes a signed request.
func (c signRequire) Run(ctx context.Context, a *app) error {
	known := graph.NewExecutableSchema(graph.Config{}).Schema().Mutation.Fields
	for _, name := range c.Mutations {
		if name != auth.AllMutations && known.ForName(name) == nil {
			return fmt.Errorf("there is no mutation %s", name)
		}
	}
	return a.changeSigning(ctx, c.ClientID, func(s *auth.Signing) error { return s.Require(c.Mutations) }, func() error {
		_, err := fmt.Fprintf(a.stdout, "Within seconds %s signs: %s.\n", c.ClientID, cmp.Or(strings.Join(c.Mutations, " "), "nothing"))
		return err
	})
}

// changeSigning changes how a credential's client signs, and tells.
func (a *app) changeSigning(ctx context.Context, clientID string, change func(*auth.Signing) error, tell func() error) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.ChangeSigning(ctx, clientID, change); err != nil {
			return ofCredential(clientID, err)
		}
		return tell()
	})
}

// ofCredential says to people which credential there is not.
func ofCredential(clientID string, err error) error {
	if errors.Is(err, auth.ErrUnknownCredential) {
		return fmt.Errorf("there is no credential %s", clientID)
	}
	return err
}

type requestKeyJSON struct {
	KeyID  string `json:"keyId"`
	Secret []byte `json:"secret,omitempty"` // in base64
}

type credentialRevoke struct {
	ClientID string `arg:"" help:"The credential's client id."`
}

// Run ends a credential.
func (c credentialRevoke) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := admin.RevokeCredential(ctx, c.ClientID); err != nil {
			return ofCredential(c.ClientID, err)
		}
		_, err := fmt.Fprintf(a.stdout, "%s gets no more tokens; those that it has are refused within seconds.\n", c.ClientID)
		return err
	})
}

type signingKeyCommand struct {
	Rotate signingKeyRotate `cmd:"" help:"Add a key that takes over a while later; the old one stays good until its last token has ended."`
}

type signingKeyRotate struct{}

// Run adds a key. Two that run at once add one.
func (signingKeyRotate) Run(ctx context.Context, a *app) error {
	return a.administer(ctx, func(admin *store.Admin) error {
		if err := auth.RotateKeys(ctx, admin, time.Now()); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "There is a new key. It signs from %s on.\n", time.Now().Add(auth.KeyActivation).UTC().Format(time.RFC3339))
		return err
	})
}

type verifyCommand struct {
	Merchant merchant.ID `help:"Whose log --expect speaks of; without it any log may have this event." placeholder:"ID"`
	Expect   string      `help:"What was noted of a log before: the number of an event and its hash." placeholder:"N:HASH"`
}

// Run holds the whole database against the log, and prints each merchant's head. Its error names the first place that does not fit.
func (c verifyCommand) Run(ctx context.Context, a *app) error {
	expect, err := c.expectation()
	if err != nil {
		return err
	}
	return a.administer(ctx, func(admin *store.Admin) error {
		n := 0
		err := admin.Verify(ctx, expect, func(v store.Verified) {
			n++
			_, _ = fmt.Fprintf(a.stdout, "%s  %d:%s\n", v.Merchant, v.Sequence, v.Hash)
		})
		if err == nil {
			a.log.Info("everything is as the log says", "merchants", n)
		}
		return err
	})
}

func (c verifyCommand) expectation() (*store.Expectation, error) {
	if c.Expect == "" {
		return nil, nil
	}
	number, hash, _ := strings.Cut(c.Expect, ":")
	sequence, err := strconv.ParseInt(number, 10, 64)
	if err != nil || sequence < 1 || len(hash) != 64 {
		return nil, errors.New("--expect is written N:HASH, as verify prints it")
	}
	return &store.Expectation{Merchant: c.Merchant, Sequence: sequence, Hash: strings.ToLower(hash)}, nil
}

type soakCommand struct {
	soak.Options `embed:""`
}

// Run has a gateway of two nodes, on a database of its own, survive everything that can happen to it.
func (c soakCommand) Run(ctx context.Context, a *app) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel(nil)
	return soak.Run(ctx, c.Options, a.stdout, a.progress)
}

type merchantJSON struct {
	ID        merchant.ID `json:"id"`
	Name      string      `json:"name"`
	CreatedAt time.Time   `json:"createdAt"`
}

func shownMerchant(m *merchant.Merchant) merchantJSON { return merchantJSON{m.ID, m.Name, m.CreatedAt} }

type credentialJSON struct {
	ClientID     string      `json:"clientId"`
	ClientSecret string      `json:"clientSecret,omitempty"`
	KeyIDs       []string    `json:"keyIds,omitempty"`
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

// checkName checks the length of a text, which as an argument is UTF-8 without NUL.
func checkName(what, text string) error {
	if utf8.RuneCountInString(text) > answer.MaxNameLength {
		return fmt.Errorf("%s has at most %d characters", what, answer.MaxNameLength)
	}
	return nil
}

// administer runs a command on the database's reference data, as its owner.
func (a *app) administer(ctx context.Context, do func(*store.Admin) error) error {
	dsn, stop, err := a.database(ctx, false)
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
	return explained(do(admin))
}

// database is where the gateway keeps its data: the database that was named, or a cluster of its own, which stop ends. A command that
// does not serve may look at the cluster of a gateway that runs.
func (a *app) database(ctx context.Context, serving bool) (dsn string, stop func(), err error) {
	if a.DatabaseURL != "" {
		return a.DatabaseURL, func() {}, nil
	}
	cluster, err := embedded.Start(ctx, embedded.Config{
		Dir: a.DataDir, Fresh: a.Fresh, DieWithParent: true, Progress: func(line string) { a.log.Info(line) },
	})
	if errors.Is(err, embedded.ErrInUse) && !serving {
		dsn, err := embedded.Running(a.DataDir)
		return dsn, func() {}, err
	}
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
	deadline := time.Now().Add(databasePatience)
	for told := false; ; told = true {
		err := store.Migrate(ctx, dsn, a.log)
		if err == nil || !isUnreachable(err) || time.Now().After(deadline) {
			return explained(err)
		}
		if !told {
			a.log.Info("waiting for the database", "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(databaseAgain):
		}
	}
}

// isUnreachable says whether an error may go away by itself: nobody answers, the server says that it is not ready, or none of them takes writes,
// as before a standby is promoted.
func isUnreachable(err error) bool {
	_, network := errors.AsType[net.Error](err)
	state := sqlState(err)
	return network || state == "57P03" || state == "" && errors.Is(err, connector.ErrConnect) // cannot_connect_now
}

// sqlState is the code with which the database answered, or empty.
func sqlState(err error) string {
	if answered, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return answered.SQLState()
	}
	return ""
}

// explained says of an error what the person at the terminal can do about it.
func explained(err error) error {
	switch {
	case isUnreachable(err):
		return fmt.Errorf("the database cannot be reached: %w; is it running, and is DATABASE_URL right?", err)
	case sqlState(err) == "42P01": // undefined_table
		return errors.New("the database has no tables yet: run paygraph migrate first")
	case sqlState(err) == "42501": // insufficient_privilege
		return fmt.Errorf("%w; DATABASE_URL has to name the database's owner, and one who may not make roles has to be granted "+
			"paygraph_runtime by a superuser: see Roles in docs/operations.md", err)
	}
	return err
}
