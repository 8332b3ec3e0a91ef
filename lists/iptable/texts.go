package iptable

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// texts holds a text for some of the entries, each after its length and its kind, in chunks. A text is found by its place,
// or by the number of its entry, for which up to 63 others are skipped: that is only done where a person wants to read it.
type texts struct {
	chunks [][]byte
	words  []textWord
	last   place // of the text that was added last
}

// textWord is about 64 entries.
type textWord struct {
	bits uint64 // which of them have a text
	// first is the place of the first text of these entries; if they have none, that of the text before, or noPlace.
	first place
}

// place is where a text is: the number of its chunk, and its offset there.
type place uint32

const (
	placeBits = 16 // of an offset
	chunkText = 1 << placeBits
	noPlace   = ^place(0) // no text begins there, since none is empty with its head
)

// maxTexts is how many bytes places can address; tests lower it.
var maxTexts = min(math.MaxUint32, uint64(math.MaxInt))

// add adds a text, in the order of ids. It returns false if there is no room. A text that is longer than a chunk has one of its
// own.
func (t *texts) add(id int32, kind Kind, text string) bool {
	head := uint64(len(text))<<2 | uint64(kind)
	size := binary.MaxVarintLen16 + len(text)
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last])+size > chunkText {
		last++
		var chunk []byte
		if last > 0 { // the only chunk of a small list is small
			chunk = make([]byte, 0, chunkText)
		}
		t.chunks = append(t.chunks, chunk)
	}
	end := uint64(last)<<placeBits + uint64(len(t.chunks[last])+size)
	if end > maxTexts {
		return false
	}
	at := place(last<<placeBits | len(t.chunks[last]))
	t.chunks[last] = append(binary.AppendUvarint(t.chunks[last], head), text...)
	before := t.last
	if len(t.words) == 0 {
		before = noPlace
	}
	for int(id>>6) >= len(t.words) {
		t.words = appendDoubling(t.words, textWord{first: before})
	}
	w := &t.words[id>>6]
	if w.bits == 0 {
		w.first = at
	}
	w.bits |= 1 << (id & 63)
	t.last = at
	return true
}

// read returns the text at a place, and the place behind it.
func (t *texts) read(at place) (kind Kind, text []byte, next place) {
	chunk := t.chunks[at>>placeBits]
	from := int(at & (chunkText - 1))
	head, n := binary.Uvarint(chunk[from:])
	from += n
	to := from + int(head>>2)
	if next = at&^(chunkText-1) | place(to); to == len(chunk) {
		next = (at>>placeBits + 1) << placeBits
	}
	return Kind(head & 3), chunk[from:to], next
}

// floor returns the text of the last entry up to id that has one, or "".
func (t *texts) floor(id int32) (kind Kind, text string) {
	among := uint64(2)<<(id&63) - 1
	i := int(id >> 6)
	if i >= len(t.words) {
		i, among = len(t.words)-1, math.MaxUint64
	}
	for ; i >= 0; i, among = i-1, math.MaxUint64 {
		w := t.words[i]
		skip := bits.OnesCount64(w.bits&among) - 1
		if w.bits == 0 {
			skip = 0
		}
		if skip < 0 {
			continue // all of them are of later entries
		}
		if w.first == noPlace {
			break
		}
		at := w.first
		for range skip {
			_, _, at = t.read(at)
		}
		kind, b, _ := t.read(at)
		return kind, string(b)
	}
	return 0, ""
}

// all calls yield for each text, in the order of ids.
func (t *texts) all(yield func(id int32, kind Kind, at place) bool) {
	for i, w := range t.words {
		for at, rest := w.first, w.bits; rest != 0; rest &= rest - 1 {
			kind, _, next := t.read(at)
			if !yield(int32(i<<6+bits.TrailingZeros64(rest)), kind, at) {
				return
			}
			at = next
		}
	}
}

func (t *texts) shrink() {
	t.words = shrink(t.words)
	if last := len(t.chunks) - 1; last >= 0 {
		t.chunks[last] = shrink(t.chunks[last])
	}
}
