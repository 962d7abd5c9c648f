package embedded

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

func TestAFolderWithSomebodysFilesIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := embeddedtest.Folder(t)
	diary := filepath.Join(dir, clusterName)
	if err := os.WriteFile(diary, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, fresh := range []bool{false, true} {
		wantContains(t, refusal(t, Config{Dir: dir, Fresh: fresh}), "it holds files that paygraph did not make")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(diary); err != nil || string(text) != "dear diary" || len(entries) != 1 {
		t.Errorf("the folder has changed: %v, %q, %v", entries, text, err)
	}
}

func TestAFolderOfSomebodyElse(t *testing.T) {
	t.Parallel()
	dir := "/" // root's
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Skip(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		dir = embeddedtest.Folder(t)
		if err := os.Chown(dir, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	wantContains(t, refusal(t, Config{Dir: dir}), "cannot be used for the database: it belongs to the user ")
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := embeddedtest.Folder(t)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	wantContains(t, refusal(t, Config{Dir: dir}), "permission denied")
	wantContains(t, refusal(t, Config{Dir: filepath.Join(dir, "below")}), "permission denied")
}

func TestAFolderInAHomeThatIsClosed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("it is our own home, in which all tests are run")
	}
	dir := embeddedtest.Folder(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := Config{Dir: filepath.Join(dir, "paygraph")}
	wantContains(t, refusal(t, c), "may not enter "+c.Dir)
}

func TestAClusterOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	if err := os.WriteFile(filepath.Join(dir, clusterName, "data", "PG_VERSION"), []byte("14\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantContains(t, refusal(t, Config{Dir: dir}), "was made by PostgreSQL 14, which is not here any more")
}

func TestAWrongSetting(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	said := refusal(t, Config{Dir: dir, Settings: map[string]string{"max_connections": "many"}})
	wantContains(t, said, "PostgreSQL did not start: ")
	wantContains(t, said, "its log is "+filepath.Join(dir, "log"))
}
