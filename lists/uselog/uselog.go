// Package uselog remembers on which day each entry of a list was last used: that it decided that the list matches a session,
// or does not. To note that costs the comparison of two numbers.
package uselog

import (
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"
)

// MaxEntries is the most entries that a list may have for its uses to be noted: some 30 bytes of memory for each.
const MaxEntries = 100_000

// Use is what a Log has of an entry, in days since 1970, for which sixteen bits are enough until 2149.
type Use struct {
	Since uint16 // the first day on which its uses were noted
	Last  uint16 // the day of the last one; 0: there is none
}

// KeyOf returns the key of an entry by its text.
func KeyOf(entry string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(entry))
	return h.Sum64()
}

// DayOf returns the number of the day of a time, in UTC.
func DayOf(t time.Time) uint16 { return uint16(t.Unix() / (24 * 60 * 60)) }

// Log has the uses of the entries of a list, while tables take each other's place.
type Log struct {
	today atomic.Uint32

	mu              sync.Mutex
	known           map[uint64]Use // by KeyOf: when present was made
	before, present *Table
}

// Table has the uses of the entries of a table, by their IDs.
type Table struct {
	log  *Log
	keys []uint64
	days []atomic.Uint32 // Use.Since in the upper half, Use.Last in the lower
}

// New returns a log that begins with what was remembered.
func New(known map[uint64]Use, now time.Time) *Log {
	l := &Log{known: known, before: new(Table), present: new(Table)}
	l.SetToday(now)
	return l
}

// SetToday is to be called now and then, so that to note a use no clock need be read.
func (l *Log) SetToday(now time.Time) { l.today.Store(uint32(DayOf(now))) }

// Uses returns what the log has of the entries of the last table.
func (l *Log) Uses() map[uint64]Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.collect(l.present.keys)
}

// collect returns the uses of the entries with some keys. Sessions may still be noted in the table before the present one.
func (l *Log) collect(keys []uint64) map[uint64]Use {
	out := make(map[uint64]Use, len(keys))
	for _, key := range keys {
		use, ok := l.known[key]
		if !ok {
			use.Since = uint16(l.today.Load())
		}
		out[key] = use
	}
	for _, t := range []*Table{l.before, l.present} {
		for i, key := range t.keys {
			if use, ok := out[key]; ok {
				days := t.days[i].Load()
				out[key] = Use{min(use.Since, uint16(days>>16)), max(use.Last, uint16(days))}
			}
		}
	}
	return out
}

// NewTable returns the uses of the entries with some keys, in the order of their IDs. The log forgets all others.
func (l *Log) NewTable(keys []uint64) *Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = l.collect(keys)
	l.before, l.present = l.present, &Table{l, keys, make([]atomic.Uint32, len(keys))}
	for i, key := range keys {
		use := l.known[key]
		l.present.days[i].Store(uint32(use.Since)<<16 | uint32(use.Last))
	}
	return l.present
}

// Note notes a use of entry id.
func (t *Table) Note(id int32) {
	if days, today := t.days[id].Load(), t.log.today.Load(); days&0xffff != today {
		t.days[id].Store(days&^0xffff | today)
	}
}
