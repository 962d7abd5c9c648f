// Command gen makes graph/ from the schema: gqlgen's own generation, with parts of its output exchanged (docs/decisions/009).
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"log"
	"os"

	"github.com/99designs/gqlgen/api"
	"github.com/99designs/gqlgen/codegen/config"
)

const generated = "graph/generated.go"

// exchanged calls, each with what takes its place.
var exchanged = [][2]string{
	{"graphql.MarshalSliceConcurrently(", "execution.MarshalSlice("},
	{"graphql.NewFieldSet(", "execution.NewFieldSet("},
	// The transport refuses @defer, and so no object needs a group and its path for what is deferred.
	{"graphql.NewDeferredGroup(ctx)", "graphql.DeferredGroup{}"},
	{`"github.com/paygraph/paygraph/resolvers/scalar"`, "\"github.com/paygraph/paygraph/resolvers/execution\"\n\t\"github.com/paygraph/paygraph/resolvers/scalar\""},
}

func main() {
	if err := generate(); err != nil {
		log.Fatal(err)
	}
}

// generate begins without what was generated before, which gqlgen would look at.
func generate() error {
	for _, file := range []string{generated, "graph/models.go"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	c, err := config.LoadConfig("gqlgen.yml")
	if err != nil {
		return err
	}
	fields, objects := &plain{}, &written{}
	if err := api.Generate(c, api.AddPlugin(fields), api.AddPlugin(objects)); err != nil {
		return err
	}
	code, err := os.ReadFile(generated)
	if err != nil {
		return err
	}
	for _, pair := range exchanged {
		if !bytes.Contains(code, []byte(pair[0])) {
			return fmt.Errorf("gqlgen's code has no %s any more: is it still to be exchanged?", pair[0])
		}
		code = bytes.ReplaceAll(code, []byte(pair[0]), []byte(pair[1]))
	}
	if code, err = fields.exchange(code); err != nil {
		return err
	}
	if code, err = objects.exchange(code); err != nil {
		return err
	}
	if code, err = format.Source(code); err != nil {
		return err
	}
	return os.WriteFile(generated, code, 0o644)
}
