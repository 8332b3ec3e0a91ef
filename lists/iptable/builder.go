package iptable

import (
	"fmt"
	"runtime"
)

// Builder makes a table of entries. Of equal entries the later one wins. It is economical with memory, since a table is
// built while the one before it still answers.
type Builder struct {
	MaxEntries int  // 0: no limit
	KeepsOrder bool // Order is wanted

	t     Table
	bits  []uint8 // prefix length of each entry, or notPrefix
	line  int     // of the last entry; -1: there is none in this file
	text  []byte  // buffer
	note  []byte  // of the last entry
	v4    entries4
	v6    entries6
	names int // entries about host names
	helos int // about HELO names
	kept  *Order
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
	if b.bits == nil && lines > 0 { // the first file is the largest, or the only one
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
	if !b.addTexts(id, it, bits == notPrefix) {
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
	case it.Kind == Name || it.Kind == Domain:
		if isDomain := it.Kind == Domain; b.names == 0 {
			t.domains = isDomain
		} else if t.domains != isDomain {
			panic("host names of two kinds in one table")
		}
		b.names++
		if it.Exception {
			t.lastNameException.extend(it.Until)
		} else {
			t.lastName.extend(it.Until)
		}
	case it.Kind == HELO:
		b.helos++
	case it.From.Is4() && bits != notPrefix:
		if b.v4.words == nil { // most entries are of one kind: the others that there is room for are of this one
			b.v4.words = make([]uint64, 0, max(cap(b.bits)-int(id), 1))
		}
		b.v4.addPrefix(key4Of(it.From), int(bits), e)
	case it.From.Is4():
		b.v4.ranges = appendDoubling(b.v4.ranges, span[key4]{key4Of(it.From), key4Of(it.To), e})
	case bits != notPrefix:
		b.v6.addPrefix(key6Of(it.From), int(bits), e)
	default:
		b.v6.addRange(span[key6]{key6Of(it.From), key6Of(it.To), e})
	}
	return nil
}

// addTexts adds the note of an entry, and of one that is no prefix its name, or its first and last address. It returns false if
// there is no room.
//
// In a feed, the notes of many lines are one and the same. So a note is stored where it differs from that of the entry before.
func (b *Builder) addTexts(id int32, it *Item, withText bool) bool {
	fits := true
	switch {
	case !withText:
	case it.Kind == Address:
		b.text = append(append(b.text[:0], it.From.AsSlice()...), it.To.AsSlice()...)
		fits = b.t.texts.add(id, Address, string(b.text))
	default:
		fits = b.t.texts.add(id, it.Kind, it.Name)
	}
	if it.Note != string(b.note) && fits {
		b.note = append(b.note[:0], it.Note...)
		fits = b.t.notes.add(id, 0, it.Note)
	}
	return fits
}

// Table returns the table. Afterwards the builder can be used for nothing but Order.
func (b *Builder) Table() *Table {
	t := new(Table) // a pointer into the builder would keep all of it in memory
	*t = b.t
	t.until.shrink()
	t.v4, t.tree4 = b.v4.flatten(b.bits, &t.until)
	if b.KeepsOrder {
		b.kept = b.order()
	}
	if b.v4 = (entries4{}); b.Count() >= collectFrom {
		runtime.GC() // before the rest is allocated
	}
	t.v6, t.tree6 = b.v6.flatten(&t.until)
	if b.KeepsOrder {
		b.kept.v6 = b.v6
	}
	t.bits = newPrefixLengths(b.bits)
	b.bits, b.v6 = nil, entries6{}
	t.exceptions = shrink(t.exceptions)
	t.lines.shrink()
	t.texts.shrink()
	t.notes.shrink()
	t.names, t.helos = t.nameIndexes(b.names, b.helos, b.kept)
	t.nameCandidates.shrink()
	return t
}

// Order returns the entries of the table, if KeepsOrder was set.
func (b *Builder) Order() *Order { return b.kept }

// collectFrom is the number of entries from which building leaves enough garbage to collect it halfway.
const collectFrom = 1 << 16
