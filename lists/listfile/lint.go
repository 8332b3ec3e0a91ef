package listfile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Lint looks for entries that are correct and yet hardly what was meant. It
// keeps what it saw of earlier lists, to find an entry that stands in two.
type Lint struct {
	Now      time.Time
	Warnings Problems

	seen  map[lintKey]lintPlace // of the lists before, by entry
	quiet bool                  // about the present list
}

type lintKey struct {
	kind     Kind
	from, to netip.Addr
	name     string
}

type lintPlace struct {
	list, file string
	item       Item
}

type lintItem struct {
	Item
	file string
	line string
}

// Check reads the files of a list called name. Errors come back as from Read;
// warnings are added to l.Warnings. There are none about a list in a format of
// others: nobody edits its lines.
func (l *Lint) Check(name string, spec Spec) (*Table, error) {
	var items []lintItem
	t, err := read(spec, func() { items = items[:0] }, func(file string, it *Item) {
		items = append(items, lintItem{Item: *it, file: file, line: string(it.text)})
		items[len(items)-1].text = nil
	})
	if err != nil {
		return nil, err
	}
	l.quiet = spec.Format != nil
	l.twice(name, items)
	if !l.quiet {
		l.covered(items)
	}
	return t, nil
}

func (l *Lint) warn(it lintItem, msg, hint string) {
	if l.quiet {
		return
	}
	l.Warnings.Add(Problem{File: it.file, Line: it.Line, Col: it.Col, Width: it.Width, Text: it.line, Msg: msg, Hint: hint})
}

// twice finds entries about the same clients, in this list and in those
// before it, and entries that have expired.
func (l *Lint) twice(list string, items []lintItem) {
	own := make(map[lintKey]lintPlace, len(items))
	for _, it := range items {
		if it.expired(l.Now) {
			l.warn(it, fmt.Sprintf("%s expired at %s", it, it.Until.Format(time.RFC3339)), "delete the line")
			continue
		}
		if strings.HasPrefix(it.Note, "until=") {
			l.warn(it, "until= stands in the note, where it has no effect", "write it before the #")
		}
		k := lintKey{it.Kind, it.From, it.To, it.Name}
		first, dup := own[k]
		switch {
		case !dup:
			own[k] = lintPlace{list, it.file, it.Item}
		case first.item.Hole != it.Hole && !sameEnd(first.item, it.Item):
			// An entry with a hole in it for a while.
		case first.item.Hole != it.Hole:
			l.warn(it, fmt.Sprintf("%s and %s (%s:%d) in one list: the hole wins", it, first.item, first.file, first.item.Line), "keep one of them")
		default:
			l.warn(it, fmt.Sprintf("%s stands here twice, first in %s:%d", it, first.file, first.item.Line), "delete one of the lines")
		}
		if other, ok := l.seen[k]; ok && !dup && !it.Hole && !other.item.Hole {
			l.warn(it, fmt.Sprintf("%s stands in list %q too (%s:%d), which is asked first", it, other.list, other.file, other.item.Line),
				"delete the one that is not meant")
		}
	}
	if l.seen == nil {
		l.seen = make(map[lintKey]lintPlace)
	}
	for k, place := range own {
		if _, ok := l.seen[k]; !ok {
			place.list = list
			l.seen[k] = place
		}
	}
}

// covered finds address entries that change nothing, because the next wider
// entry around them says the same for at least as long. It keeps silent where
// an entry that says otherwise comes in between.
func (l *Lint) covered(items []lintItem) {
	addrs := make([]int, 0, len(items))
	for i := range items {
		if items[i].Kind == Address && !items[i].expired(l.Now) {
			addrs = append(addrs, i)
		}
	}
	slices.SortFunc(addrs, func(x, y int) int {
		a, b := &items[x], &items[y]
		return cmp.Or(a.From.Compare(b.From), b.To.Compare(a.To), cmp.Compare(x, y))
	})
	var open []*lintItem               // those that begin at or before the present one
	covered := make(map[int]*lintItem) // which, by which
	for at, i := range addrs {
		it := &items[i]
		open = slices.DeleteFunc(open, func(o *lintItem) bool { return o.From.Is4() != it.From.Is4() || o.To.Less(it.From) })
		if by := around(it, open); by != nil && !contradicted(it, by, open, items, addrs[at+1:]) {
			covered[i] = by
		}
		open = append(open, it)
	}
	for i, it := range items {
		if w, ok := covered[i]; ok {
			l.warn(it, fmt.Sprintf("%s is covered by %s (%s:%d)", it, w, w.file, w.Line), "delete the line, unless it is there for its note")
		}
	}
}

// around gives the smallest of open that holds all of it, says the same, and
// lasts as long.
func around(it *lintItem, open []*lintItem) (by *lintItem) {
	for _, o := range open {
		same := o.From == it.From && o.To == it.To
		if !same && !o.To.Less(it.To) && o.Hole == it.Hole && outlives(o.Until, it.Until) && (by == nil || o.size().less(by.size())) {
			by = o
		}
	}
	return by
}

// contradicted: an entry that meets it, says otherwise, and comes between it
// and by in precedence. Some are open, the others begin within it.
func contradicted(it, by *lintItem, open []*lintItem, items []lintItem, later []int) bool {
	between := func(o *lintItem) bool {
		return o.Hole != it.Hole && !o.size().less(it.size()) && !by.size().less(o.size())
	}
	if slices.ContainsFunc(open, between) {
		return true
	}
	for n, i := range later {
		o := &items[i]
		if o.From.Is4() != it.From.Is4() || it.To.Less(o.From) {
			return false
		}
		if n == maxLater || between(o) {
			return true
		}
	}
	return false
}

// maxLater bounds how many entries are looked at for one warning.
const maxLater = 1000

func (it *lintItem) size() key6 { return keyOf(it.To).minus(keyOf(it.From)) }

func sameEnd(a, b Item) bool { return a.Until.Equal(b.Until) }

func outlives(a, b time.Time) bool { return a.IsZero() || !b.IsZero() && !a.Before(b) }
