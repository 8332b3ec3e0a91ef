package file

import (
	"errors"
	"fmt"
	"math"
	"runtime"
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

var errTooMuchText = errors.New("too much text in notes, ranges and names")

// add takes one entry of the file begun last.
func (b *builder) add(it *Item) error {
	t, id := &b.t, int32(len(b.bits))
	if max := b.max; int(id) > maxID || max > 0 && int(id) >= max {
		return Problem{File: t.files[len(t.files)-1].name, Line: it.Line, Col: it.Col, Width: it.Width, Text: string(it.text),
			Msg:  fmt.Sprintf("the list has more than %d entries", id),
			Hint: "if all of them are meant, raise max_entries in the config: each takes some 20 bytes of memory while it is loaded"}
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
			return errTooMuchText
		}
	}
	if it.Note != "" && !t.notes.add(id, []byte(it.Note)) {
		return errTooMuchText
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
func (b *builder) table() (*Table, error) {
	t := new(Table) // of its own: a part of the builder would keep all of it
	*t = b.t
	c := newChains(len(b.bits), &t.until)
	var err error
	if t.v4, err = b.v4.flatten(b.bits, c); err != nil {
		return nil, err
	}
	t.bits = newLengths(b.bits)
	if b.bits, b.v4 = nil, (entries4{}); t.Len() >= largeTable {
		runtime.GC() // makes room for what is to come
	}
	t.named, t.holes = trim(t.named), trim(t.holes)
	t.lines.clip()
	t.until.clip()
	t.texts.clip()
	t.notes.clip()
	if t.v6, err = b.v6.flatten(c); err != nil {
		return nil, err
	}
	t.names, t.helos = nameRefs(b.names, c), nameRefs(b.helos, c)
	t.nodes = trim(c.nodes)
	return t, nil
}

// largeTable is the number of entries from which making a table leaves enough
// behind to be worth collecting halfway.
const largeTable = 1 << 16

func nameRefs(m map[string][]span[key4], c *chains) map[string]ref {
	out := make(map[string]ref, len(m))
	for name, spans := range m {
		var refs []ref
		for h := heapOf(spans); len(h) > 0; {
			refs = append(refs, h.pop().entry)
		}
		out[strings.Clone(name)] = c.add(refs)
	}
	return out
}

func heapOf(spans []span[key4]) heap[key4] {
	var h heap[key4]
	for _, s := range spans {
		h.push(s)
	}
	return h
}
