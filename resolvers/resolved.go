package resolvers

import (
	"reflect"
	"strings"

	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/resolvers/execution"
)

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
				}
			}
		}
	}
}
