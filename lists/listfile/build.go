package listfile

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
)

// builder takes entries in the order of precedence "later line wins". What it
// gathers is kept small, since a table is made while the one before it still
// answers.
type builder struct {
	max   int // entries; 0: as many as there can be
	t     Table
	bits  []uint8 // by entry id: length of the prefix, or inTexts
	line  int     // of the last entry; -1: there is none
	text  []byte  // of the last entry that needed one
	v4    entries4
	v6    entries6
	names map[string][]span[key4] // the span is zero: only the entry counts
	helos map[string][]span[key4]
}

// file begins the entries of a file with so many lines, if that is known.
func (b *builder) file(name string, lines int) {
	b.t.files = append(b.t.files, fileSpan{name, int32(len(b.bits))})
	b.line = -1
	if b.max > 0 {
		lines = min(lines, b.max)
	}
	if b.v4.words == nil && lines > 0 { // the first file is the largest, or the only one
		b.v4.words = make([]uint64, 0, lines)
		b.bits = make([]uint8, 0, lines)
	}
}

// add takes one entry of the file begun last.
func (b *builder) add(it *Item) error {
	t, id := &b.t, int32(len(b.bits))
	if max := b.max; int(id) > maxID || max > 0 && int(id) >= max {
		return b.problem(it, fmt.Sprintf("the list has more than %d entries", id),
			"if all of them are meant, raise max_entries in the config: each takes some 20 bytes of memory while it is loaded, and some 30 with until=")
	}
	if it.Line != b.line+1 {
		t.lines.add(id, uint32(it.Line))
	}
	b.line = it.Line
	bits := uint8(inTexts)
	if it.Kind == Address {
		if it.From == it.To {
			bits = uint8(it.From.BitLen())
		} else if n, ok := spanBits(it.From, it.To); ok {
			bits = uint8(n)
		}
	}
	b.bits = append(b.bits, bits)
	if bits == inTexts {
		b.text = it.append(b.text[:0])
		if !t.texts.add(id, b.text) {
			return b.tooMuchText(it)
		}
	}
	if it.Note != "" && !t.notes.add(id, []byte(it.Note)) {
		return b.tooMuchText(it)
	}
	if !it.Until.IsZero() {
		t.until.add(id, it.Until.UnixNano())
	}
	if it.Hole {
		t.holes = append(t.holes, id)
	}
	if it.Kind == Name {
		t.addName(it)
	}
	e := entryRef(id, it.Hole)
	switch {
	case it.Kind != Address:
		t.named = append(t.named, id)
		names := &b.names
		if it.Kind == HELO {
			names = &b.helos
		}
		if *names == nil {
			*names = make(map[string][]span[key4])
		}
		(*names)[it.Name] = append((*names)[it.Name], span[key4]{entry: e})
	case it.From.Is4() && bits != inTexts:
		b.v4.addPrefix(key4Of(it.From), int(bits), e)
	case it.From.Is4():
		b.v4.ranges = push(b.v4.ranges, span[key4]{key4Of(it.From), key4Of(it.To), e})
	default:
		b.v6.add(span[key6]{key6Of(it.From), key6Of(it.To), e})
	}
	return nil
}

// problem is one with the entry that is being added.
func (b *builder) problem(it *Item, msg, hint string) Problem {
	return Problem{File: b.t.files[len(b.t.files)-1].name, Line: it.Line, Col: it.Col, Width: it.Width, Text: string(it.text), Msg: msg, Hint: hint}
}

func (b *builder) tooMuchText(it *Item) Problem {
	return b.problem(it, fmt.Sprintf("the list has more than %d bytes of notes, ranges and names", maxTexts), "make the notes shorter, or two lists of it")
}

// addName notes how long there are entries about names.
func (t *Table) addName(it *Item) {
	l := &t.namesHold
	if it.Hole {
		l = &t.namesExcept
	}
	until := lasting(math.MaxInt64)
	if !it.Until.IsZero() {
		until = lasting(it.Until.UnixNano())
	}
	*l = max(*l, until)
}

// table finishes. The builder is of no more use then.
func (b *builder) table() *Table {
	t := new(Table) // of its own: a part of the builder would keep all of it
	*t = b.t
	t.until.clip()
	t.v4, t.over4 = b.v4.flatten(b.bits, &t.until)
	t.bits = newLengths(b.bits)
	if b.bits, b.v4 = nil, (entries4{}); t.Len() >= largeTable {
		runtime.GC() // makes room for what is to come
	}
	t.named, t.holes = trim(t.named), trim(t.holes)
	t.lines.clip()
	t.texts.clip()
	t.notes.clip()
	t.v6, t.over6 = b.v6.flatten(&t.until)
	t.names, t.helos = t.nameRefs(b.names), t.nameRefs(b.helos)
	t.stairs.clip()
	return t
}

// largeTable is the number of entries from which making a table leaves enough
// behind to be worth collecting halfway.
const largeTable = 1 << 16

// nameRefs finds out which entry decides about each name.
func (t *Table) nameRefs(m map[string][]span[key4]) map[string]ref {
	out := make(map[string]ref, len(m))
	var entries []ref
	for name, spans := range m {
		slices.SortFunc(spans, func(a, b span[key4]) int { return order(a.before(b)) })
		entries = entries[:0]
		for _, s := range spans {
			entries = append(entries, s.entry)
		}
		r := entries[0]
		switch {
		case !t.until.has(r):
		case len(entries) == 1:
			r |= passing
		default:
			r = several | ref(len(t.stairs.first))
			t.stairs.add(entries, &t.until)
		}
		out[strings.Clone(name)] = r
	}
	return out
}
