package demo

import (
	"fmt"
	"strconv"

	"github.com/paygraph/paygraph/money"
)

// How much history there is.
const (
	transfers = 48
	payments  = 96
	makesUp   = 14 // the captured payment whose customer is given some of what the merchant has
)

// people are the demo's customers. Each has a wallet in USD.
var people = []string{
	"Ada Lovelace", "Alan Turing", "Grace Hopper", "Katherine Johnson", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth",
	"Radia Perlman", "Tony Hoare", "Frances Allen", "John Backus", "Margaret Hamilton", "Niklaus Wirth", "Shafi Goldwasser",
	"Leslie Lamport", "Hedy Lamarr", "Claude Shannon", "Karen Spärck Jones", "Ken Thompson", "Lynn Conway", "Dennis Ritchie",
	"Jean Bartik", "Luca Pacioli", "Sofia Kovalevskaya",
}

// wallet is an account that the demo opens and fills.
type wallet struct {
	owner          int // of people
	name, currency string
	deposit        string
}

// wallets are one in USD for each of people, in their order, and then some others; the last is frozen.
func wallets() []wallet {
	var all []wallet
	for i := range people {
		all = append(all, wallet{i, "Everyday", "USD", cents(250_000 + 17_325*i)})
	}
	for i := range 6 {
		all = append(all, wallet{i, "Travel", "EUR", cents(90_000 + 12_050*i)})
	}
	for i := range 3 {
		all = append(all, wallet{6 + i, "Tokyo", "JPY", strconv.Itoa(180_000 + 24_500*i)})
	}
	for i := range 2 {
		all = append(all, wallet{9 + i, "Kuwait", "KWD", fmt.Sprintf("%d.%03d", 640+75*i, 125*(i+1))})
	}
	for i := range 3 {
		all = append(all, wallet{11 + i, "Savings", "USD", cents(1_200_000 + 50_000*i)})
	}
	return append(all, wallet{22, "Under review", "USD", "1494.00"})
}

// cents writes an amount of minor units with two digits.
func cents(n int) string { return fmt.Sprintf("%d.%02d", n/100, n%100) }

// sum is the amount of the n-th movement in a currency: some units of it, never round, and never much of what a wallet holds.
func sum(n int, currency string) money.Input {
	some := 499 + n*7919%6000
	switch currency {
	case "JPY":
		return money.Input{Amount: strconv.Itoa(some), Currency: currency}
	case "KWD":
		return money.Input{Amount: fmt.Sprintf("%d.%03d", some/1000, some%1000), Currency: currency}
	}
	return money.Input{Amount: cents(some), Currency: currency}
}

// Texts that make lists look alive, taken in turn.
var (
	reasons  = []string{"Wire from the bank", "Cash at the counter", "Salary", "Gift card"}
	occasion = []string{"Lunch", "Rent, your half", "Concert tickets", "Thank you!", "Taxi", "Groceries"}
	channels = []string{"web", "ios", "android", "pos"}
)
