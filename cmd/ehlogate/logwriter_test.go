package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/logformat"
)

func TestLogWriter(t *testing.T) {
	var out bytes.Buffer
	w := newLogWriter(&out, logformat.New(true))
	for i := range 10 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Close()
	if got := out.String(); strings.Count(got, "line ") != 10 || strings.Contains(got, "lost") {
		t.Errorf("got %q", got)
	}
}

// TestLogWriterNeverWaits checks that a reader that hangs loses lines and delays nothing.
func TestLogWriterNeverWaits(t *testing.T) {
	r, out := io.Pipe() // not read yet
	w := newLogWriter(out, logformat.New(true))
	for i := range 3 * maxQueuedLines {
		fmt.Fprintf(w, "line %d\n", i)
	}
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	w.Close()
	out.Close()
	got := <-read
	if n := strings.Count(got, "line "); n < maxQueuedLines || n > 2*maxQueuedLines || !strings.Contains(got, `"msg":"log lines were lost: the reader of the log is too slow","not_logged":`) {
		t.Errorf("%d lines, and %q", n, got[max(0, len(got)-80):])
	}
}
