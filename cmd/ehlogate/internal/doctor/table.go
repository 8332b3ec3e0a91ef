package doctor

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxDepth is how deep tables may be nested.
const maxDepth = 100

// table is one lookup table in a setting.
type table struct {
	kind, name string
	proxied    bool // behind proxy:
	piped      bool // within a pipemap, behind another
	part       bool // of a pipemap or unionmap that is itself behind proxy:
}

func (t table) String() string { return t.kind + ":" + t.name }

// setting returns the table as it is in the setting of the service.
func (t table) setting() string {
	if t.proxied {
		return "proxy:" + t.String()
	}
	return t.String()
}

// needsDaemon reports whether the table is a client of a daemon.
func (t table) needsDaemon() bool {
	return t.kind == "memcache" || t.kind == "socketmap" || t.kind == "tcp"
}

// parseTables returns the tables in a setting, also those within a pipemap or
// unionmap. Words that are no tables are left out.
func parseTables(value string) []table { return appendTables(nil, value, table{}, 0) }

func appendTables(out []table, value string, around table, depth int) []table {
	for i, w := range splitList(value) {
		if inner, n := balanced(w); n > 0 && w[0] == '{' { // {type:name attribute=value ...}
			if ws := splitList(inner); len(ws) > 0 {
				w = ws[0]
			}
		}
		t := around
		t.piped = around.piped && i > 0
		for strings.HasPrefix(w, "proxy:") {
			t.proxied, w = true, w[len("proxy:"):]
		}
		var ok bool
		if t.kind, t.name, ok = strings.Cut(w, ":"); !ok || t.kind == "" || t.name == "" {
			continue
		}
		if inner, n := balanced(t.name); n > 0 && (t.kind == "pipemap" || t.kind == "unionmap") && depth < maxDepth {
			out = appendTables(out, inner, table{proxied: t.proxied, part: t.proxied, piped: t.kind == "pipemap"}, depth+1)
			continue
		}
		out = append(out, t)
	}
	return out
}

// fileName returns the file of a table. Relative names start from the queue directory, where all daemons run.
func (t table) fileName(v view) (name string, ok bool) {
	if t.name[0] == '{' { // the content itself, Postfix 3.7
		return "", false
	}
	switch t.kind {
	case "cidr", "regexp", "pcre", "texthash":
		name = t.name
	case "hash", "btree":
		name = t.name + ".db"
	case "lmdb", "cdb":
		name = t.name + "." + t.kind
	default:
		return "", false
	}
	if !path.IsAbs(name) {
		name = path.Join(v.value(queueDirectory), name)
	}
	return name, true
}

// hidesSTARTTLS reports whether a file or an inline table hides STARTTLS from any client; false if that cannot be
// known.
func (e *exam) hidesSTARTTLS(v view, t table) bool {
	if t.kind == "static" || t.kind == "inline" || t.name[0] == '{' {
		return namesSTARTTLS(t.name)
	}
	switch t.kind {
	case "cidr", "regexp", "pcre", "texthash":
		name, _ := t.fileName(v)
		data, err := e.host.ReadFile(name)
		if err != nil {
			return false
		}
		return slices.ContainsFunc(logicalLines(string(data)), func(l line) bool { return namesSTARTTLS(l.text) })
	}
	return false
}

func namesSTARTTLS(s string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return strings.ContainsRune(" \t,={}", r)
	}), func(w string) bool { return w == "starttls" })
}

// checkFile looks whether the file of a table is there, and as the lists are now.
func (e *exam) checkFile(v view, t table, at Place, id, why string, writes ...Write) {
	name, ok := t.fileName(v)
	if !ok {
		return
	}
	switch data, err := e.host.ReadFile(name); {
	case err == nil:
		if t.kind == "cidr" {
			e.checkExported(cidrFormat, name, data, at)
		}
	case errors.Is(err, errNotCopied) || errors.Is(err, fs.ErrPermission):
		e.addUnread(at, name, err)
	default:
		e.addHazard(id, at, "cannot open "+t.setting()+": "+plainReason(err), why, writes...)
	}
}

// plainReason returns an error without the operation and the name of the file.
func plainReason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
