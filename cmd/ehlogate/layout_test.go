package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const internal = "cmd/ehlogate/internal/"

// rooms lists the packages that ship and what each of them may import of this module. A trailing slash stands for
// everything below. Packages of tests (isTest) may import everything, and nothing that ships imports them.
var rooms = map[string][]string{
	"lists":                 nil,
	"lists/dnsclient":       nil,
	"lists/printable":       nil,
	"lists/diag":            {"lists/printable"},
	"lists/answer":          nil,
	"lists/lazyregexp":      nil,
	"lists/iptable":         {"lists"},
	"lists/filewatch":       {"lists/diag"},
	"lists/listfile":        {"lists", "lists/diag", "lists/filewatch", "lists/iptable", "lists/lazyregexp", "lists/prefixset", "lists/recognise", "lists/uselog"},
	"lists/feed":            {"lists", "lists/answer", "lists/diag", "lists/iptable", "lists/lazyregexp", "lists/listfile"},
	"lists/prefixset":       nil,
	"lists/uselog":          nil,
	"lists/recognise":       {"lists/lazyregexp"},
	"lists/secret":          {"lists/lazyregexp"},
	"lists/breaker":         {"lists/dnsclient"},
	"lists/dnscache":        {"lists", "lists/breaker", "lists/dnsclient"},
	"lists/dnsbl":           {"lists", "lists/answer", "lists/breaker", "lists/dnscache", "lists/dnsclient", "lists/prefixset", "lists/secret"},
	"lists/iprev":           {"lists", "lists/breaker", "lists/dnscache", "lists/dnsclient", "lists/prefixset"},
	"lists/statefile":       nil,
	"lists/learnstore":      nil,
	"lists/fallback":        {"lists", "lists/learnstore", "lists/maillog"},
	"lists/tlsrpt":          {"lists", "lists/dnsclient", "lists/printable", "lists/statefile"},
	"lists/tlspolicy":       {"lists", "lists/dnsclient", "lists/filewatch", "lists/lazyregexp", "lists/statefile"},
	"lists/ratelimit":       {"lists"},
	"lists/pressure":        nil,
	"lists/maillog":         {"lists"},
	"lists/earned":          {"lists", "lists/learnstore", "lists/maillog"},
	"lists/maillog/logfile": {"lists/lazyregexp"},

	"policyd":            {"lists"},
	"policyd/memcache":   {"lists", "policyd"},
	"policyd/socketmap":  {"lists", "policyd"},
	"policyd/tcptable":   {"lists", "policyd"},
	"policyd/delegation": {"lists", "lists/printable", "policyd"},
	"milter":             {"lists", "lists/printable", "milter/oneconn"},
	"milter/oneconn":     nil,

	"cmd/ehlogate":           {"lists", "lists/", "policyd", "policyd/", "milter", internal},
	internal + "loglimit":    nil,
	internal + "logformat":   {"lists/diag", "lists/filewatch", "lists/printable"},
	internal + "server":      {internal + "loglimit"},
	internal + "nft":         {"lists/lazyregexp"},
	internal + "cpupressure": {"lists/filewatch", "lists/pressure", "lists/ratelimit"},
	internal + "config":      {"lists", "lists/", "policyd/delegation", "milter", internal + "server"},
	internal + "logs":        {"lists/filewatch", "lists/maillog", "lists/maillog/logfile", "lists/statefile", internal + "server"},
	internal + "learn":       {"lists", "lists/earned", "lists/fallback", "lists/learnstore", "lists/maillog"},
	internal + "state":       {"lists", "lists/", "policyd", internal + "config", internal + "cpupressure", internal + "learn", internal + "logformat", internal + "logs", internal + "server"},
	internal + "running":     {"lists/printable", internal + "config", internal + "cpupressure", internal + "server"},
	internal + "explain":     {"lists", "lists/earned", "lists/fallback", "lists/filewatch", "lists/printable", "lists/secret", "lists/tlspolicy", "policyd", "policyd/", internal + "cpupressure", internal + "learn", internal + "logs", internal + "running", internal + "state"},
	internal + "replace":     nil,
	internal + "edit":        {"lists/filewatch", "lists/listfile", "lists/printable", internal + "replace"},
	internal + "listedit":    {"lists", "lists/diag", "lists/filewatch", "lists/iptable", "lists/listfile", "lists/printable", "lists/secret", "lists/uselog", internal + "config", internal + "edit", internal + "replace", internal + "state"},
	internal + "adopt":       {"lists", "lists/feed", "lists/printable"},
	internal + "export":      {"lists", "lists/", "policyd", "policyd/", internal + "config", internal + "nft", internal + "state"},
	internal + "doctor":      {"lists", "lists/", "policyd", "policyd/", internal + "config", internal + "cpupressure", internal + "export", internal + "nft", internal + "running", internal + "server", internal + "state"},
	internal + "telemetry":   {"lists", "lists/", "policyd", "milter", internal + "config", internal + "cpupressure", internal + "logformat", internal + "loglimit", internal + "logs", internal + "state"},
	internal + "replay":      {"lists", "lists/earned", "lists/fallback", "lists/learnstore", "lists/maillog", "lists/printable", "lists/ratelimit", internal + "config", internal + "state"},
	internal + "tlsreport":   {"lists", "lists/dnsclient", "lists/maillog", "lists/printable", "lists/tlsrpt"},
	internal + "httpapi":     {"lists", "lists/", "milter/oneconn", internal + "cpupressure", internal + "explain", internal + "learn", internal + "logs", internal + "running", internal + "state", internal + "telemetry"},
	internal + "page":        {"lists", "lists/", internal + "explain", internal + "httpapi", internal + "listedit", internal + "logs", internal + "running", internal + "state", internal + "telemetry"},
}

// isTest reports whether the package is there for tests alone.
func isTest(path string) bool {
	return strings.HasPrefix(path, internal+"test/") || strings.HasPrefix(path, "lists/test/") || path == "policyd/internal/prototest"
}

// TestLayout holds the tree to the design: which package may import which, and that every package says what it is for.
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
	seen := map[string]bool{}
	for dec := json.NewDecoder(out); ; {
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
		seen[path] = true
		if slices.Contains(p.Imports, "regexp") && !isTest(path) && path != "lists/lazyregexp" {
			t.Errorf("%s imports regexp: what is compiled when the program starts stays in memory; use lists/lazyregexp", path)
		}
		if p.Doc == "" {
			t.Errorf("%s has no package documentation", path)
		}
		if _, ok := rooms[path]; !ok && !isTest(path) {
			t.Errorf("%s is in no room: name it in the table, with what it may import", path)
		}
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, "ehlogate/")
			if ok && !mayImport(path, ours) {
				t.Errorf("%s imports %s", path, ours)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for path := range rooms {
		if !seen[path] {
			t.Errorf("the table names %s, which does not exist", path)
		}
	}
}

func mayImport(path, imp string) bool {
	if isTest(path) {
		return true
	}
	return slices.ContainsFunc(rooms[path], func(allowed string) bool {
		if strings.HasSuffix(allowed, "/") {
			return strings.HasPrefix(imp, allowed) && !isTest(imp)
		}
		return imp == allowed
	})
}

// revealing lists the functions that may see the domain of a DNS list with its key, by the function that they call for it.
var revealing = map[string][]string{
	"Reveal":   {"lists/dnsbl/zone.go domainOf"},
	"domainOf": {"lists/dnsbl/answer.go query", "lists/dnsbl/zone.go question"}, // of which the second uses its length
}

// TestReveal proves that only a DNS query has the domain of a DNS list: nothing else that ships calls, or even names, what
// returns it.
func TestReveal(t *testing.T) {
	found := make(map[string][]string)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			where := strings.TrimPrefix(path, "../../")
			if f, ok := decl.(*ast.FuncDecl); ok {
				where += " " + f.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && revealing[s.Sel.Name] != nil {
					found[s.Sel.Name] = append(found[s.Sel.Name], where)
				}
				return true
			})
		}
		return nil
	})
	if err != nil || !reflect.DeepEqual(found, revealing) {
		t.Errorf("%v is used in %v, %v", slices.Sorted(maps.Keys(revealing)), found, err)
	}
}

// TestLayoutCanFail shows that the guard refuses, for every package that ships, an import of test support, and for all
// but main an import of the package that wires them.
func TestLayoutCanFail(t *testing.T) {
	for path := range rooms {
		for _, imp := range []string{internal + "test/mtatest", "lists/test/dnstest", "policyd/internal/prototest", "cmd/ehlogate"} {
			if mayImport(path, imp) {
				t.Errorf("%s may import %s", path, imp)
			}
		}
	}
	for _, pair := range [][2]string{
		{"lists", "lists/listfile"}, {"lists/iptable", "lists/listfile"}, {"lists/filewatch", "lists/listfile"}, {"lists/listfile", internal + "config"}, {"policyd/memcache", "policyd/socketmap"},
		{"milter", "policyd"}, {"policyd", "milter"}, {internal + "config", internal + "state"}, {internal + "doctor", internal + "httpapi"}, {internal + "telemetry", internal + "httpapi"},
	} {
		if mayImport(pair[0], pair[1]) {
			t.Errorf("%s may import %s", pair[0], pair[1])
		}
	}
}
