package observe

import "testing"

func TestNamesOfStatements(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT id FROM payment WHERE id = $1":                                        "SELECT payment",
		"\n\tSELECT x FROM unnest($1) AS u, LATERAL (SELECT y FROM entry e) z":        "SELECT entry",
		"INSERT INTO used_once (a) SELECT $1":                                         "INSERT used_once",
		"BEGIN; EXECUTE lock_head('0198'); EXECUTE known_key('0198', '', 'FROM ada')": "BEGIN lock_head",
		"SELECT 'it''s FROM ada' FROM payment":                                        "SELECT payment",
		"EXECUTE known_key( E'it''s FROM ada', 'it''s FROM ada')":                     "EXECUTE known_key",
		"WRITE":    "WRITE",
		"ROLLBACK": "ROLLBACK",
		"":         "SQL",
	} {
		if got := statementName(text); got != want {
			t.Errorf("%q is named %q, want %q", text, got, want)
		}
	}
}
