package main

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// TestARestoreToAPointInTimeIsProvenByVerify takes a base backup between payments, loses the cluster, and makes another one of the backup and
// the archived log, as of a moment at which the merchant's head was noted.
func TestARestoreToAPointInTimeIsProvenByVerify(t *testing.T) {
	t.Parallel()
	archive := embeddedtest.Folder(t)
	if err := os.Chmod(archive, 0o777); err != nil { // PostgreSQL's user may be another
		t.Fatal(err)
	}
	lost := startCluster(t, embedded.Config{
		Dir: embeddedtest.Folder(t), Settings: map[string]string{"archive_mode": "on", "archive_command": "cp %p " + archive + "/%f"},
	})
	db := ownerOf(t, lost)
	database := []string{"DATABASE_URL=" + lost.DSN(), "PUBLIC_URL=http://127.0.0.1:1"} // one token for both clusters
	gateway := newNode(t, database)
	gateway.ready()
	made := makeMerchant(t, database)
	c := clientOf(t, gateway.program, made.ClientID, made.ClientSecret)
	from, to := c.newWallet(t, "10.00"), c.newWallet(t, "0.01")

	inBackup := c.payments(t, "in-the-backup", from, to)
	backup := baseBackup(t, lost)
	inArchive := c.payments(t, "in-the-archive", from, to)
	noted := noteOf(t, database)
	var moment string
	if err := db.QueryRowContext(t.Context(), `SELECT clock_timestamp()::text`).Scan(&moment); err != nil {
		t.Fatal(err)
	}
	good := c.headCursor(t)
	tooLate := c.payments(t, "after-the-moment", from, to)
	later, bad := noteOf(t, database), c.headCursor(t)
	awaitArchived(t, db)
	gateway.stop()
	_ = lost.Stop(t.Context())

	restored := startCluster(t, embedded.Config{
		Dir: embeddedtest.Folder(t), Origin: &embedded.Origin{Of: lost, Backup: backup, As: embedded.Recovering},
		Settings: map[string]string{
			"restore_command": "cp " + archive + "/%f %p", "recovery_target_time": moment, "recovery_target_action": "promote",
		},
	})
	awaitWrites(t, ownerOf(t, restored))
	database[0] = "DATABASE_URL=" + restored.DSN()
	output(t, database, "verify", "--expect", noted)
	wantContains(t, refusal(t, database, "verify", "--expect", later), "was expected")
	again := newNode(t, database)
	again.ready()
	c = again.client(c.token)
	for key, known := range c.wasDecided(t, append(append(inBackup, inArchive...), tooLate...)) {
		if want := !strings.HasPrefix(key, "after-the-moment"); known != want {
			t.Errorf("%s is known: %v, want %v", key, known, want)
		}
	}
	c.wantCursor(t, good, "")
	c.wantCursor(t, bad, "CURSOR_INVALID")
	c.payments(t, "in-another-history", from, to) // as many as are lost
	c.wantCursor(t, good, "")
	c.wantCursor(t, bad, "CURSOR_INVALID")
	output(t, database, "verify", "--expect", noted)
}

// payments pays twenty times, and returns the keys.
func (c *client) payments(t *testing.T, name, from, to string) (keys []string) {
	t.Helper()
	for i := range 20 {
		key := fmt.Sprintf("%s-payment-%03d", name, i)
		if status, err := c.pay(key, from, to); err != nil || status != "SUCCEEDED" {
			t.Fatalf("%s: %s, %v", key, status, err)
		}
		keys = append(keys, key)
	}
	return keys
}

func (c *client) headCursor(t *testing.T) string {
	t.Helper()
	var data struct{ EventHead head }
	c.must(t, `{ eventHead { cursor } }`, nil, &data)
	return data.EventHead.Cursor
}

// wantCursor reads the log after a cursor. code is the error's, or empty.
func (c *client) wantCursor(t *testing.T, cursor, code string) {
	t.Helper()
	errs, err := c.ask(`query ($after: Cursor) { events(first: 1, after: $after) { nodes { id } } }`, map[string]any{"after": cursor}, nil)
	if err != nil || len(errs) == 0 && code != "" || len(errs) > 0 && errs[0].Extensions.Code != code {
		t.Errorf("the log after a cursor: %v, %v; want %q", errs, err, code)
	}
}

// noteOf is what verify prints of the head of a database's only merchant.
func noteOf(t *testing.T, database []string) string {
	t.Helper()
	_, note, _ := strings.Cut(strings.TrimSpace(output(t, database, "verify")), "  ")
	return note
}

// awaitWrites waits until a server has recovered: it answers questions earlier.
func awaitWrites(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		recovering := true
		err := db.QueryRowContext(t.Context(), `SELECT pg_is_in_recovery()`).Scan(&recovering)
		if !recovering {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not recover: %v", err)
		}
	}
}

// awaitArchived waits until all that was committed is in the archive.
func awaitArchived(t *testing.T, db *sql.DB) {
	t.Helper()
	var last string
	if err := db.QueryRowContext(t.Context(), `SELECT pg_walfile_name(pg_switch_wal())`).Scan(&last); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var archived bool
		err := db.QueryRowContext(t.Context(), `SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver`, last).Scan(&archived)
		if archived {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not archived: %v", last, err)
		}
	}
}
