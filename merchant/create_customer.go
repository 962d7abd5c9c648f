package merchant

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
)

// Batch is what decisions about customers may read and write.
type Batch interface {
	command.Batch
	AddCustomer(*Customer)
	Salt() []byte
}

// Reader finds customers outside a batch.
type Reader interface {
	Customer(ctx context.Context, p auth.Principal, id CustomerID) (*Customer, error)
}

// Service runs the commands on customers.
type Service struct {
	Committer command.Committer[Batch]
	Reader    Reader
}

// CreateCustomerInput is the mutation's input.
type CreateCustomerInput struct {
	IdempotencyKey string
	Name           string
	Reference      *string
	Metadata       answer.Metadata
}

// CreateCustomerSuccess is the mutation's success.
type CreateCustomerSuccess struct {
	Customer *Customer
	Replayed bool
}

// CreateCustomer adds a customer to the principal's merchant. Refusals: ValidationFailed, and those of the idempotency key.
func (s *Service) CreateCustomer(ctx context.Context, p auth.Principal, in CreateCustomerInput) (CreateCustomerSuccess, error) {
	customer, replayed, err := command.Do(ctx, s.Committer, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "createCustomer", Key: in.IdempotencyKey, Invalid: in.check(),
			Input: command.Input(nil).
				Text("input.name", in.Name).
				Maybe("input.reference", in.Reference).
				Map("input.metadata", in.Metadata),
		},
		Decide: func(b Batch) (command.Object, error) { return in.decide(b), nil },
	}, func(id string) (*Customer, error) { return s.Reader.Customer(ctx, p, CustomerID(id)) })
	return CreateCustomerSuccess{customer, replayed}, err
}

func (in CreateCustomerInput) check() error {
	var v answer.Violations
	if in.Name == "" {
		v.Add("input.name", answer.Required, "Say what the customer is called.")
	}
	v.Text("input.name", in.Name, answer.MaxNameLength)
	v.Text("input.reference", answer.Or(in.Reference), answer.MaxReferenceLength)
	v.Metadata("input.metadata", in.Metadata)
	return v.Err()
}

func (in CreateCustomerInput) decide(b Batch) *Customer {
	customer := &Customer{
		ID: CustomerID(b.NewID(answer.CustomerPrefix)), Name: in.Name, Reference: in.Reference, Metadata: in.Metadata,
		Version: 1, CreatedAt: b.Time(), UpdatedAt: b.Time(), Salt: b.Salt(),
	}
	b.AddCustomer(customer)
	b.Append(event.Draft{
		Type: event.CustomerCreated, ObjectID: customer.NodeID(), ObjectVersion: customer.Version, State: customer.State(),
	})
	return customer
}
