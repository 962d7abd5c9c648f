// Package merchant knows the tenants and their customers.
package merchant

import (
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
)

// ID names a merchant.
type ID = answer.MerchantID

// CustomerID names a customer: "cus_" and a UUIDv7.
type CustomerID string

// Merchant is a tenant: everything but reference data belongs to one.
type Merchant struct {
	ID        ID
	Name      string
	CreatedAt time.Time
}

// NodeID is the merchant's identifier.
func (m *Merchant) NodeID() string { return string(m.ID) }

// Customer is a merchant's end user.
type Customer struct {
	ID        CustomerID
	Name      string
	Reference *string // the merchant's own name for the customer
	Metadata  answer.Metadata
	Version   int32
	CreatedAt time.Time
	UpdatedAt time.Time
	Salt      []byte // hides the personal texts in the log; erased with them
}

// NodeID is the customer's identifier.
func (c *Customer) NodeID() string { return string(c.ID) }

// State is what an event keeps of the customer.
func (c *Customer) State() event.State {
	return event.State(nil).
		Salted("name", c.Salt, c.Name).
		Salted("reference", c.Salt, answer.Or(c.Reference)).
		SaltedMap("metadata", c.Salt, c.Metadata).
		Int("version", int64(c.Version)).
		Time("createdAt", c.CreatedAt).
		Time("updatedAt", c.UpdatedAt)
}
