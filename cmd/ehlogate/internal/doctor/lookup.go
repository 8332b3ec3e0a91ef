package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

// lookUp returns what a table of Postfix has for each of the addresses, by Postfix's own postmap. ok is false if that
// cannot be known here: it needs a daemon, or a file that was not copied.
func (e *exam) lookUp(v view, entry string, addrs []netip.Addr) (found map[netip.Addr]string, ok bool) {
	for _, t := range parseTables(entry) {
		_, isFile := t.fileName(v)
		if t.needsDaemon() || t.proxied || isFile && e.host.saved != "" || t.kind == "" {
			return nil, false
		}
	}
	if inner, n := balanced(entry); n > 0 { // {type:name attribute=value ...}
		entry = splitList(inner)[0]
	}
	var keys strings.Builder
	for _, a := range addrs {
		fmt.Fprintln(&keys, a)
	}
	text, err := e.runPostmap(v, keys.String(), entry)
	if err != nil {
		return nil, false
	}
	found = make(map[netip.Addr]string)
	for l := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
		if a, err := netip.ParseAddr(key); err == nil {
			found[a] = value
		}
	}
	return found, true
}

// runPostmap looks up keys, one a line, as a service would: in the queue directory. It returns the keys that the table has,
// and the values.
func (e *exam) runPostmap(v view, keys, table string) (string, error) {
	args := []string{"-q", "-", table}
	if e.pf.configDir != "" {
		args = append([]string{"-c", e.pf.configDir}, args...)
	}
	text, err := programRun{input: keys, dir: existingDir(v.value(queueDirectory))}.output(e.ctx, []string{"postmap"}, args...)
	if failed := new(programError); errors.As(err, &failed) && !strings.Contains(failed.stderr, "fatal:") { // none is found
		err = nil
	}
	return text, err
}

// listedClients returns some addresses about which lists with an action decide.
func (e *exam) listedClients(action lists.Action) (out []netip.Addr) {
	var before []*listfile.List
	for _, l := range e.config.Lists {
		if l.Mode != lists.Enforce || !l.IsOfFiles() || l.Action == lists.NoAction || !l.Services.Has(lists.SMTP) {
			continue
		}
		list := e.loadFiles(l)
		if table := list.Table(); l.Action == action && table != nil {
			out = addSamples(out, table, func(a netip.Addr) bool {
				return matches(list, a) && !slices.ContainsFunc(before, func(s *listfile.List) bool { return matches(s, a) })
			})
		}
		before = append(before, list)
	}
	return out
}

// strangers are addresses that no careful operator has in a list: they are for documentation.
var strangers = []netip.Addr{netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("198.51.100.123"), netip.MustParseAddr("203.0.113.77")}

// checkOwnTables looks for tables of the operator that decide in place of ehlogate: for a client that the lists
// suppress or offer STARTTLS, or for all clients.
func (e *exam) checkOwnTables(s smtpd) {
	at, entries := s.place(smtpdMaps), splitEntries(s.value(smtpdMaps))
	before := s.mapQueries
	for _, entry := range entries {
		if before = before && !slices.ContainsFunc(parseTables(entry), table.needsDaemon); before {
			e.checkShadows(s, at, entry, entries)
		}
		for _, part := range unionParts(entry) {
			if e.checkHidesAll(s, at, part) || !s.mapQueries {
				continue
			}
			if before || part != entry || !e.config.ExplicitOffer {
				e.checkHidesOffered(s, at, part)
			}
		}
	}
}

// checkShadows looks whether a table before ehlogate's has a client that the lists suppress.
func (e *exam) checkShadows(s smtpd, at Place, entry string, entries []string) {
	found, _ := e.lookUp(s.view, entry, e.listedClients(lists.Suppress))
	for _, a := range sortedAddrs(found) {
		if value := found[a]; !starttlsWord.MatchString(value) {
			e.add(Warning, "map-shadowed", at, fmt.Sprintf("%s decides before ehlogate: for %s it has %q", entry, a, value),
				"The first table that has a client decides, and ehlogate is not queried. A unionmap queries all, and hides what any of them does.",
				at.adviseValue(unionOf(entries)))
			return
		}
	}
}

// checkHidesOffered looks whether a table hides STARTTLS from a client that a list offers it.
func (e *exam) checkHidesOffered(s smtpd, at Place, entry string) {
	found, _ := e.lookUp(s.view, entry, e.listedClients(lists.Offer))
	for _, a := range sortedAddrs(found) {
		if starttlsWord.MatchString(found[a]) {
			e.add(Warning, "table-hides-offered", at, fmt.Sprintf("%s hides STARTTLS from %s, which a list offers it", entry, a),
				"The offer list has no effect on this client: the table hides the keyword whatever ehlogate answers. Remove the client from one of the two.")
			return
		}
	}
}

// checkHidesAll reports whether a table hides STARTTLS from clients that nothing can be known of.
func (e *exam) checkHidesAll(s smtpd, at Place, entry string) bool {
	if e.config.DefaultWord() != lists.Offer.String() {
		return false
	}
	found, _ := e.lookUp(s.view, entry, strangers)
	for _, a := range strangers {
		if !starttlsWord.MatchString(found[a]) {
			return false
		}
	}
	e.add(Warning, "starttls-hidden-from-all", at, entry+" hides STARTTLS from clients that are on no list",
		"It has every client, and the lists cannot offer STARTTLS to any that ehlogate returns nothing for. "+
			`To hide STARTTLS from all clients but those on offer lists, remove it and set default = "suppress".`)
	return true
}

func sortedAddrs(m map[netip.Addr]string) (out []netip.Addr) {
	for a := range m {
		out = append(out, a)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// unionParts returns the tables of an entry that are queried about every client.
func unionParts(entry string) (out []string) {
	inner, ok := insideUnion(entry)
	if !ok {
		return []string{entry}
	}
	for _, part := range splitEntries(inner) {
		out = append(out, unionParts(part)...)
	}
	return out
}

// existingDir returns a directory if it is there; else "", the current one.
func existingDir(dir string) string {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return ""
	}
	return dir
}
