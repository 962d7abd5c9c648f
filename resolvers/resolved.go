package resolvers

import (
	"reflect"
	"slices"
	"strings"

	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/resolvers/execution"
)

// unchanging are the fields whose answers are as of the moment of their object, whenever they are asked for: an account's entries up to the
// number in its balance never change, nor do their transactions, but for the status of a transfer, which is read with them and may be later than
// the account (docs/decisions/016). No other field that shows what may change belongs here.
var unchanging = map[string][]string{
	"Account": {"entries", "transactions"},
	"Entry":   {"transaction"},
}

// The fields that resolvers answer are the methods of the interfaces that gqlgen asks for.
func init() {
	root := reflect.TypeFor[graph.ResolverRoot]()
	for i := range root.NumMethod() {
		object := root.Method(i)
		answers := object.Type.Out(0)
		for j := range answers.NumMethod() {
			for _, field := range schema.Types[object.Name].Fields {
				if strings.EqualFold(field.Name, answers.Method(j).Name) {
					execution.Resolved[field] = true
					execution.Unchanging[field] = slices.Contains(unchanging[object.Name], field.Name)
				}
			}
		}
	}
}
