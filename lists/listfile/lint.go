package listfile

import (
	"fmt"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// Lint warns about entries that are correct and hardly meant. It remembers the lists that it checked, to find entries that
// are in two of them, or that one of them keeps from ever deciding.
//
// It keeps no entries of its own: it looks at those that the table is built of, at the table, and reads the lines again that it
// warns about. So a check takes little more memory and time than to load the lists.
type Lint struct {
	Now      time.Time
	Warnings diag.Problems

	before []*checked
}

// checked is a list that was checked.
type checked struct {
	name  string
	spec  Spec
	mode  lists.Mode
	now   time.Time
	table *iptable.Table
	order *iptable.Order
	// nameExceptions: the list may not match a client although its address is on the list.
	nameExceptions bool
	hasExceptions  bool
	hasEntries     bool // that have not expired
	matches        bool // one of them is no exception
}

// Check reads a list and adds warnings about it. The error is that of [List.Load]. There are no warnings about the lines
// of files in other formats, which operators do not edit. If compare is true, lists that are checked after it are compared
// with it.
func (l *Lint) Check(name string, spec Spec, mode lists.Mode, compare bool) (*List, error) {
	isOwn := spec.Format == nil
	var c *checked
	var found *findings
	var in *inspection
	list, err := New(spec, func() time.Time { return l.Now }).loadWith(nil, func() *inspection {
		c = &checked{name: name, spec: spec, mode: mode, now: l.Now}
		found = new(findings)
		var id int32
		in = &inspection{keepsOrder: isOwn || compare, visit: func(it *Item) {
			if isOwn {
				l.checkItem(found, id, it)
			}
			c.count(it)
			id++
		}}
		return in
	})
	if err != nil {
		return nil, err
	}
	l.Warnings.AddError(list.status.Skipped.Err())
	if c.table = list.Table(); c.table == nil {
		return list, nil // expired
	}
	if c.order = in.order; isOwn {
		if c.order.MayRepeat() {
			c.findRepeated(c.order.Addresses(), found)
		}
		c.findRepeated(c.order.RepeatedNames(), found)
		l.compare(c, found)
	}
	found.report(c, &l.Warnings)
	l.checkMatches(c, list)
	if compare {
		l.before = append(l.before, c)
	}
	return list, nil
}

// count takes into account what there is in the list.
func (c *checked) count(it *Item) {
	if it.Expired(c.now) {
		return
	}
	c.hasEntries = true
	c.matches = c.matches || !it.Exception
	c.hasExceptions = c.hasExceptions || it.Exception
	c.nameExceptions = c.nameExceptions || it.Exception && it.Kind != iptable.Address
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

// checkItem warns about an entry by itself.
func (l *Lint) checkItem(found *findings, id int32, it *Item) {
	switch {
	case it.Expired(l.Now):
		found.add(id, func() (msg, hint string) {
			return fmt.Sprintf("%s expired at %s", it, it.Until.Format(time.RFC3339)), "remove the line, or all that expired: ehlogate list prune"
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
	known := make(marks, c.table.Count()/64+1)
	for _, before := range l.before {
		if before.spec.Rules.Action != lists.NoAction {
			c.findBefore(before, known, found)
		}
	}
}
