package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A template can call any method by its name. A program that executes one keeps every exported method of every type: 4 MB
// more, of which half is resident.
func TestNoTemplates(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ehlogate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(symbols), " T main.main\n") {
		t.Fatal("the program has no main.main")
	}
	if strings.Contains(string(symbols), " T text/template.(*state).evalField\n") {
		t.Error("the program executes templates of text/template or html/template")
	}
}
