package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	configFile   = "postgresql.conf"
	passwordFile = "password"
)

// access is the cluster's pg_hba.conf: over the loopback, with a password, for whoever has one. The second line is for pg_basebackup and for
// standbys.
const access = "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"

// defaults are the product's settings. A payment that was answered is on the disk: fsync and synchronous_commit stay on.
var defaults = map[string]string{
	"cluster_name":            "paygraph",
	"listen_addresses":        "127.0.0.1",
	"unix_socket_directories": "",
	"max_connections":         "100",
	"shared_buffers":          sharedBuffers(),
	"fsync":                   "on",
	"synchronous_commit":      "on",
	"max_wal_size":            "4GB",
	"min_wal_size":            "1GB", // log files that were written once are used again: making a new one stops all commits for some 50 ms
	"wal_compression":         "on",
	"jit":                     "off",
	"timezone":                "UTC",
	"log_timezone":            "UTC",
}

// makeCluster makes the cluster, its owner and its database in the scratch folder, and gives it its name when all is done.
func makeCluster(ctx context.Context, f *folder, p programs, settings map[string]string) error {
	dir := f.path(scratch)
	data := filepath.Join(dir, "data")
	if err := mkdir(dir, f.as.folderMode()); err != nil {
		return err
	}
	if err := mkdir(data, 0o700); err != nil {
		return err
	}
	if err := f.as.own(data); err != nil {
		return err
	}
	// The access rules that initdb writes let nobody in; ours are used instead.
	initdb := []string{"-D", data, "-U", owner, "--auth=reject", "--encoding=UTF8", "--locale=C", "--data-checksums"}
	if settings["fsync"] == "off" {
		initdb = append(initdb, "--no-sync")
	}
	if _, err := f.run(ctx, "", p.program("initdb"), initdb...); err != nil {
		return err
	}
	if err := configure(ctx, f, p, dir, settings); err != nil {
		return err
	}
	password := rand.Text()
	sql := fmt.Sprintf("ALTER ROLE %s PASSWORD '%s';\nCREATE DATABASE %s;\n", owner, password, database)
	// No server is needed for this, nor a driver, nor the programs psql and createdb, which fetched archives lack.
	_, err := f.run(ctx, sql, p.program("postgres"), "--single", "-D", data, "-c", "config_file="+filepath.Join(dir, configFile),
		"-c", "exit_on_error=on", "postgres")
	if err != nil {
		return err
	}
	secret := filepath.Join(dir, passwordFile)
	if err := write(secret, 0o600, password); err != nil {
		return err
	}
	if err := errors.Join(toDisk(secret), toDisk(dir)); err != nil {
		return err
	}
	return f.keep(dir, clusterName)
}

// copyCluster makes the cluster of a base backup: in the scratch folder, and gives it its name when all is there.
func copyCluster(f *folder, o *Origin) error {
	dir := f.path(scratch)
	data := filepath.Join(dir, "data")
	if err := mkdir(dir, f.as.folderMode()); err != nil {
		return err
	}
	if err := os.CopyFS(data, os.DirFS(o.Backup)); err != nil {
		return err
	}
	if o.As != "" {
		if err := write(filepath.Join(data, o.As), 0o600, ""); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700) // as PostgreSQL wants it
		}
		return errors.Join(err, f.as.own(path))
	})
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, passwordFile), 0o600, o.Of.password); err != nil {
		return err
	}
	return f.keep(dir, clusterName)
}

// configure writes the configuration of the cluster in dir anew: initdb's, our defaults, and the settings asked for. The files are
// not in the data folder, so that root never writes where the account could have put a link.
func configure(ctx context.Context, f *folder, p programs, dir string, settings map[string]string) error {
	all := maps.Clone(defaults)
	all["hba_file"] = filepath.Join(dir, "pg_hba.conf")
	if p.knowsLZ4(ctx, f) {
		all["wal_compression"] = "lz4"
	}
	maps.Copy(all, settings)
	text := "# Written anew at each start of paygraph.\ninclude 'data/postgresql.conf'\n"
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text += name + " = '" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(all[name]) + "'\n"
	}
	if err := write(filepath.Join(dir, "pg_hba.conf"), 0o644, access); err != nil {
		return err
	}
	return write(filepath.Join(dir, configFile), 0o644, text)
}

// mkdir makes a folder with just this mode, whatever the umask.
func mkdir(path string, mode os.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// write writes a file with just this mode, whatever the umask.
func write(path string, mode os.FileMode, text string) error {
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// toDisk brings a file or a folder's list of names to the disk.
func toDisk(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return file.Sync()
}
