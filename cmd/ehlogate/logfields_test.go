package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// literal returns the value of a string literal, or "".
func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		if s, err := strconv.Unquote(l.Value); err == nil {
			return s
		}
	}
	return ""
}

// fieldsOf returns the names of the log fields that a file sets.
func fieldsOf(file *ast.File) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit: // logrus.Fields{"name": ...}
			if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Fields" {
				for _, e := range n.Elts {
					names = append(names, literal(e.(*ast.KeyValueExpr).Key))
				}
			}
		case *ast.CallExpr: // log.WithField("name", ...)
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "WithField" {
				names = append(names, literal(n.Args[0]))
			} else if ok && s.Sel.Name == "WithError" {
				names = append(names, "error")
			}
		case *ast.AssignStmt: // f["name"] = ...
			for _, left := range n.Lhs {
				if i, ok := left.(*ast.IndexExpr); ok {
					if f, ok := i.X.(*ast.Ident); ok && f.Name == "f" && literal(i.Index) != "" {
						names = append(names, literal(i.Index))
					}
				}
			}
		}
		return true
	})
	return names
}

// documentedFields returns the log fields that the table in README.md describes.
func documentedFields(t *testing.T) (names []string) {
	t.Helper()
	_, table, ok := strings.Cut(documents(t)["cmd/ehlogate/README.md"], "| Field |")
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.SplitN(row+"||", "|", 3)[1], -1) {
			names = append(names, name[1])
		}
	}
	if !ok || len(names) < 20 {
		t.Fatalf("got the fields %q in the table of README.md", names)
	}
	slices.Sort(names)
	if all := slices.Compact(slices.Clone(names)); len(all) != len(names) {
		t.Errorf("a field is there twice: %q", names)
	}
	return names
}

// TestLogFields compares the fields of log lines in the source with the table in README.md: each has one name and one
// meaning.
func TestLogFields(t *testing.T) {
	var used []string
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.Contains(path, "internal/test/") || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return literal(i.Path) == "github.com/sirupsen/logrus" }) {
			used = append(used, fieldsOf(file)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(used)
	used = slices.Compact(used)
	if documented := documentedFields(t); !slices.Equal(used, slices.DeleteFunc(documented, isOwn)) {
		t.Errorf("the source has the fields\n%q\nand cmd/ehlogate/README.md\n%q", used, documented)
	}
}

// isOwn reports whether a field is one that the logger or the format sets.
func isOwn(name string) bool { return slices.Contains([]string{"time", "level", "msg", "at"}, name) }
