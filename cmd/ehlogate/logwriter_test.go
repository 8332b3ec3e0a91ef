package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestLogWriter(t *testing.T) {
	var out bytes.Buffer
	w := newLogWriter(&out)
	for i := range 10 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Close()
	if got := out.String(); strings.Count(got, "line ") != 10 || strings.Contains(got, "lost") {
		t.Errorf("got %q", got)
	}
}

// A reader that stops loses lines and costs nobody anything.
func TestLogWriterNeverWaits(t *testing.T) {
	r, out := io.Pipe() // nobody reads, as yet
	w := newLogWriter(out)
	for i := range 3 * queuedLines {
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
	if n := strings.Count(got, "line "); n < queuedLines || n > 2*queuedLines || !strings.Contains(got, "log lines were lost") {
		t.Errorf("%d lines, and %q", n, got[max(0, len(got)-80):])
	}
}
