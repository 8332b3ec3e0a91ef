package iptable

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Builder makes a table of entries. Of equal entries the later one wins. It is economical with memory, since a table is
// built while the one before it still answers.
type Builder struct {
	MaxEntries int // 0: no limit

	t     Table
	bits  []uint8 // prefix length of each entry, or notPrefix
	line  int     // of the last entry; -1: there is none in this file
	text  []byte  // buffer
	v4    entries4
	v6    entries6
	names map[string][]ref
	helos map[string][]ref
}

// LimitError is returned for an entry that does not fit into the table.
type LimitError struct{ Msg, Hint string }

func (e *LimitError) Error() string { return e.Msg }

func (b *Builder) Count() int { return len(b.bits) }

// BeginFile begins the entries of a file. lines is how many there may be; 0: not known.
func (b *Builder) BeginFile(name string, lines int) {
	b.t.files = append(b.t.files, fileStart{name, int32(len(b.bits))})
	b.line = -1
	if b.MaxEntries > 0 {
		lines = min(lines, b.MaxEntries)
	}
	if b.v4.words == nil && lines > 0 { // the first file is the largest, or the only one
		b.v4.words = make([]uint64, 0, lines)
		b.bits = make([]uint8, 0, lines)
	}
}

// Add adds an entry of the file that was begun last. It returns a *LimitError if there is no room.
func (b *Builder) Add(it *Item) error {
	t, id := &b.t, int32(len(b.bits))
	if max := b.MaxEntries; int(id) > maxID || max > 0 && int(id) >= max {
		return &LimitError{fmt.Sprintf("the list has more than %d entries", id),
			"if that is intended, raise max_entries in the config: each takes some 20 bytes of memory while it is loaded, and some 30 with until="}
	}
	if it.Line != b.line+1 {
		t.lines.add(id, uint32(it.Line))
	}
	b.line = it.Line
	bits := uint8(notPrefix)
	if it.Kind == Address {
		if it.From == it.To {
			bits = uint8(it.From.BitLen())
		} else if p, ok := it.prefix(); ok {
			bits = uint8(p.Bits())
		}
	}
	b.bits = append(b.bits, bits)
	fits := true
	if bits == notPrefix {
		b.text = it.appendTo(b.text[:0])
		fits = t.texts.add(id, b.text)
	}
	if it.Note != "" {
		fits = fits && t.notes.add(id, []byte(it.Note))
	}
	if !fits {
		return &LimitError{fmt.Sprintf("the list has more than %d bytes of notes, ranges and names", maxTexts), "shorten the notes, or split the list"}
	}
	if !it.Until.IsZero() {
		t.until.add(id, it.Until.UnixNano())
	}
	if it.Exception {
		t.exceptions = append(t.exceptions, id)
	}
	e := entryRef(id, it.Exception)
	switch {
	case it.Kind == Name:
		b.names = addName(b.names, it.Name, e)
		if it.Exception {
			t.lastNameException.extend(it.Until)
		} else {
			t.lastName.extend(it.Until)
		}
	case it.Kind == HELO:
		b.helos = addName(b.helos, it.Name, e)
	case it.From.Is4() && bits != notPrefix:
		b.v4.addPrefix(key4Of(it.From), int(bits), e)
	case it.From.Is4():
		b.v4.ranges = appendDoubling(b.v4.ranges, span[key4]{key4Of(it.From), key4Of(it.To), e})
	default:
		b.v6.add(span[key6]{key6Of(it.From), key6Of(it.To), e})
	}
	if it.Kind != Address {
		t.named = append(t.named, id)
	}
	return nil
}

func addName(m map[string][]ref, name string, e ref) map[string][]ref {
	if m == nil {
		m = make(map[string][]ref)
	}
	m[name] = append(m[name], e)
	return m
}

// Table returns the table. The builder cannot be used afterwards.
func (b *Builder) Table() *Table {
	t := new(Table) // a pointer into the builder would keep all of it in memory
	*t = b.t
	t.until.shrink()
	t.v4, t.tree4 = b.v4.flatten(b.bits, &t.until)
	t.bits = newPrefixLengths(b.bits)
	if b.bits, b.v4 = nil, (entries4{}); t.Count() >= collectFrom {
		runtime.GC() // before the rest is allocated
	}
	t.named, t.exceptions = shrink(t.named), shrink(t.exceptions)
	t.lines.shrink()
	t.texts.shrink()
	t.notes.shrink()
	t.v6, t.tree6 = b.v6.flatten(&t.until)
	t.names, t.helos = t.nameRefs(b.names), t.nameRefs(b.helos)
	t.nameCandidates.shrink()
	return t
}

// collectFrom is the number of entries from which building leaves enough garbage to collect it halfway.
const collectFrom = 1 << 16

// nameRefs returns the entry that decides about each name.
func (t *Table) nameRefs(m map[string][]ref) map[string]ref {
	out := make(map[string]ref, len(m))
	for name, entries := range m {
		slices.SortFunc(entries, func(a, b ref) int { // all spans are equal
			return comparePrecedence(span[key4]{entry: a}, span[key4]{entry: b})
		})
		r := entries[0]
		switch {
		case !t.until.expires(r):
		case len(entries) == 1:
			r |= expiring
		default:
			r = timeDependent | ref(len(t.nameCandidates.first))
			t.nameCandidates.add(entries, &t.until)
		}
		out[strings.Clone(name)] = r
	}
	return out
}
