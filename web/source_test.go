//go:build ci

package web

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// With these the checks in Chromium run against a gateway that is running already, in its demo:
//
//	go test -tags ci ./web -run /Chromium -graphiql-url=http://127.0.0.1:8080
var (
	graphiqlURL        = flag.String("graphiql-url", "", "check this gateway's page instead of a stand-in's")
	graphiqlScreenshot = flag.String("graphiql-screenshot", "", "write the page as a PNG to this file")
)

// TestGraphiQLFromItsSources needs Node, npm's registry and Chromium. One clean installation, in a copy,
// serves both parts.
func TestGraphiQLFromItsSources(t *testing.T) {
	sources := filepath.Join(t.TempDir(), "graphiql")
	copySources(t, "graphiql", sources)
	command(t, sources, nil, "npm", "ci", "--no-audit", "--no-fund")

	t.Run("npm run build gives the bytes that are committed", func(t *testing.T) {
		command(t, sources, nil, "npm", "run", "build")
		compareTrees(t, filepath.Join(sources, "..", "dist", "graphiql"), filepath.Join("dist", "graphiql"))
	})
	t.Run("in Chromium the demo's page keeps its promises", func(t *testing.T) {
		args := []string{"--url", *graphiqlURL}
		if *graphiqlURL == "" {
			server := httptest.NewServer(newStandIn(t, sources, &Demo{ClientID: "demo", ClientSecret: "demo"}))
			defer server.Close()
			args = []string{"--standin", "--url", server.URL}
		}
		if *graphiqlScreenshot != "" {
			file, err := filepath.Abs(*graphiqlScreenshot)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, "--screenshot", file)
		}
		checkInChromium(t, sources, args...)
	})
	t.Run("in Chromium the page works with the gateway itself", func(t *testing.T) {
		checkInChromium(t, sources, "--url", gateway(t))
	})
	t.Run("in Chromium the page outside the demo asks for a token", func(t *testing.T) {
		server := httptest.NewServer(newStandIn(t, sources, nil))
		defer server.Close()
		checkInChromium(t, sources, "--live", "--url", server.URL)
	})
}

// gateway is the address of a gateway of the built program, with demo data of its own. It ends with the test.
func gateway(t *testing.T) (address string) {
	t.Helper()
	dir, err := embeddedtest.NewFolder()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "paygraph")
	command(t, "..", nil, "go", "build", "-buildvcs=false", "-o", program, ".")
	cmd := exec.Command(program, "--port=0", "--data-dir", filepath.Join(dir, "data"))
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if word, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " "); word == "GraphiQL" {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return strings.TrimSuffix(strings.TrimSpace(rest), "/")
		}
	}
	t.Fatal("the gateway did not say where GraphiQL is")
	return ""
}

// checkInChromium drives the page as browser/check.mjs says.
func checkInChromium(t *testing.T, sources string, args ...string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Debian's package chromium is missing: %v", err)
	}
	args = append([]string{"browser/check.mjs", "--chromium", chromium}, args...)
	t.Logf("%s", command(t, sources, nil, "node", args...))
}

// command runs a program and answers what it printed; the test ends where it fails.
func command(t *testing.T, dir string, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(stdin), &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout, stderr.Bytes())
	}
	return stdout
}

func copySources(t *testing.T, from, to string) {
	t.Helper()
	for name, text := range readTree(t, from) {
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compareTrees(t *testing.T, built, committed string) {
	t.Helper()
	want, got := readTree(t, committed), readTree(t, built)
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is committed and not built", name)
		}
	}
	for name, text := range got {
		switch old, ok := want[name]; {
		case !ok:
			t.Errorf("%s is built and not committed", name)
		case !bytes.Equal(old, text):
			t.Errorf("%s differs from what is committed", name)
		}
	}
}

// readTree reads all files below a folder but those of node_modules.
func readTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files[relative], err = os.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
