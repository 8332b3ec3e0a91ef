package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/lists"
)

// servesAs reports whether a table of some format finds clients as a table of some type. Types of databases find whole addresses
// alone, and a cidr table finds addresses, too.
func servesAs(format, kind string) bool {
	return kind == "cidr" || !slices.Contains(export.CIDRFormats, format) && (table{kind: kind}.isIndexed() || kind == "texthash")
}

// refreshCommand returns the command by which Postfix has a new text of a table.
func (t table) refreshCommand(name string) string {
	if t.isIndexed() {
		return "postmap " + t.kind + ":" + name
	}
	return postfixReload
}

// isDatabaseBehind reports whether the database of a table is not that of its text: it is older, or, of an exported table, has
// other values.
func (e *exam) isDatabaseBehind(v view, t table, name string, text []byte, exported bool, at Place) bool {
	if e.host.saved != "" {
		return false
	}
	database, _ := t.fileName(v)
	why := ""
	if isOlder(database, name) {
		why = "It is older than the file."
	} else if exported {
		why = e.findOtherValue(v, t, text)
	}
	if why == "" {
		return false
	}
	e.addDatabaseBehind(at, database, name, why, "Postfix", t.refreshCommand(name))
	return true
}

// addDatabaseBehind reports a database that a mail server reads, and the command that makes it from its text.
func (e *exam) addDatabaseBehind(at Place, database, name, why, server, command string) {
	e.add(Warning, "database-behind", at, database+" is not made from "+name+" as it is now",
		why+" "+server+" looks clients up in the database alone, and decides by what the file was.", Write{shell, []string{command}})
}

// isOlder reports whether one file was written to before another one.
func isOlder(name, than string) bool {
	a, err := os.Stat(name)
	b, failed := os.Stat(than)
	return errors.Join(err, failed) == nil && a.ModTime().Before(b.ModTime())
}

// maxSamples is about how many lines of a text are looked up in its database.
const maxSamples = 100

// findOtherValue looks some addresses of an exported text up in its database, as Postfix does, and some that lists offer
// STARTTLS. It returns what differs; "" if nothing does, or that is unknown.
func (e *exam) findOtherValue(v view, t table, text []byte) (difference string) {
	values := make(map[netip.Addr]string)
	for _, a := range e.listedClients(lists.Offer) {
		values[a] = ""
	}
	lines := bytes.Count(text, []byte("\n"))
	n := 0
	for line := range bytes.Lines(text) {
		n++
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
		a, err := netip.ParseAddr(string(key))
		if _, ok := values[a]; err == nil && (ok || n%(lines/maxSamples+1) == 0 || n == lines) {
			values[a] = string(value)
		}
	}
	addrs := sortedAddrs(values)
	t.proxied = false // postmap reads the same file
	found, ok := e.lookUp(v, t.String(), addrs)
	if !ok {
		return ""
	}
	for _, a := range addrs {
		if found[a] != values[a] {
			return fmt.Sprintf("For %s, it has %q, and the file %q.", a, found[a], values[a])
		}
	}
	return ""
}
