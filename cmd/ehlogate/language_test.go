package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// language measures how the code of a tree speaks.
type language struct {
	commentLines int
	bare         []string // comment lines with a pronoun in place of an actor
	functions    int      // but for those that "go test" runs
	short        int      // functions with a name of four letters or fewer
	letters      int      // of the names of all functions
}

var (
	pronoun  = regexp.MustCompile(`(?i)\b(who|whom|whoever|nobody|somebody|everybody|he|him|his)\b`)
	testName = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`)
)

func (l *language) add(files *token.FileSet, file *ast.File) {
	for _, group := range file.Comments {
		for _, c := range group.List {
			for i, line := range strings.Split(c.Text, "\n") {
				l.commentLines++
				if pronoun.MatchString(line) {
					at := files.Position(c.Pos())
					at.Line += i
					l.bare = append(l.bare, at.String()+": "+line)
				}
			}
		}
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || testName.MatchString(f.Name.Name) {
			continue
		}
		l.functions++
		l.letters += len(f.Name.Name)
		if len(f.Name.Name) <= 4 {
			l.short++
		}
	}
}

// TestLanguage holds the code to plain English: comments name the actor, and functions say what they do. With -v it prints
// the measures.
func TestLanguage(t *testing.T) {
	var l language
	files := token.NewFileSet()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil {
			l.add(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.commentLines < 1000 || l.functions < 500 {
		t.Fatalf("got %d comment lines and %d functions: this is not the whole tree", l.commentLines, l.functions)
	}
	percent := func(n, of int) float64 { return 100 * float64(n) / float64(of) }
	t.Logf("%d comment lines, %.2f %% with a bare pronoun; %d functions, %.1f %% of four letters or fewer, %.1f letters on average",
		l.commentLines, percent(len(l.bare), l.commentLines), l.functions, percent(l.short, l.functions), float64(l.letters)/float64(l.functions))
	if got := percent(len(l.bare), l.commentLines); got > 0.2 {
		t.Errorf("got %.2f %% of comment lines with a bare pronoun, want at most 0.2 %%: name the actor\n%s", got, strings.Join(l.bare, "\n"))
	}
	if got := percent(l.short, l.functions); got > 15 {
		t.Errorf("got %.1f %% of functions with names of four letters or fewer, want at most 15 %%", got)
	}
}
