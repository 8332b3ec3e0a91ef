package feed

import (
	"fmt"
	"net/netip"
	"slices"

	"ehlogate/lists/answer"
	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// rank is what an entry of rbldnsd says about the answers that an operator chose. rbldnsd returns the values of all equal
// entries, unless one of them is an exclusion. So of equal entries the highest rank counts.
type rank byte

const (
	isOther    rank = iota // its value was not chosen; it hides wider entries
	isChosen               // its value was chosen
	isExcluded             // it is an exclusion
)

// ranks finds, of the entries of a file with the same key, the one with the highest rank. It keeps the lines, which are read
// again for the entries that count, and a hash of each key.
type ranks struct {
	seeds   keySeeds
	best    map[keyHash]ranked
	entries int // so far
	lines   keptLines
	other   [4]byte // an answer that was not chosen
	buf     []byte
}

// ranked is the number of an entry, and its rank.
type ranked struct {
	entry int32
	rank  rank
}

// add adds the entries of a line.
func (r *ranks) add(line int, text []byte, items []*listfile.Item, rank rank) {
	if len(items) == 0 {
		return
	}
	if r.best == nil {
		r.best, r.seeds = make(map[keyHash]ranked), newKeySeeds()
	}
	r.lines.add(line, text)
	for _, it := range items {
		r.buf = append(append(append(r.buf[:0], it.From.AsSlice()...), it.To.AsSlice()...), it.Name...)
		key := hashKey(r.seeds, string(r.buf))
		if known, ok := r.best[key]; !ok || rank > known.rank {
			r.best[key] = ranked{int32(r.entries), rank}
		}
		r.entries++
	}
}

// yieldRanked yields the entries that count, in the order of their lines. It is an error if there are answers and none was chosen,
// as after a typing mistake in the config.
func (z *zone) yieldRanked() {
	r := &z.ranks
	if r.entries == 0 {
		return
	}
	const isNone = ^rank(0)
	rankOf, wasChosen := slices.Repeat([]rank{isNone}, r.entries), false
	for _, best := range r.best {
		rankOf[best.entry] = best.rank
		wasChosen = wasChosen || best.rank == isChosen
	}
	r.best = nil
	if z.filter != (answer.Filter{}) && r.other != ([4]byte{}) && !wasChosen {
		z.Problems.Add(diag.Problem{File: z.Name, Msg: fmt.Sprintf("no entry has an answer that is in answer = %q of the list; there is %s", z.filter, netip.AddrFrom4(r.other)),
			Hint: "correct answer in the config"})
		return
	}
	z.maxRange = 0 // the lines that were kept are valid
	if z.restart != nil {
		z.restart()
	}
	last, lastText := z.Line, z.Text
	r.lines.each(func(line int, text []byte) {
		z.Line, z.Text = line, text
		key, exception := z.cutKey(restOfLine(text, 0))
		items, end, _ := z.entry(key, exception)
		note := ""
		if value, ok := z.cutValue(end, exception); ok {
			_, note, _ = z.parseValue(value)
		}
		for _, it := range items {
			if rankOf[0] != isNone {
				it.Exception, it.Note = rankOf[0] != isChosen, note
				z.Yield(it)
			}
			rankOf = rankOf[1:]
		}
	})
	z.Line, z.Text = last, lastText
}
