package scalar_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/resolvers/scalar"
)

func TestDateTimesAreWrittenAsRFC3339(t *testing.T) {
	t.Parallel()
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	rapid.Check(t, func(r *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-12*60*60, 12*60*60).Draw(r, "zone"))
		at := time.Unix(rapid.Int64Range(first, last).Draw(r, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(r, "nanoseconds")).In(zone)
		var b strings.Builder
		scalar.MarshalDateTime(at).MarshalGQL(&b)
		if want := at.UTC().Format(`"2006-01-02T15:04:05.000000Z"`); b.String() != want {
			r.Fatalf("%s, not %s", b.String(), want)
		}
	})
}
