package answer_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
)

// TestTypeIDs has vectors of the TypeID specification 0.3 (valid.yml).
func TestTypeIDs(t *testing.T) {
	t.Parallel()
	for id, hexadecimal := range map[string]string{
		"prefix_00000000000000000000000000": "00000000-0000-0000-0000-000000000000",
		"prefix_00000000000000000000000001": "00000000-0000-0000-0000-000000000001",
		"prefix_0000000000000000000000000a": "00000000-0000-0000-0000-00000000000a",
		"prefix_0000000000000000000000000g": "00000000-0000-0000-0000-000000000010",
		"prefix_00000000000000000000000010": "00000000-0000-0000-0000-000000000020",
		"prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz": "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"prefix_0123456789abcdefghjkmnpqrs": "0110c853-1d09-52d8-d73e-1194e95b5f19",
		"prefix_01h455vb4pex5vsknk084sn02q": "01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		u, err := answer.Decode("prefix", id)
		if err != nil || u.String() != hexadecimal {
			t.Errorf("%s is %s, %v; want %s", id, u, err, hexadecimal)
		}
		if got := answer.Encode("prefix", u); got != id {
			t.Errorf("%s is %s, want %s", hexadecimal, got, id)
		}
		if answer.PrefixOf(id) != "prefix" {
			t.Errorf("the prefix of %s is %s", id, answer.PrefixOf(id))
		}
	}
}

// TestWhatIsNoID has the specification's invalid ones as far as a known prefix meets them, and what was forged.
func TestWhatIsNoID(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{
		"nothing":              "",
		"a prefix alone":       "pay",
		"another prefix":       "acc_01h455vb4pex5vsknk084sn02q",
		"no separator":         "pay01h455vb4pex5vsknk084sn02q0",
		"another separator":    "pay-01h455vb4pex5vsknk084sn02q",
		"upper case":           "pay_01H455VB4PEX5VSKNK084SN02Q",
		"too short":            "pay_01h455vb4pex5vsknk084sn02",
		"too long":             "pay_01h455vb4pex5vsknk084sn02qq",
		"more than 128 bits":   "pay_8zzzzzzzzzzzzzzzzzzzzzzzzz",
		"ambiguous letters":    "pay_01h455vb4pex5vsknk084sn0il",
		"hyphens":              "pay_0123456789-0123456789-0123",
		"a space":              "pay_ 1h455vb4pex5vsknk084sn02q",
		"letters beyond ASCII": "pay_01h455vb4pex5vsknk084sn0é",
		"a NUL":                "pay_01h455vb4pex5vsknk084sn02\x00",
		"the UUID instead":     "pay_01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		if u, err := answer.Decode("pay", id); err != answer.ErrNotAnID || u != (answer.UUID{}) {
			t.Errorf("%s: %q is %s, %v", name, id, u, err)
		}
	}
}

// TestEncodingIsOneToOne: every UUID comes back, the order of texts is the order of UUIDs, and what decodes encodes to the same text.
func TestEncodingIsOneToOne(t *testing.T) {
	t.Parallel()
	uuids := rapid.Custom(func(t *rapid.T) answer.UUID {
		return answer.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := uuids.Draw(rt, "a"), uuids.Draw(rt, "b")
		textA, textB := answer.Encode("pay", a), answer.Encode("pay", b)
		if back, err := answer.Decode("pay", textA); err != nil || back != a {
			rt.Fatalf("%s comes back as %s, %v", a, back, err)
		}
		if strings.Compare(textA, textB) != strings.Compare(string(a[:]), string(b[:])) {
			rt.Fatalf("%s and %s are in another order than %s and %s", textA, textB, a, b)
		}
		var scanned, raw answer.UUID
		if scanned.Scan(a.String()) != nil || raw.Scan(a[:]) != nil || scanned != a || raw != a {
			rt.Fatalf("%s is scanned as %s and %s", a, scanned, raw)
		}
		last := a
		last[15] = rapid.Byte().Draw(rt, "last")
		if got, want := answer.Derive("refund", textA, last[15]), answer.Encode("refund", last); got != want {
			rt.Fatalf("from %s is derived %s, not %s", textA, got, want)
		}
		text := "pay_" + rapid.StringMatching(`[0-9a-z]{26}`).Draw(rt, "text")
		if u, err := answer.Decode("pay", text); err == nil && answer.Encode("pay", u) != text {
			rt.Fatalf("%s and %s are one UUID", text, answer.Encode("pay", u))
		}
	})
}
