package containertest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ehlogate/lists/test/testenv"
)

const examples = "../../../../../examples"

func example(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, "container", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
	t.Cleanup(cancel)
	return ctx
}

// output runs a command that must succeed, and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(soon(t), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// temp is where images are built.
var temp string

func TestMain(m *testing.M) {
	var err error
	if temp, err = os.MkdirTemp("", "ehlogate-container-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(temp)
	os.Exit(code)
}

// buildContext runs examples/container/build.
func buildContext(dir string) error {
	out, err := exec.Command(filepath.Join(examples, "container/build"), dir).CombinedOutput()
	if err == nil && string(out) != "docker build -t ehlogate "+dir+"\n" {
		err = errors.New("another command")
	}
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}

// builtOnce returns the directory that an image is built of.
var builtOnce = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(temp, "context")
	return dir, buildContext(dir)
})

func built(t *testing.T) string {
	t.Helper()
	dir, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestImage checks what is in the image, and that the same source gives the same bytes.
func TestImage(t *testing.T) {
	testenv.Needs(t, "root", "crun")
	dir := built(t)
	var got strings.Builder
	for line := range strings.Lines(output(t, "tar", "--numeric-owner", "-tvf", filepath.Join(dir, "root.tar"))) {
		f := strings.Fields(line)
		got.WriteString(strings.Join([]string{f[0], f[1], f[5]}, " ") + "\n")
	}
	const want = `drwxr-xr-x 0/0 etc/
-rw-r--r-- 0/0 etc/group
-rw-r--r-- 0/0 etc/passwd
drwxr-xr-x 0/0 run/
drwxr-xr-x 0/0 usr/
drwxr-xr-x 0/0 usr/bin/
-rwxr-xr-x 0/0 usr/bin/ehlogate
drwxr-xr-x 0/0 usr/share/
drwxr-xr-x 0/0 usr/share/doc/
drwxr-xr-x 0/0 usr/share/doc/ehlogate/
-rw-r--r-- 0/0 usr/share/doc/ehlogate/copyright
drwxr-xr-x 0/0 var/
drwxr-xr-x 0/0 var/lib/
drwxr-xr-x 65532/65532 run/ehlogate/
drwxr-xr-x 65532/65532 var/lib/ehlogate/
`
	if got.String() != want {
		t.Errorf("got\n%s", &got)
	}
	licences := output(t, "tar", "-xOf", filepath.Join(dir, "root.tar"), "usr/share/doc/ehlogate/copyright")
	if strings.Contains(licences, "/usr/share/common-licenses") || !strings.Contains(licences, "Grant of Patent License") {
		t.Error("the licences refer to a file that the image does not have")
	}

	list := filepath.Join(dir, "ehlogate/lists/deny.list")
	for line := range strings.Lines(output(t, "cat", list)) {
		if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			t.Errorf("deny.list has %q", line)
		}
	}
	image := func(dir string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, "root.tar"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	// An operator's edit stays, and nothing else differs, in another directory with another umask.
	other := filepath.Join(temp, "a-longer-name")
	if err := os.MkdirAll(filepath.Join(other, "ehlogate/lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "ehlogate/lists/deny.list"), []byte("192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "sh", "-c", `umask 077; exec "$0" "$1"`, filepath.Join(examples, "container/build"), other)
	if !bytes.Equal(image(dir), image(other)) {
		t.Error("two builds differ")
	}
	if got := output(t, "cat", filepath.Join(other, "ehlogate/lists/deny.list")); got != "192.0.2.1\n" {
		t.Errorf("deny.list was replaced: %q", got)
	}
	if left, err := filepath.Glob(filepath.Join(other, "*")); err != nil || len(left) != 3 {
		t.Errorf("left: %q, %v", left, err)
	}
}
