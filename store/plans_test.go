package store_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestPoliciesLeaveThePlansAlone has the server plan what is sent, behind its policies: whose rows are seen is asked once a table, and each table is still
// read by the columns of an index, of which no condition is left over.
func TestPoliciesLeaveThePlansAlone(t *testing.T) {
	t.Parallel()
	conn := serving(t, storetest.DSN(t))
	must(t, connector.Set(t.Context(), conn.Conn, "paygraph.merchant", "00000000-0000-0000-0000-000000000001"))
	for _, way := range []string{"seqscan", "bitmapscan", "hashjoin", "mergejoin", "material", "memoize"} {
		_, err := conn.ExecContext(t.Context(), "SET plan_cache_mode TO force_generic_plan; SET enable_"+way+" TO off")
		must(t, err)
	}
	planned := 0
	for _, text := range sent(t) {
		if !parameter.MatchString(text) {
			continue
		}
		plan := planOf(t, conn, text)
		if !strings.Contains(plan, "current_setting") {
			continue
		}
		planned++
		for line := range strings.Lines(plan) {
			once := strings.Contains(line, "One-Time Filter")
			if strings.Contains(line, "Seq Scan") || strings.Contains(line, "Filter:") && !once && !strings.Contains(line, "CASE stamp") ||
				strings.Contains(line, "current_setting") && !once {
				t.Errorf("%s in the plan of %s\n%s", strings.TrimSpace(line), text, plan)
			}
		}
	}
	if planned < 10 {
		t.Errorf("only %d statements have a policy", planned)
	}
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// planOf is the plan of a statement, without its parameters' values; empty for one that the serving role may not use.
func planOf(t *testing.T, conn *sqlx.Conn, text string) string {
	t.Helper()
	most := 0
	for _, found := range parameter.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(found[1])
		must(t, err)
		most = max(most, n)
	}
	_, err := conn.ExecContext(t.Context(), "PREPARE planned AS "+text)
	must(t, err)
	defer func() {
		_, err := conn.ExecContext(t.Context(), "DEALLOCATE planned")
		must(t, err)
	}()
	nulls := ""
	if most > 0 {
		nulls = fmt.Sprintf("(%s)", strings.TrimSuffix(strings.Repeat("NULL, ", most), ", "))
	}
	var plan []string
	if err := conn.SelectContext(t.Context(), &plan, "EXPLAIN (COSTS OFF) EXECUTE planned"+nulls); codeOf(err) != "42501" {
		must(t, err)
	}
	return strings.Join(plan, "\n")
}
