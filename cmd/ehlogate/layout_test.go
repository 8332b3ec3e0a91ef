package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// The tree keeps to the design: who may import whom, and every package says
// what it is for.
func TestLayout(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(out); ; seen++ {
		var p struct {
			ImportPath, Doc string
			Imports         []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(p.ImportPath, "ehlogate/")
		if p.Doc == "" {
			t.Errorf("%s has no package documentation", path)
		}
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, "ehlogate/")
			if ok && !mayImport(path, ours) {
				t.Errorf("%s imports %s", path, ours)
			}
		}
	}
	if err := cmd.Wait(); err != nil || seen < 10 {
		t.Fatalf("%d packages, %v", seen, err)
	}
}

func mayImport(path, imp string) bool {
	top := func(s string) string { s, _, _ = strings.Cut(s, "/"); return s }
	switch {
	case path == "lists":
		return false
	case path == "lists/feed": // other spellings of what is in list files
		return imp == "lists" || imp == "lists/file" || imp == "lists/strictjson"
	case path == "lists/resolve" || path == "lists/strictjson": // of DNS, and of JSON, and of nothing else
		return false
	case path == "lists/guard":
		return imp == "lists" || imp == "lists/resolve" || imp == "lists/strictjson"
	case path == "lists/dns":
		return imp == "lists" || imp == "lists/resolve"
	case path == "lists/dns/dnstest":
		return false
	case top(path) == "lists":
		return imp == "lists"
	case top(path) == "policyd":
		return imp == "lists" || imp == "policyd" || imp == "policyd/internal/prototest"
	case top(path) == "milter":
		return imp == "lists"
	}
	return top(path) == "cmd"
}
