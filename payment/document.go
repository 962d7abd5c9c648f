package payment

import (
	"fmt"
	"strings"
)

// Document is docs/state-machine.md: the table, as a picture and as rows.
func Document() string {
	var s strings.Builder
	s.WriteString("# How payments move\n\n" +
		"Printed from `payment.Table` by `go test ./payment -update`; do not edit. An action that does not stand here is refused with\n" +
		"`InvalidState`, and a timer's does nothing. Refused likewise are a refund where nothing is left to be given back, and, from `expiresAt`\n" +
		"on, everything else that a client asks for.\n\n```mermaid\nstateDiagram-v2\n")
	for _, status := range Starts {
		fmt.Fprintf(&s, "    [*] --> %s\n", status)
	}
	for _, row := range Table {
		fmt.Fprintf(&s, "    %s --> %s: %s\n", row.From, row.To, row.label())
	}
	for _, status := range Statuses {
		if Terminal(status) {
			fmt.Fprintf(&s, "    %s --> [*]\n", status)
		}
	}
	s.WriteString("```\n\n| from | action | where | to | who | ledger |\n|-|-|-|-|-|-|\n")
	for _, row := range Table {
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s |\n", row.From, row.Action, row.When, row.To, row.Who, row.Ledger)
	}
	return s.String()
}

// label is the action with its condition.
func (t Transition) label() string {
	if t.When == Always {
		return string(t.Action)
	}
	return string(t.Action) + ", " + string(t.When)
}
