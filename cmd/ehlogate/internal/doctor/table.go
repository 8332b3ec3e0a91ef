package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/lists/lazyregexp"
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

func (t table) String() string {
	if t.kind == "" {
		return t.name
	}
	return t.kind + ":" + t.name
}

// setting returns the table as it is in the setting of the service.
func (t table) setting() string {
	if t.proxied {
		return "proxy:" + t.String()
	}
	return t.String()
}

func (t table) needsDaemon() bool {
	return t.kind == "memcache" || t.kind == "socketmap" || t.kind == "tcp"
}

// parseTables returns the tables in a setting, also those within a pipemap or
// unionmap. The kind of a word that is no table is empty.
func parseTables(value string) []table { return appendTables(nil, value, table{}, 0) }

func appendTables(out []table, value string, around table, depth int) []table {
	for i, w := range splitList(value) {
		if inner, n := balanced(w); n > 0 { // {type:name attribute=value ...}
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
			t.kind, t.name = "", w
			out = append(out, t)
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
	suffix, ok := fileSuffixes[t.kind]
	if !ok || t.name[0] == '{' { // the content itself, Postfix 3.7
		return "", false
	}
	if name = t.name + suffix; !path.IsAbs(name) {
		name = path.Join(v.value(queueDirectory), name)
	}
	return name, true
}

// fileSuffixes are the ends that the file names of tables have, by type. Tables without one are text.
var fileSuffixes = map[string]string{
	"cidr": "", "regexp": "", "pcre": "", "texthash": "", "hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb",
}

var starttlsWord = lazyregexp.New(`(?i)(^|[\s,={}])starttls($|[\s,={}])`)

// isIndexed reports whether a table is a database, which postmap makes from a text.
func (t table) isIndexed() bool { return fileSuffixes[t.kind] != "" }

// textName returns the file with the text of a table: for a database, the one that postmap makes it from.
func (t table) textName(v view) (name string, ok bool) {
	name, ok = t.fileName(v)
	return strings.TrimSuffix(name, fileSuffixes[t.kind]), ok
}

// textOf returns the content of an inline table, or the text of a file; "" of others.
func (e *exam) textOf(v view, t table) string {
	switch name, isFile := t.textName(v); {
	case t.kind == "static" || t.kind == "inline" || strings.HasPrefix(t.name, "{"):
		return t.name
	case isFile:
		data, _ := e.host.readFile(name)
		return string(data)
	}
	return ""
}

// hidesSTARTTLS reports whether a file or an inline table hides STARTTLS from any client; false if that cannot be
// known.
func (e *exam) hidesSTARTTLS(v view, t table) bool {
	return slices.ContainsFunc(logicalLines(e.textOf(v, t)), func(l line) bool { return starttlsWord.MatchString(l.text) })
}

// openProblem returns why Postfix cannot open a table, in the words of its own postmap; "" if it can, or that is unknown.
func (e *exam) openProblem(v view, t table) string {
	_, isFile := t.fileName(v)
	switch {
	case t.kind == "":
		return "it must be TYPE:NAME, such as cidr:/etc/postfix/own.cidr; default_database_type is not for this setting"
	case t.needsDaemon() || isFile && e.host.saved != "":
		return ""
	}
	_, err := e.runPostmap(v, "x", t.String())
	if err == nil {
		return ""
	}
	_, reason, fatal := strings.Cut(err.Error(), "postmap: fatal: ")
	if e.host.saved != "" && strings.HasPrefix(reason, "unsupported dictionary type") || !fatal {
		return ""
	}
	return reason
}

// checkFile looks whether a table can be opened, and is as the lists are now. It reports false if Postfix cannot open it.
func (e *exam) checkFile(v view, t table, at Place, id, why string, writes ...Write) (opens bool) {
	switch problem := e.openProblem(v, t); {
	case strings.Contains(problem, "Permission denied") && os.Geteuid() != 0:
		e.addUnread(at, t.setting(), errors.New("permission denied"))
		return true
	case problem != "":
		e.add(Hazard, id, at, "cannot open "+t.setting()+": "+problem, why, writes...)
		return false
	}
	name, ok := t.textName(v)
	if !ok {
		return true
	}
	data, err := e.host.readFile(name)
	if t.isIndexed() && e.host.saved == "" {
		database, _ := t.fileName(v)
		if _, failed := os.Stat(database); failed != nil {
			name, err = database, failed
		} else if errors.Is(err, fs.ErrNotExist) {
			return true // the text is elsewhere
		}
	}
	switch {
	case err == nil:
		e.checkText(v, t, name, data, at)
	case errors.Is(err, errNotCopied) || errors.Is(err, fs.ErrPermission):
		e.addUnread(at, name, err)
	default:
		e.add(Hazard, id, at, "cannot open "+t.setting()+": "+plainReason(err), why, writes...)
		return false
	}
	return true
}

// checkText looks whether the text of a table is in use, and is as the lists are now.
func (e *exam) checkText(v view, t table, name string, text []byte, at Place) {
	format, _, ok := export.ParseHeader(text)
	ok = ok && export.IsForPostfix(format)
	switch {
	case ok && !servesAs(format, t.kind):
		e.add(Warning, "table-wrong-type", at, name+" was exported for a cidr table, and "+t.kind+" tables find no client in it",
			"Where the table decides, no client is suppressed.", at.adviseReplacement(t.setting(), "cidr:"+name))
		return
	case t.isIndexed() && e.isDatabaseBehind(v, t, name, text, ok, at):
		return
	case ok:
		e.checkExported(format, name, text, at, t.refreshCommand(name))
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
