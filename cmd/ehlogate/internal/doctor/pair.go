package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/export"
)

// half is one of two exported tables that make a policy together: single addresses, and the networks behind them.
type half struct {
	table
	name     string   // of the text
	flags    []string // common to both
	entry    int      // where it is in the setting
	isJoined bool     // with others, in one entry
	format   string
}

// halvesOf returns the tables in a setting that need another one.
func (e *exam) halvesOf(v view, value string) (out []half) {
	for i, entry := range splitEntries(value) {
		_, isUnion := insideUnion(entry)
		tables := parseTables(entry)
		for _, t := range tables {
			format, flags, ok := export.ParseHeader([]byte(e.textOf(v, t)))
			if !ok || format != export.PostfixNetworks && (format != export.PostfixAddresses || !slices.Contains(flags, export.WithoutNetworks)) {
				continue
			}
			name, _ := t.textName(v)
			out = append(out, half{t, name, without(flags, []string{export.WithoutNetworks}), i, isUnion || len(tables) > 1, format})
		}
	}
	return out
}

// findOther returns the index of the other half; -1: there is none.
func findOther(h half, halves []half) int {
	return slices.IndexFunc(halves, func(o half) bool { return o.format != h.format && slices.Equal(o.flags, h.flags) })
}

// pair is two exported tables that ehlogate exports together.
type pair struct {
	addresses, networks string // the texts
	flags               []string
	refresh             string // the command after an export
}

// exportArguments returns the arguments of the command that exports both.
func (p pair) exportArguments() []string {
	return slices.Concat([]string{"export", "--format", export.PostfixAddresses}, p.flags, []string{"-o", p.addresses, "--networks", p.networks})
}

// refreshPair returns the command after an export of a table of addresses and its networks. A smtpd starts anew, and reads
// the networks, when a database is a new one, but for lmdb: that is changed in place.
func (t table) refreshPair() string {
	if t.kind == "lmdb" {
		return "postmap lmdb:" + t.name + " && " + postfixReload
	}
	return t.refreshCommand(t.name)
}

// checkPairs looks for a table of addresses without its networks behind it, and for one of networks without the addresses before
// it. isOne means that the setting has one table.
func (e *exam) checkPairs(v view, value string, at Place, isOne bool) {
	halves := e.halvesOf(v, value)
	for _, h := range halves {
		i := findOther(h, halves)
		if h.format == export.PostfixAddresses {
			if line := e.firstRule(export.PostfixNetworks, h.flags); i < 0 && line != "" {
				e.add(Warning, "table-lacks-networks", at, h.setting()+" has single addresses, and no table behind it has the networks",
					fmt.Sprintf("It was exported with %s. Without a table of the networks, the lists decide about no client in them, such as %q.", export.WithoutNetworks, line),
					e.advisePair(h, at, isOne)...)
			}
			continue
		}
		const why = "The networks have neither exceptions for single clients nor clients of other lists: the table of addresses has these, and must decide first."
		line := e.firstRule(export.PostfixAddresses, append(slices.Clone(h.flags), export.WithoutNetworks))
		switch {
		case i < 0 && line != "":
			e.add(Warning, "table-lacks-addresses", at, h.setting()+" has networks alone, and no table before it has the single addresses",
				why+fmt.Sprintf(" The lists decide about no such client, as in %q.", line), e.advisePair(h, at, isOne)...)
		case i >= 0 && (halves[i].entry >= h.entry || halves[i].isJoined || h.isJoined) && line != "":
			e.add(Warning, "table-lacks-addresses", at, h.setting()+" decides without "+halves[i].setting()+", which must stand before it",
				why+" In a unionmap, both decide.", at.adviseValue(pairFirst(value, halves[i].setting(), h.setting())))
		case i >= 0:
			p := pair{halves[i].name, h.name, h.flags, halves[i].refreshPair()}
			e.pairs[p.addresses], e.pairs[p.networks] = p, p
		}
	}
}

// pairFirst returns the value of a setting with two of its tables before the others.
func pairFirst(value, addresses, networks string) string {
	tables := []string{addresses, networks}
	for _, entry := range splitEntries(value) {
		tables = append(tables, without(unionParts(entry), tables)...)
	}
	return strings.Join(tables, ", ")
}

// firstRule returns the first line of a table that the lists need in a format; "" if there is none, or that is unknown.
func (e *exam) firstRule(format string, flags []string) string {
	p, err := e.loadPolicy()
	if err != nil {
		return ""
	}
	line, _ := p.FirstLine(context.Background(), format, flags)
	return line
}

// advisePair returns the advice to export both tables of a pair in place of one of them. Where there can be but one table, it is a
// cidr table with all.
func (e *exam) advisePair(h half, at Place, isOne bool) []Write {
	addresses, networks := h.table, table{kind: "cidr", name: h.name + ".cidr", proxied: h.proxied}
	p := pair{h.name, networks.name, h.flags, addresses.refreshPair()}
	if h.format == export.PostfixNetworks {
		addresses, networks = table{kind: "cdb", name: strings.TrimSuffix(h.name, ".cidr") + "-addresses", proxied: h.proxied}, h.table
		p = pair{addresses.name, h.name, h.flags, addresses.refreshPair()}
	}
	if isOne {
		command := e.command(slices.Concat([]string{"export", "--format", cidrFormat}, h.flags, []string{"-o", p.networks})...)
		return []Write{{shell, []string{command}}, at.adviseReplacement(h.setting(), networks.setting())}
	}
	command := e.command(p.exportArguments()...) + fmt.Sprintf(" --then %q", p.refresh)
	return []Write{{shell, []string{command}}, at.adviseReplacement(h.setting(), addresses.setting()+", "+networks.setting())}
}
