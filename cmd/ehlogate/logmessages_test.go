package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// logMethods are the methods that log, with the place of the message among their arguments.
var logMethods = map[string]int{"Debug": 0, "Debugf": 0, "Info": 0, "Infof": 0, "Warn": 0, "Warnf": 0, "Error": 0, "Errorf": 0, "Logf": 1, "LogProblems": 2}

// freeMessages are the messages that are no text in the source: of mistakes in files, of libraries, and of variables that get
// their text elsewhere.
var freeMessages = []string{"p.Message", "strings.TrimSpace", "msg", "faultMessage"}

var formatVerb = regexp.MustCompile(`%[.0-9]*[a-z]`)

// chain returns the names of an expression, such as "r.log.WithFields".
func chain(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return chain(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return chain(e.Fun)
	case *ast.TypeAssertExpr:
		return chain(e.X)
	}
	return ""
}

// messageText returns a message as a format: what is no literal becomes a verb.
func messageText(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		return messageText(sum.X) + messageText(sum.Y)
	}
	if s := literal(e); s != "" {
		return s
	}
	return "%s"
}

// schemaText returns a message as the schema has it: a text, or a pattern if a part of it is no literal.
func schemaText(message string) string {
	if !formatVerb.MatchString(message) {
		return message
	}
	parts := formatVerb.Split(strings.ReplaceAll(message, "%%", "\x00"), -1)
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(regexp.QuoteMeta(p), "\x00", "%")
	}
	return "^" + strings.Join(parts, ".*") + "$"
}

// loggedMessage returns the message that a call logs, or nil if it does not log.
func loggedMessage(call *ast.CallExpr) ast.Expr {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !regexp.MustCompile(`(?i)log|limiter|ofDomain|withProblem`).MatchString(chain(method.X)) {
		return nil
	}
	at, ok := logMethods[method.Sel.Name]
	if method.Sel.Name == "Warn" && len(call.Args) == 3 { // of a loglimit.Limiter
		at = 1
	}
	if !ok || at >= len(call.Args) {
		return nil
	}
	return call.Args[at]
}

// messagesOf adds the messages that a file logs.
func messagesOf(t *testing.T, path string, file *ast.File, messages map[string]bool) {
	add := func(e ast.Expr) {
		if text := messageText(e); text != "%s" {
			messages[schemaText(text)] = true
		} else if !slices.Contains(freeMessages, chain(e)) {
			t.Errorf("%s: the test cannot tell what %s is in the log", path, chain(e))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if message := loggedMessage(n); message != nil {
				add(message)
			}
		case *ast.AssignStmt:
			if x, ok := n.Lhs[0].(*ast.Ident); ok && x.Name == "msg" && strings.HasSuffix(path, "state/report.go") {
				add(n.Rhs[0])
			}
		case *ast.BasicLit: // messages by reason
			if strings.HasSuffix(path, "telemetry/messages.go") && strings.Contains(literal(n), " ") {
				add(n)
			}
		}
		return true
	})
}

// sourceMessages returns the messages that the source logs, in the form of the schema.
func sourceMessages(t *testing.T) map[string]bool {
	t.Helper()
	messages := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.Contains(path, "internal/test/") || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			messagesOf(t, path, file, messages)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}
