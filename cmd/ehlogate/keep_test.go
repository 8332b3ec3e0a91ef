package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCommandTimeout checks that a command that hangs is ended with all its processes.
func TestCommandTimeout(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	err = execCommand(t.Context(), "echo begun; sleep 1000 & wait", 200*time.Millisecond, in, in)
	if err == nil || !strings.Contains(err.Error(), "did not end within 200ms") {
		t.Errorf("%v; want a timeout", err)
	}
	in.Close()
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(out); err != nil || string(text) != "begun\n" { // it ends when the last process has
		t.Errorf("%q, %v", text, err)
	}
}
