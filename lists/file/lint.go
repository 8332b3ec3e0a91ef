package file

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Lint looks for entries that are correct and yet hardly what was meant. It
// keeps what it saw of earlier lists, to find an entry that stands in two.
type Lint struct {
	Now      time.Time
	Warnings Problems

	seen map[lintKey]lintPlace // of the lists before, by entry
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
// warnings are added to l.Warnings.
func (l *Lint) Check(name string, spec Spec) (*Table, error) {
	var items []lintItem
	t, err := read(spec, func(it *Item) {
		items = append(items, lintItem{Item: *it, line: string(it.text)})
		items[len(items)-1].text = nil
	})
	if err != nil {
		return nil, err
	}
	for i, f := range t.files {
		end := int32(len(items))
		if i+1 < len(t.files) {
			end = t.files[i+1].first
		}
		for j := f.first; j < end; j++ {
			items[j].file = f.name
		}
	}
	l.twice(name, items)
	l.covered(items)
	return t, nil
}

func (l *Lint) warn(it lintItem, msg, hint string) {
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
		k := lintKey{it.Kind, it.From, it.To, it.Name}
		first, dup := own[k]
		switch {
		case !dup:
			own[k] = lintPlace{list, it.file, it.Item}
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
// entry around them says the same for at least as long. Where ranges overlap
// without one holding the other it keeps silent.
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
	var open []int               // the spans around the present one, widest first
	covered := make(map[int]int) // which entry, by which
	for _, i := range addrs {
		it := &items[i]
		for len(open) > 0 && (items[open[len(open)-1]].To.Less(it.From) || items[open[len(open)-1]].From.Is4() != it.From.Is4()) {
			open = open[:len(open)-1]
		}
		if n := len(open); n > 0 {
			around := &items[open[n-1]]
			same := around.From == it.From && around.To == it.To
			if !same && !around.To.Less(it.To) && around.Hole == it.Hole && outlives(around.Until, it.Until) {
				covered[i] = open[n-1]
			}
		}
		open = append(open, i)
	}
	for i, it := range items {
		if by, ok := covered[i]; ok {
			w := items[by]
			l.warn(it, fmt.Sprintf("%s is covered by %s (%s:%d)", it, w, w.file, w.Line), "delete the line, unless it is there for its note")
		}
	}
}

func outlives(a, b time.Time) bool { return a.IsZero() || !b.IsZero() && !a.Before(b) }
