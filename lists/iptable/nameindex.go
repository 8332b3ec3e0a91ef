package iptable

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// nameIndex finds the entry about a name. It is a hash table with linear probing, of which each slot points to the text
// of the entry, so that a name takes 12 bytes besides its text. The tags of the slots, a byte of each hash, are beside
// each other: a name that is on no list reads one cache line of them.
type nameIndex struct {
	seed  maphash.Seed
	tags  []uint8 // 0: the slot is free
	slots []nameSlot
}

type nameSlot struct {
	text  place
	entry ref
}

func newNameIndex(names int) nameIndex {
	if names == 0 {
		return nameIndex{}
	}
	n := names + names/3 + 1 // three of four slots are taken, and one is free
	return nameIndex{maphash.MakeSeed(), make([]uint8, n), make([]nameSlot, n)}
}

// find returns the slot of a name; if there is none, a free one and its tag.
func (x *nameIndex) find(name string, t *texts) (slot int, tag uint8, ok bool) {
	hash := maphash.String(x.seed, name)
	tag = max(uint8(hash), 1)
	home, _ := bits.Mul64(hash, uint64(len(x.tags)))
	for slot = int(home); x.tags[slot] != 0; {
		if x.tags[slot] == tag {
			if _, text, _ := t.read(x.slots[slot].text); string(text) == name {
				return slot, tag, true
			}
		}
		if slot++; slot == len(x.tags) {
			slot = 0
		}
	}
	return slot, tag, false
}

func (x *nameIndex) isEmpty() bool { return len(x.tags) == 0 }

// lookup returns the entry about a name, or 0. The index is not empty.
func (x *nameIndex) lookup(name string, t *texts) ref {
	if slot, _, ok := x.find(name, t); ok {
		return x.slots[slot].entry
	}
	return 0
}

// nameIndexes returns the indexes of host names and of HELO names, of which there are so many entries. It adds names that have
// several to order, which may be nil.
func (t *Table) nameIndexes(names, helos int, order *Order) (byName, byHELO nameIndex) {
	byName, byHELO = newNameIndex(names), newNameIndex(helos)
	var repeated [Domain + 1][]repeatedName
	exceptions := t.exceptions
	t.texts.all(func(id int32, kind Kind, at place) bool {
		if kind == Address {
			return true
		}
		x := &byName
		if kind == HELO {
			x = &byHELO
		}
		for len(exceptions) > 0 && exceptions[0] < id {
			exceptions = exceptions[1:]
		}
		r := entryRef(id, len(exceptions) > 0 && exceptions[0] == id)
		_, text, _ := t.texts.read(at)
		if slot, tag, known := x.find(string(text), &t.texts); known {
			repeated[kind] = appendDoubling(repeated[kind], repeatedName{slot, r})
		} else {
			x.tags[slot], x.slots[slot] = tag, nameSlot{at, t.withExpiry(r)}
		}
		return true
	})
	for _, kind := range []Kind{Name, Domain} { // one of them
		t.resolveRepeated(&byName, repeated[kind], order)
	}
	t.resolveRepeated(&byHELO, repeated[HELO], order)
	return byName, byHELO
}

// repeatedName is an entry about the name in a slot, besides the first one.
type repeatedName struct {
	slot  int
	entry ref
}

// resolveRepeated sets which entry decides about each name that has several.
func (t *Table) resolveRepeated(x *nameIndex, repeated []repeatedName, order *Order) {
	slices.SortStableFunc(repeated, func(a, b repeatedName) int { return a.slot - b.slot })
	var entries []ref
	for len(repeated) > 0 {
		slot := &x.slots[repeated[0].slot]
		entries = append(entries[:0], slot.entry&^expiring)
		for at := repeated[0].slot; len(repeated) > 0 && repeated[0].slot == at; repeated = repeated[1:] {
			entries = append(entries, repeated[0].entry)
		}
		if order != nil {
			order.addRepeated(entries)
		}
		slices.SortFunc(entries, func(a, b ref) int { // all spans are equal
			return comparePrecedence(span[key4]{entry: a}, span[key4]{entry: b})
		})
		if slot.entry = entries[0]; t.until.expires(entries[0]) {
			slot.entry = timeDependent | ref(len(t.nameCandidates.first))
			t.nameCandidates.add(entries, &t.until)
		}
	}
}

// withExpiry returns r with the mark of an entry that expires, if it does.
func (t *Table) withExpiry(r ref) ref {
	if t.until.expires(r) {
		r |= expiring
	}
	return r
}
