package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
)

// SetAccountStatusInput is the mutation's input.
type SetAccountStatusInput struct {
	IdempotencyKey  string
	AccountID       AccountID
	Status          Status
	ExpectedVersion *int32
	Reason          string
}

// SetAccountStatusSuccess is the mutation's success.
type SetAccountStatusSuccess struct {
	Account  *Account
	Replayed bool
}

// SetAccountStatus freezes, thaws or closes a wallet. Refusals: ValidationFailed, NotFound, VersionConflict, AccountNotActive (CLOSED is final),
// AccountNotEmpty, and those of the idempotency key.
func (s *Service) SetAccountStatus(ctx context.Context, p auth.Principal, in SetAccountStatusInput) (SetAccountStatusSuccess, error) {
	account, replayed, err := s.account(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "setAccountStatus", Key: in.IdempotencyKey, Invalid: in.check(),
			Input: command.Input(nil).
				Text("input.accountId", string(in.AccountID)).
				Text("input.status", string(in.Status)).
				Number("input.expectedVersion", in.ExpectedVersion).
				Text("input.reason", in.Reason),
		},
		Needs:  command.Needs{Accounts: []string{string(in.AccountID)}},
		Decide: in.decide,
	})
	return SetAccountStatusSuccess{account, replayed}, err
}

func (in SetAccountStatusInput) check() error {
	var v answer.Violations
	checkReason(&v, in.Reason)
	return v.Err()
}

func (in SetAccountStatusInput) decide(b Batch) (command.Object, error) {
	path := answer.Recorded{At: []string{"input", "accountId"}}
	account := b.Account(in.AccountID)
	switch {
	case account == nil || !account.Kind.nameable(ToManage):
		return nil, answer.NotFound{Recorded: path, ResourceID: string(in.AccountID)}
	case in.ExpectedVersion != nil && *in.ExpectedVersion != account.Version:
		return nil, answer.CheckVersion(string(in.AccountID), in.ExpectedVersion, account.Version)
	case account.Status == Closed:
		return nil, AccountNotActive{path, string(in.AccountID), account.Status}
	case in.Status == Closed && (account.Posted() != 0 || account.OnHold()):
		return nil, AccountNotEmpty{path, string(in.AccountID), account.Balance().Posted, account.DebitsPending + account.CreditsPending}
	}
	account.Status, account.StatusReason = in.Status, &in.Reason
	if account.Salt == nil {
		account.Salt = b.Salt()
	}
	account.Version++
	account.UpdatedAt = b.Time()
	b.Changed(account)
	b.Append(event.Draft{
		Type: event.AccountStatusChanged, ObjectID: account.NodeID(), ObjectVersion: account.Version,
		State: account.State(),
	})
	return account.clone(), nil
}

func checkReason(v *answer.Violations, reason string) {
	if reason == "" {
		v.Add("input.reason", answer.Required, "Say why.")
	}
	v.Text("input.reason", reason, answer.MaxReasonLength)
}
