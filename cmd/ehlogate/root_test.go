package main

import (
	"strings"
	"testing"
)

// TestMissingParts: help says what another system than Linux lacks, in the width of help.
func TestMissingParts(t *testing.T) {
	if got := missingParts("linux"); got != "" {
		t.Errorf("linux: got %q, want nothing", got)
	}
	text := missingParts("freebsd")
	if !strings.Contains(text, "cpu_pressure") {
		t.Errorf("freebsd: got %q, want what it lacks", text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("line of %d columns: %s", len(line)-1, line)
		}
	}
}
