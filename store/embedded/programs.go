package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the oldest major version of PostgreSQL that paygraph runs on.
const oldest = 15

// usualPlaces are the folders where PostgreSQL's programs are installed but not on PATH.
var usualPlaces = []string{
	"/usr/lib/postgresql/*/bin",                      // Debian, Ubuntu
	"/usr/pgsql-*/bin",                               // Red Hat, packages of postgresql.org
	"/usr/libexec/postgresql*",                       // Alpine
	"/opt/homebrew/opt/postgresql*/bin",              // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                 // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin", // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin", // built from source
}

// programs is a folder with PostgreSQL's initdb, postgres and pg_ctl in it.
type programs struct {
	dir          string
	major, minor int
}

func (p programs) program(name string) string { return filepath.Join(p.dir, name) }

func (p programs) String() string {
	return fmt.Sprintf("PostgreSQL %d.%d in %s", p.major, p.minor, p.dir)
}

// noPrograms says why none of the programs that were looked at will do.
type noPrograms struct{ reason string }

func (e noPrograms) Error() string { return e.reason }

// obtainPrograms finds PostgreSQL's programs, or else fetches them.
func obtainPrograms(ctx context.Context, f *folder, c Config) (programs, error) {
	p, err := findPrograms(ctx, f, c)
	if missing := (noPrograms{}); errors.As(err, &missing) {
		return fetchPrograms(ctx, f, c, missing)
	}
	return p, err
}

// findPrograms chooses among the installed programs, and those fetched earlier: for a cluster that exists only its own major
// version will do; otherwise what is on PATH comes first, then the newest.
func findPrograms(ctx context.Context, f *folder, c Config) (programs, error) {
	if _, err := f.run(ctx, "", "/bin/sh", "-c", ":"); err != nil { // says so if the account cannot enter the folder
		return programs{}, err
	}
	found, complaint := f.look(ctx, c.places)
	text, err := os.ReadFile(f.path(clusterName, "data", "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if len(found) > 0 {
			return found[0], nil
		}
		return programs{}, noPrograms{complaint}
	}
	if err != nil {
		return programs{}, unusable(f.dir, err)
	}
	want := strings.TrimSpace(string(text))
	if i := slices.IndexFunc(found, func(p programs) bool { return strconv.Itoa(p.major) == want }); i >= 0 {
		return found[i], nil
	}
	return programs{}, fmt.Errorf("the database in %s was made by PostgreSQL %s, which is not here any more; install that version, "+
		"or start afresh and lose the data", f.dir, want)
}

// look lists the programs that can be used, the best first, and says what is wrong with those that cannot.
func (f *folder) look(ctx context.Context, places []string) (found []programs, complaint string) {
	complaint = "PostgreSQL is not installed"
	judged := map[string]bool{"": true}
	judge := func(dir string) {
		dir = allIn(dir)
		if judged[dir] {
			return
		}
		judged[dir] = true
		p, err := f.examine(ctx, dir)
		switch {
		case err != nil:
			complaint = "the PostgreSQL in " + dir + " does not run: " + err.Error()
		case p.major < oldest:
			complaint = fmt.Sprintf("%v is too old, for paygraph needs %d or later", p, oldest)
		default:
			found = append(found, p)
		}
	}
	if places == nil {
		places = usualPlaces
		if path, err := exec.LookPath("postgres"); err == nil {
			judge(filepath.Dir(path))
		}
	}
	first := len(found)
	for _, pattern := range slices.Concat(places, []string{f.path("programs", "bin")}) {
		folders, _ := filepath.Glob(pattern)
		for _, dir := range folders {
			judge(dir)
		}
	}
	slices.SortStableFunc(found[first:], func(a, b programs) int {
		return cmp.Or(cmp.Compare(b.major, a.major), cmp.Compare(b.minor, a.minor))
	})
	return found, complaint
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)

// allIn tells where the programs of a folder really are, or "" if they are not there: folders on PATH often hold links to a few of
// them only.
func allIn(dir string) string {
	postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return ""
	}
	p := programs{dir: filepath.Dir(postgres)}
	for _, name := range []string{"initdb", "pg_ctl"} {
		if _, err := os.Stat(p.program(name)); err != nil {
			return ""
		}
	}
	return p.dir
}

// examine asks the programs in a folder for their version, as the user who is to run them.
func (f *folder) examine(ctx context.Context, dir string) (programs, error) {
	p := programs{dir: dir}
	line, err := f.run(ctx, "", p.program("postgres"), "--version")
	if err != nil {
		return programs{}, err
	}
	version := versionLine.FindStringSubmatch(line)
	if version == nil {
		return programs{}, fmt.Errorf("it says %q", line)
	}
	p.major, _ = strconv.Atoi(version[1])
	p.minor, _ = strconv.Atoi(version[2]) // absent in "17beta1"
	return p, nil
}

// knowsLZ4 tells whether these programs were built with LZ4, which costs less than the compression of the WAL that all have.
func (p programs) knowsLZ4(ctx context.Context, f *folder) bool {
	_, err := f.run(ctx, "", p.program("postgres"), "-D", f.dir, "-c", "config_file="+os.DevNull, "-c", "wal_compression=lz4",
		"-C", "wal_compression")
	return err == nil
}
