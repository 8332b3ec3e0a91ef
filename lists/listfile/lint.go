package listfile

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// Lint warns about entries that are correct and hardly meant. It remembers the lists that it checked, to find entries that
// are in two of them, or that one of them keeps from ever deciding.
//
// Of each entry it keeps its addresses and its number, 12 bytes for IPv4: the table has the rest, and the lines that it
// warns about are read again. So a check takes little more memory and time than to load the lists.
type Lint struct {
	Now      time.Time
	Warnings diag.Problems

	seed   maphash.Seed
	before []*checked
}

// checked is a list that was checked, and its entries that have not expired, sorted.
type checked struct {
	name  string
	spec  Spec
	mode  lists.Mode
	table *iptable.Table
	v4    []span[extent4]
	v6    []span[extent6]
	names []span[nameHash]
	// nameExceptions: the list may not match a client although its address is on the list.
	nameExceptions bool
	hasEntries     bool // that have not expired
	matches        bool // one of them is no exception
}

// Check reads a list and adds warnings about it. The error is that of [List.Load]. There are no warnings about the lines
// of files in other formats, which operators do not edit. If compare is true, lists that are checked after it are compared
// with it.
func (l *Lint) Check(name string, spec Spec, mode lists.Mode, compare bool) (*List, error) {
	if l.before == nil {
		l.seed = maphash.MakeSeed()
	}
	isOwn := spec.Format == nil
	var c *checked
	var found *findings
	list, err := New(spec, func() time.Time { return l.Now }).loadWith(func() visitor {
		c = &checked{name: name, spec: spec, mode: mode}
		found = new(findings)
		var id uint32
		return func(_ string, lines int, it *Item) {
			if isOwn {
				l.checkItem(found, id, it)
			}
			if c.count(l.Now, it) && (isOwn || compare) {
				c.add(l, id, lines, it)
			}
			id++
		}
	})
	if err != nil {
		return nil, err
	}
	l.Warnings.AddError(list.status.Skipped.Err())
	if c.table = list.Table(); c.table == nil {
		return list, nil // expired
	}
	sortSpans(c.v4)
	sortSpans(c.v6)
	sortSpans(c.names)
	if isOwn {
		findRepeated(c, c.v4, found)
		findRepeated(c, c.v6, found)
		findRepeated(c, c.names, found)
		l.compare(c, found)
	}
	found.report(c, &l.Warnings)
	l.checkMatches(c, list)
	if compare {
		l.before = append(l.before, c)
	}
	return list, nil
}

// count takes into account what there is in the list, and reports whether an entry has not expired.
func (c *checked) count(now time.Time, it *Item) bool {
	if it.Expired(now) {
		return false
	}
	c.hasEntries = true
	c.matches = c.matches || !it.Exception
	c.nameExceptions = c.nameExceptions || it.Exception && it.Kind != iptable.Address
	return true
}

// add adds an entry to those that are compared.
func (c *checked) add(l *Lint, id uint32, lines int, it *Item) {
	room := 1
	if c.v4 == nil && c.v6 == nil && c.names == nil {
		room = max(lines-int(id), 1) // most entries of a list are of one kind
	}
	id <<= 1
	if it.Exception {
		id |= isException
	}
	switch {
	case it.Kind != iptable.Address:
		c.names = appendSpan(c.names, span[nameHash]{l.hashName(it), id}, room)
	case it.From.Is4():
		c.v4 = appendSpan(c.v4, span[extent4]{extent4{number4(it.From), number4(it.To)}, id}, room)
	default:
		c.v6 = appendSpan(c.v6, span[extent6]{extent6{it.From.As16(), it.To.As16()}, id}, room)
	}
}

// hashName returns the hash of what an entry about names is about.
func (l *Lint) hashName(it *Item) (h nameHash) {
	var hash maphash.Hash
	hash.SetSeed(l.seed)
	hash.WriteByte(byte(it.Kind))
	hash.WriteString(it.Name)
	binary.NativeEndian.PutUint64(h[:], hash.Sum64())
	return h
}

// checkMatches warns of a list that matches no client, since all of its entries are exceptions.
func (l *Lint) checkMatches(c *checked, list *List) {
	if c.matches || !c.hasEntries {
		return
	}
	hint := "remove the ! before entries that the list should match; an exception only makes this list not match a client"
	if c.spec.Format != nil {
		hint = "see whether it is the right file: of EHLO keywords only results that name starttls suppress; of other results and answers, those in results and answer of the list"
	}
	l.Warnings.Add(diag.Problem{File: list.status.Files[0], Msg: "the list matches no client: all entries are exceptions", Hint: hint})
}

// appendSpan appends the first span to a slice with room for so many: one that grows leaves as much memory behind as it
// takes.
func appendSpan[T any](spans []T, s T, room int) []T {
	if spans == nil {
		spans = make([]T, 0, room)
	}
	return append(spans, s)
}

// checkItem warns about an entry by itself.
func (l *Lint) checkItem(found *findings, id uint32, it *Item) {
	switch {
	case it.Expired(l.Now):
		found.add(id, func() (msg, hint string) {
			return fmt.Sprintf("%s expired at %s", it, it.Until.Format(time.RFC3339)), "remove the line"
		})
	case strings.HasPrefix(it.Note, "until="):
		found.add(id, func() (msg, hint string) { return "until= in the note has no effect", "write it before the #" })
	case it.Kind == iptable.Name && !strings.Contains(it.Name, ".") && it.Name != "localhost":
		found.add(id, func() (msg, hint string) {
			return fmt.Sprintf("%q is a host name without a domain, which hardly any client has", it.Name), "write the whole name, as in mail.example.org"
		})
	case it.Kind == iptable.Address && !hasClients(it):
		found.add(id, func() (msg, hint string) {
			return fmt.Sprintf("no client can have the address %s", it), "remove the line"
		})
	}
}

// compare finds entries that are also in a list before this one, or that never decide because such a list always
// matches first. A list that hides keywords does so whichever list decides.
func (l *Lint) compare(c *checked, found *findings) {
	if c.spec.Rules.Hides {
		return
	}
	known4, known6, knownNames := make(marks, len(c.v4)/64+1), make(marks, len(c.v6)/64+1), make(marks, len(c.names)/64+1)
	for _, before := range l.before {
		if before.spec.Rules.Action == lists.NoAction {
			continue
		}
		findBefore(c, before, c.v4, before.v4, known4, found)
		findBefore(c, before, c.v6, before.v6, known6, found)
		findBefore(c, before, c.names, before.names, knownNames, found)
	}
}
