package doctor

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"ehlogate/lists/listfile"
)

// table is one lookup table in a setting.
type table struct {
	kind, name string
	proxied    bool // behind proxy:
	piped      bool // within a pipemap, behind another
	part       bool // of a pipemap or unionmap that is itself behind proxy:
}

func (t table) String() string { return t.kind + ":" + t.name }

// full is the table as the service has it in its setting.
func (t table) full() string {
	if t.proxied {
		return "proxy:" + t.String()
	}
	return t.String()
}

// asks tells whether a lookup means to ask another process.
func (t table) asks() bool {
	return t.kind == "memcache" || t.kind == "socketmap" || t.kind == "tcp"
}

// tables gives the tables in a setting, also those within a pipemap or
// unionmap. What is no table is left out.
func tables(value string) []table { return appendTables(nil, value, table{}, 0) }

func appendTables(out []table, value string, around table, depth int) []table {
	for i, w := range words(value) {
		if inner, n := balanced(w); n > 0 && w[0] == '{' { // {type:name attribute=value ...}
			if ws := words(inner); len(ws) > 0 {
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

// file gives the name of the file behind a table. Relative names start from
// the queue directory, where all daemons run.
func (t table) file(v view) (name string, ok bool) {
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
		name = path.Join(v.get(queueDirectory), name)
	}
	return name, true
}

// hides reports whether the table hides STARTTLS from any client; false, too, if
// that cannot be known.
func (e *exam) hides(v view, t table) bool {
	if t.kind == "static" || t.kind == "inline" || t.name[0] == '{' {
		return mentionsSTARTTLS(t.name)
	}
	switch t.kind {
	case "cidr", "regexp", "pcre", "texthash":
		name, _ := t.file(v)
		data, err := e.host.ReadFile(name)
		if err != nil {
			return false
		}
		return slices.ContainsFunc(logicalLines(string(data)), func(l line) bool { return mentionsSTARTTLS(l.text) })
	}
	return false
}

func mentionsSTARTTLS(s string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return strings.ContainsRune(" \t,={}", r)
	}), func(w string) bool { return w == "starttls" })
}

// checkFile looks whether the file of a table is there.
func (e *exam) checkFile(v view, t table, at Place, id, why string, write Write) {
	name, ok := t.file(v)
	if !ok {
		return
	}
	switch data, err := e.host.ReadFile(name); {
	case err == nil:
		if t.kind == "cidr" {
			e.inStep("postfix-cidr", name, data, at)
		}
	case errors.Is(err, errNotCopied) || errors.Is(err, fs.ErrPermission):
		e.unread(at, name, err)
	default:
		e.add(Finding{ID: id, Severity: Hazard, Place: at, What: t.full() + " cannot be opened: " + reason(err), Why: why, Write: write})
	}
}

// reason is an error without the operation and the name.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// parameters are those of a memcache table.
type parameters struct {
	table  table
	view   view
	file   string // the name of the file that they stand in; empty: main.cf
	params map[string]string
}

// parameters reads those of a memcache table. It fails if they stand in a
// file that cannot be read.
func (e *exam) parameters(v view, t table) (*parameters, error) {
	p := &parameters{table: t, view: v}
	if t.name[0] != '/' && t.name[0] != '.' {
		return p, nil
	}
	p.file = t.name
	if !path.IsAbs(p.file) {
		p.file = path.Join(v.get(queueDirectory), p.file)
	}
	data, err := e.host.ReadFile(p.file)
	if err != nil {
		return nil, err
	}
	var problems listfile.Problems
	p.params = settings(output{p.file, string(data)}, &problems)
	return p, problems.Err()
}

// get gives a parameter, and where it stands or would. Files are not expanded.
func (p *parameters) get(name, def string) (value string, at Place) {
	if p.file != "" {
		value, ok := p.params[name]
		at = Place{File: p.file, Parameter: name, Value: value}
		if !ok {
			return def, at
		}
		return value, at
	}
	full := p.table.name + "_" + name
	if _, at, set := p.view.raw(full); set {
		return p.view.get(full), at
	}
	return def, Place{File: "main.cf", Parameter: full}
}

// write is the advice to set parameters.
func (p *parameters) write(settings ...string) Write {
	if p.file != "" {
		return Write{p.file, settings}
	}
	for i := range settings {
		settings[i] = p.table.name + "_" + settings[i]
	}
	return inMain(settings...)
}
