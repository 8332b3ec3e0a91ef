package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program of the mail server that hangs, fails or is missing is an error that says so, in time.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	install := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	install("hangs", "exec sleep 1000")
	install("forks", "sleep 1000 & echo $! >"+dir+"/pid; wait")
	install("fails", "echo one >&2; echo two >&2; exit 3")
	install("works", "echo \"$@\"")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for name, want := range map[string]string{
		"hangs": "timeout: hangs -x did not end in time",
		"forks": "timeout: forks -x did not end in time",
		"fails": "fails -x: exit status 3:\none\ntwo",
		"missing": "missing or elsewhere is not installed on this machine: doctor needs the mail server's own program to read its settings, " +
			"also those of copies; run doctor where it is installed, with --exim or --sendmail if it is not Postfix",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := runProgram(ctx, []string{name, "elsewhere"}, "-x")
		if took := time.Since(start); err == nil || !strings.HasPrefix(err.Error(), want) || took > 5*time.Second {
			t.Errorf("got %v after %v, want %s", err, took, want)
		}
	}
	if got, err := runProgram(t.Context(), []string{"missing", "works"}, "-x"); got != "-x\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runProgram(t.Context(), []string{"kill"}, strings.TrimSpace(string(pid))); err != nil {
		t.Error(err)
	}
}
