package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestVersion checks that the changelog begins with the version that the program prints.
func TestVersion(t *testing.T) {
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	first := regexp.MustCompile(`(?m)^## (\S+) \(\d{4}-\d\d-\d\d\)$`).FindStringSubmatch(string(changelog))
	if first == nil || first[1] != version {
		t.Errorf("got the heading %q, want ## %s (DATE)", first, version)
	}
	if got := runCommand(t, "version"); !strings.HasPrefix(got, "ehlogate "+version+" (") {
		t.Errorf("got %q, want version %s", got, version)
	}
	packageVersion = version + "-1"
	defer func() { packageVersion = "" }()
	if got := runCommand(t, "version"); !strings.HasPrefix(got, "ehlogate "+version+" (package "+version+"-1, go") {
		t.Errorf("got %q, want the version of the package too", got)
	}
}
