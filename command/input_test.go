package command_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/money"
)

// input is an Input with the paths of a map, in the order of the paths.
func input(values map[string]string) (in command.Input) {
	for _, path := range slices.Sorted(maps.Keys(values)) {
		in = append(in, command.Value{Path: path, Text: values[path]})
	}
	return in
}

// TestConflicts compares fingerprints with the inputs themselves: the paths at which they differ, each once.
func TestConflicts(t *testing.T) {
	t.Parallel()
	inputs := rapid.MapOfN(rapid.StringMatching(`input\.[ab](\.[ab])?`), rapid.StringMatching(`[xy\x00]{0,2}`), 0, 4)
	f := command.NewFingerprinter([]byte("secret"))
	rapid.Check(t, func(rt *rapid.T) {
		earlier, later := inputs.Draw(rt, "earlier"), inputs.Draw(rt, "later")
		var want []string
		for _, path := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(earlier)), slices.Collect(maps.Keys(later)))))) {
			a, hasA := earlier[path]
			b, hasB := later[path]
			if a != b || hasA != hasB {
				want = append(want, path)
			}
		}
		first := f.Of(input(earlier))
		got := first.Conflicts(f.Of(input(later)))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestFingerprintsNeedTheSecret(t *testing.T) {
	t.Parallel()
	in := command.Input(nil).Text("input.reference", "order 17")
	one, other := command.NewFingerprinter([]byte("one")).Of(in), command.NewFingerprinter([]byte("other")).Of(in)
	if len(one.Conflicts(other)) != 1 {
		t.Error("two secrets give the same fingerprint")
	}
	if got := one.Conflicts(command.NewFingerprinter([]byte("one")).Of(in)); len(got) != 0 {
		t.Errorf("two nodes with the same secret differ at %v", got)
	}
}

// TestWhatCountsAsTheSameInput: absent, null and default values, and the spelling of an amount, make no difference.
func TestWhatCountsAsTheSameInput(t *testing.T) {
	t.Parallel()
	money := func(text, currency string) command.Input {
		raw := money.Input{Amount: text, Currency: currency}
		parsed, _ := money.Parse(raw)
		return command.Input(nil).Money("input.amount", raw, parsed)
	}
	empty := ""
	for name, c := range map[string]struct {
		a, b command.Input
		same bool
	}{
		"an empty text and none":        {command.Input(nil).Text("input.a", ""), nil, true},
		"null and none":                 {command.Input(nil).Maybe("input.a", nil), nil, true},
		"an empty text and null":        {command.Input(nil).Maybe("input.a", &empty), nil, true},
		"false and none":                {command.Input(nil).True("input.a", false), nil, true},
		"true and none":                 {command.Input(nil).True("input.a", true), nil, false},
		"an empty map and none":         {command.Input(nil).Map("input.m", map[string]string{}), nil, true},
		"an empty value in a map":       {command.Input(nil).Map("input.m", map[string]string{"a": ""}), nil, false},
		"1.50 and 1.5 USD":              {money("1.50", "USD"), money("1.5", "USD"), true},
		"1.5 USD and 1.5 KWD":           {money("1.5", "USD"), money("1.5", "KWD"), false},
		"150 JPY and 1.50 USD":          {money("150", "JPY"), money("1.50", "USD"), false},
		"two amounts that are none":     {money("x", "USD"), money("y", "USD"), false},
		"an amount that is none, twice": {money("1.505", "USD"), money("1.505", "USD"), true},
	} {
		f := command.NewFingerprinter([]byte("secret"))
		conflicts := f.Of(c.a).Conflicts(f.Of(c.b))
		if (len(conflicts) == 0) != c.same {
			t.Errorf("%s: they differ at %v", name, fmt.Sprint(conflicts))
		}
	}
}
