package web

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
)

const schemaFile = "../schema.graphqls"

func loadSchema(t *testing.T) *ast.Schema {
	t.Helper()
	sdl, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: schemaFile, Input: string(sdl)})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// What the page sends by itself and the tabs of a first visit are files, so that a test can hold them
// against the schema.
func TestOperationsOfThePageFitTheSchema(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	files, err := filepath.Glob("graphiql/operations/*.graphql")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d operations (%v), want at least 10", len(files), err)
	}
	for _, file := range append(files, "graphiql/demo.graphql") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "# ") {
				t.Error("the operation does not begin with a comment that says what it shows")
			}
			document, errs := gqlparser.LoadQueryWithRules(schema, string(text), nil)
			if errs != nil {
				t.Fatal(errs)
			}
			variables := tabVariables(t, strings.TrimSuffix(file, "graphql")+"json")
			if _, err := validator.VariableValues(schema, document.Operations[0], variables); err != nil {
				t.Error(err)
			}
		})
	}
}

// tabVariables reads a tab's variables with each placeholder replaced by some text; none without a file.
func tabVariables(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var variables map[string]any
	filled := regexp.MustCompile(`\$\{\w+\}`).ReplaceAll(text, []byte("0123456789abcdef"))
	if err := json.Unmarshal(filled, &variables); err != nil {
		t.Fatal(err)
	}
	return variables
}
