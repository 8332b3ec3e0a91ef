package logfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/lists/test/testenv"
)

// The parts of a rotated log are read from the oldest to the one that is being written, whatever rotates them.
func TestOrder(t *testing.T) {
	for _, want := range [][]string{
		{"mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"},
		{"maillog-20261031", "maillog-20261107.xz", "maillog-20261114", "maillog"},
		{"mainlog.2.zst", "mainlog.1", "mainlog"},
		{"mail.log-20261128-05.gz", "mail.log-20261128-06.gz", "mail.log"},
		{"mail.log-2026112805", "mail.log-2026112806", "mail.log"},
		{"mail.log.20261127", "mail.log.20261128", "mail.log"},
		{"mx1.log.1", "mx1.log", "mx2.log.1", "mx2.log"},
		{"maillog.2.bz2", "maillog.1.bz2", "maillog.0", "maillog"},
		{"maillog.20261127T000000.bz2", "maillog.20261128T000000", "maillog"},
		{"mail.10.log.gz", "mail.2.log", "mail.1.log", "mail.log"},
		{"mail-20261127.log.gz", "mail-20261128.log", "mail.log"},
		{"mail.log-2026-11-27", "mail.log-2026-11-28_06.gz", "mail.log"},
		{"mail.log-20261127-1795737600", "mail.log-20261128-1795824000", "mail.log"},
	} {
		dir := t.TempDir()
		for _, name := range want {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := Find([]string{filepath.Join(dir, "*")})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			got = append(got, filepath.Base(f.Path))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A log is read once, whatever names it has, and a part once that is there compressed and as it was.
func TestFindOnce(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"mail.log", "mail.log.1", "mail.log.1.gz", "mail.log.2.gz", "other.gz"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Link("mail.log", "hard"), os.Symlink("mail.log", "soft")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ patterns, want []string }{
		{[]string{"mail.log", "./mail.log", filepath.Join(dir, "mail.log"), "hard", "soft"}, []string{"mail.log"}},
		{[]string{"mail.log*"}, []string{"mail.log.2.gz", "mail.log.1", "mail.log"}},
		{[]string{"mail.log.1.gz", "other.gz"}, []string{"mail.log.1.gz", "other.gz"}},
	} {
		files, err := Find(test.patterns)
		var got []string
		for _, f := range files {
			got = append(got, f.Path)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, %v, want %q", test.patterns, got, err, test.want)
		}
	}
}

// A log that is rotated between Find and Open is not read under the name of another part.
func TestRotatedMeanwhile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("mail.log.1", []byte("old\n"), 0o600), os.WriteFile("mail.log", []byte("new\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	files, err := Find([]string{"mail.log*"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		l, err := f.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	if err := errors.Join(os.Rename("mail.log.1", "mail.log.2"), os.Rename("mail.log", "mail.log.1")); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, err := f.Open(t.Context()); err == nil {
			t.Errorf("%s: another file was read", f.Path)
		}
	}
}

// A copy has the time at which it was copied. The date in its name is nearer.
func TestNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "maillog-20201107")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := Find([]string{path})
	if want := time.Date(2020, 11, 9, 0, 0, 0, 0, time.UTC); err != nil || !files[0].Newest.Equal(want) {
		t.Errorf("got %v, %v, want %v", files, err, want)
	}
}

func TestFindErrors(t *testing.T) {
	dir := t.TempDir()
	for pattern, want := range map[string]string{
		filepath.Join(dir, "none*"): "no such file", filepath.Join(dir, "["): "syntax error in pattern", dir: "is a directory",
	} {
		if _, err := Find([]string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}

// Ctrl-C ends the wait for a program that writes nothing, or that does not open the pipe.
func TestOpenInterrupted(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	silent, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, open := range map[string]func(context.Context) (*Log, error){
		"no writer": func(ctx context.Context) (*Log, error) { return Open(ctx, fifo) },
		"silent":    func(ctx context.Context) (*Log, error) { return NewLog(ctx, io.NopCloser(silent)) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			_, err := open(ctx)
			result <- err
		}()
		cancel()
		select {
		case err := <-result:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it goes on to wait", name)
		}
	}
	unblock, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	unblock.Close()
}

func readAll(t *testing.T, path string) (text string, err error) {
	t.Helper()
	l, err := Open(t.Context(), path)
	if err != nil {
		return "", err
	}
	defer l.Close()
	b, err := io.ReadAll(l)
	return string(b), err
}

// What the usual programs write is read, under any name, and also if several parts were joined. A log that is cut off is an
// error, and what came before is read.
func TestCompressed(t *testing.T) {
	testenv.Needs(t, "gzip", "zstd", "xz", "bzip2")
	text := strings.Repeat("Nov 28 05:00:00 mx postfix/smtpd[1]: connect from a.example.org[192.0.2.1]\n", 10_000)
	for _, program := range []string{"cat", "gzip -9", "zstd -19", "zstd --long=27", "xz -9", "bzip2"} {
		t.Run(program, func(t *testing.T) {
			words := strings.Fields(program)
			cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
			cmd.Stdin = strings.NewReader(text)
			stored, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "mail.log")
			write := func(b []byte) {
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(stored)
			if got, err := readAll(t, path); err != nil || got != text {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(text))
			}
			write(append(bytes.Clone(stored), stored...))
			if got, err := readAll(t, path); err != nil || got != text+text {
				t.Errorf("twice: got %d bytes, %v, want %d", len(got), err, 2*len(text))
			}
			write(stored[:len(stored)/2])
			if got, err := readAll(t, path); !strings.HasPrefix(text, got) || program != "cat" && err == nil {
				t.Errorf("half: got %d bytes, %v, want an error", len(got), err)
			}
		})
	}
}

// oneByte reads as little as can be.
type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), 1)]) }

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine+5)
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a\nb", []string{"a", "b"}},
		{"a\r\n\nb\n", []string{"a", "", "b"}},
		{"a\n" + long + "\nb\n", []string{"a", long[:maxLine], "b"}},
		{long, []string{long[:maxLine]}},
	} {
		for _, reader := range []io.Reader{strings.NewReader(c.text), oneByte{strings.NewReader(c.text)}} {
			var got []string
			if err := EachLine(t.Context(), reader, func(line []byte) { got = append(got, string(line)) }); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%.10q: got %d lines, want %d", c.text, len(got), len(c.want))
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := EachLine(ctx, strings.NewReader(strings.Repeat("a\n", 2*maxLine)), func([]byte) { n++; cancel() })
	if err == nil || n > maxLine {
		t.Errorf("cancelled: %v after %d lines", err, n)
	}
}
