package embedded

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// nowhere is where no programs are.
var nowhere = []string{}

func TestProgramsAreFetchedOnce(t *testing.T) {
	t.Parallel()
	jar := archive(t, installed(t))
	sum := sha256.Sum256(jar)
	fetched := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/maven/io/zonky/test/postgres/embedded-postgres-binaries-"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".jar"):
			fetched++
			_, _ = w.Write(jar)
		case strings.HasSuffix(r.URL.Path, ".jar.sha256"):
			_, _ = w.Write([]byte(hex.EncodeToString(sum[:])))
		}
	}))
	defer server.Close()
	dir := embeddedtest.Folder(t)
	var told []string
	for range 2 {
		c := start(t, Config{Dir: dir, places: nowhere, Archive: server.URL + "/maven", Progress: func(line string) {
			told = append(told, line)
		}})
		if want := filepath.Join(dir, "programs", "bin"); c.Programs() != want {
			t.Errorf("programs in %s, want %s", c.Programs(), want)
		}
		ask(t, c, "SELECT 1")
		stop(t, c)
	}
	if fetched != 1 {
		t.Errorf("fetched %d times", fetched)
	}
	wantContains(t, told[0], "fetching PostgreSQL, since PostgreSQL is not installed")
	if as, err := whoRuns(""); err != nil {
		t.Error(err)
	} else if uid, err := ownerOf(filepath.Join(dir, "programs", "bin", "postgres")); err != nil || uid != as.uid {
		t.Errorf("unpacked by user %d, want %d: %v", uid, as.uid, err)
	}
	if _, err := os.Stat(filepath.Join(dir, scratch)); err == nil {
		t.Error("the archive is still there")
	}
}

func TestNothingToFetchFrom(t *testing.T) {
	t.Parallel()
	dead := httptest.NewServer(nil)
	dead.Close()
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	jar := archive(t, map[string]string{"bin/postgres": "#!/bin/sh\n", "bin/initdb": "#!/bin/sh\n", "bin/pg_ctl": "#!/bin/sh\n"})
	forged := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".jar") {
			_, _ = w.Write(jar)
			return
		}
		_, _ = w.Write([]byte("the sum of another archive"))
	}))
	defer forged.Close()
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".jar") {
			_, _ = w.Write(jar)
			return
		}
		http.NotFound(w, r)
	}))
	defer mute.Close()
	for address, why := range map[string]string{
		dead.URL:   "unable to connect to " + dead.URL,
		empty.URL:  "no version found matching",
		forged.URL: "downloaded checksums do not match",
		mute.URL:   `it says ""`,
	} {
		said := refusal(t, Config{Dir: embeddedtest.Folder(t), places: nowhere, Archive: address})
		wantContains(t, said, "PostgreSQL is not installed, and fetching it failed ("+why)
		wantContains(t, said, "apt-get install postgresql")
		wantContains(t, said, "brew install postgresql")
	}
}

func TestProgramsThatAreTooOld(t *testing.T) {
	t.Parallel()
	old := embeddedtest.Folder(t)
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		script := "#!/bin/sh\necho '" + name + " (PostgreSQL) 13.4 (Debian 13.4-1)'\n"
		if err := os.WriteFile(filepath.Join(old, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dead := httptest.NewServer(nil)
	dead.Close()
	said := refusal(t, Config{Dir: embeddedtest.Folder(t), places: []string{old}, Archive: dead.URL})
	wantContains(t, said, "PostgreSQL 13.4 in "+old+" is too old, for paygraph needs 15 or later, and fetching it failed")
}

// installed are small programs in an archive's layout that run those installed on this machine, wherever these keep their files.
func installed(t *testing.T) map[string]string {
	t.Helper()
	f, err := openFolder(embeddedtest.Folder(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	p, err := findPrograms(t.Context(), f, Config{})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		files["bin/"+name] = "#!/bin/sh\nexec '" + p.program(name) + "' \"$@\"\n"
	}
	return files
}

// archive makes a .jar as the library wants it: a zip with a .txz in it.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var inner, outer bytes.Buffer
	tape := tar.NewWriter(&inner)
	for name, text := range files {
		if err := tape.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tape.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	jar := zip.NewWriter(&outer)
	file, err := jar.Create("postgres-anywhere.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(xz(inner.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := jar.Close(); err != nil {
		t.Fatal(err)
	}
	return outer.Bytes()
}

// xz wraps data as an .xz file (version 1.2.0 of its specification) without compressing it: no module that we have compresses so.
func xz(data []byte) []byte {
	sealed := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }
	padded := func(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

	flags := []byte{0, 0} // no check of the data
	file := append([]byte("\xfd7zXZ\x00"), flags...)
	file = binary.LittleEndian.AppendUint32(file, crc32.ChecksumIEEE(flags))

	// One block: a header (8 bytes, then its CRC) that names one filter, LZMA2 (0x21) with a dictionary of 64 KiB (8), and chunks.
	block := sealed([]byte{2, 0, 0x21, 1, 8, 0, 0, 0})
	size := len(data)
	for control := byte(1); len(data) > 0; control = 2 { // uncompressed: 1 resets the dictionary, 2 does not
		n := min(len(data), 1<<16)
		block = append(binary.BigEndian.AppendUint16(append(block, control), uint16(n-1)), data[:n]...)
		data = data[n:]
	}
	block = append(block, 0)
	file = append(file, padded(block)...)

	index := []byte{0, 1} // one block
	index = binary.AppendUvarint(index, uint64(len(block)))
	index = binary.AppendUvarint(index, uint64(size))
	index = sealed(padded(index))
	file = append(file, index...)

	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, flags...)
	file = binary.LittleEndian.AppendUint32(file, crc32.ChecksumIEEE(footer))
	return append(append(file, footer...), "YZ"...)
}
