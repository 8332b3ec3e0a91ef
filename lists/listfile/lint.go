package listfile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// Lint warns about entries that are correct and hardly meant. It remembers the lists that it checked, to find entries that
// are in two of them.
type Lint struct {
	Now      time.Time
	Warnings diag.Problems

	seen  map[lintKey]lintPlace // in the lists before
	quiet bool                  // about the present list
}

type lintKey struct {
	kind     iptable.Kind
	from, to netip.Addr
	name     string
}

type lintPlace struct {
	list string
	*lintItem
}

type lintItem struct {
	Item
	file string
	line string
}

// Check reads a list and adds warnings about it. The error is that of [List.Load]. There are no warnings about the lines
// of files in other formats, which operators do not edit.
func (l *Lint) Check(name string, spec Spec) (*List, error) {
	var items []lintItem
	list, err := New(spec, func() time.Time { return l.Now }).loadWith(func() visitor {
		items = items[:0]
		return func(file string, it *Item) {
			items = append(items, lintItem{Item: *it, file: file, line: string(it.source)})
			items[len(items)-1].source = nil
		}
	})
	if err != nil {
		return nil, err
	}
	l.Warnings.AddError(list.status.Skipped.Err())
	l.quiet = spec.Format != nil
	l.findRepeated(name, items)
	if !l.quiet {
		l.findCovered(items)
	}
	return list, nil
}

func (l *Lint) warn(it *lintItem, msg, hint string) {
	if l.quiet {
		return
	}
	l.Warnings.Add(diag.Problem{File: it.file, Line: it.Line, Col: it.Col, Width: it.Width, Text: it.line, Msg: msg, Hint: hint})
}

// findRepeated finds entries about the same clients, in this list and in those before it, and entries that have expired.
func (l *Lint) findRepeated(list string, items []lintItem) {
	own := make(map[lintKey]lintPlace, len(items))
	for i := range items {
		it := &items[i]
		if it.Expired(l.Now) {
			l.warn(it, fmt.Sprintf("%s expired at %s", it, it.Until.Format(time.RFC3339)), "remove the line")
			continue
		}
		if strings.HasPrefix(it.Note, "until=") {
			l.warn(it, "until= in the note has no effect", "write it before the #")
		}
		k := lintKey{it.Kind, it.From, it.To, it.Name}
		first, repeated := own[k]
		switch {
		case !repeated:
			own[k] = lintPlace{list, it}
		case first.Exception != it.Exception && !first.Until.Equal(it.Until):
			// An exception for some time.
		case first.Exception != it.Exception:
			l.warn(it, fmt.Sprintf("%s contradicts %s (%s:%d): the exception wins", it, first, first.file, first.Line), "keep one of them")
		default:
			l.warn(it, fmt.Sprintf("duplicate entry %s, first in %s:%d", it, first.file, first.Line), "remove one of the lines")
		}
		if other, ok := l.seen[k]; ok && !repeated && !it.Exception && !other.Exception {
			l.warn(it, fmt.Sprintf("%s is also in list %q (%s:%d), which comes first", it, other.list, other.file, other.Line), "remove the wrong one")
		}
	}
	if l.seen == nil {
		l.seen = make(map[lintKey]lintPlace)
	}
	for k, place := range own {
		if _, ok := l.seen[k]; !ok {
			l.seen[k] = place
		}
	}
}

// findCovered finds address entries without effect: the next wider entry says the same for at least as long. It does not
// warn if an entry that says otherwise may come in between.
func (l *Lint) findCovered(items []lintItem) {
	addrs := make([]*lintItem, 0, len(items))
	for i := range items {
		if it := &items[i]; it.Kind == iptable.Address && !it.Expired(l.Now) {
			addrs = append(addrs, it)
		}
	}
	slices.SortStableFunc(addrs, func(a, b *lintItem) int {
		return cmp.Or(a.From.Compare(b.From), b.To.Compare(a.To))
	})
	var open []*lintItem // those before the present one that overlap it
	coveredBy := make(map[*lintItem]*lintItem)
	for i, it := range addrs {
		open = slices.DeleteFunc(open, func(o *lintItem) bool { return o.From.Is4() != it.From.Is4() || o.To.Less(it.From) })
		if by := findCover(it, open); by != nil && !isContradicted(it, by, open, addrs[i+1:]) {
			coveredBy[it] = by
		}
		open = append(open, it)
	}
	for i := range items {
		if by, ok := coveredBy[&items[i]]; ok {
			l.warn(&items[i], fmt.Sprintf("%s is covered by %s (%s:%d)", &items[i], by, by.file, by.Line), "remove the line, unless it is there for its note")
		}
	}
}

// findCover returns the smallest of open that contains it, says the same, and lasts as long.
func findCover(it *lintItem, open []*lintItem) (by *lintItem) {
	for _, o := range open {
		isSame := o.From == it.From && o.To == it.To
		lastsAsLong := o.Until.IsZero() || !it.Until.IsZero() && !o.Until.Before(it.Until)
		if !isSame && !o.To.Less(it.To) && o.Exception == it.Exception && lastsAsLong && (by == nil || o.compareSpan(by) < 0) {
			by = o
		}
	}
	return by
}

// isContradicted reports whether an entry that overlaps it says otherwise, and comes between it and by in precedence.
// Some overlapping ones are open, the others begin later within it.
func isContradicted(it, by *lintItem, open, later []*lintItem) bool {
	const maxLater = 1000 // bounds the time for one warning
	isBetween := func(o *lintItem) bool {
		return o.Exception != it.Exception && o.compareSpan(it) >= 0 && o.compareSpan(by) <= 0
	}
	if slices.ContainsFunc(open, isBetween) {
		return true
	}
	for n, o := range later {
		if o.From.Is4() != it.From.Is4() || it.To.Less(o.From) {
			return false
		}
		if n == maxLater || isBetween(o) {
			return true
		}
	}
	return false
}

func (it *lintItem) compareSpan(o *lintItem) int {
	return iptable.CompareSpans(&it.Item.Item, &o.Item.Item)
}
