package listfile

import (
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// MaxCounted is the most entries that a list may have for its uses to be counted: some 40 bytes of memory for each.
const MaxCounted = 100_000

// day is the unit of a use log. Sixteen bits are enough until 2149.
const day = 24 * time.Hour

// UseLog remembers on which day each entry of a list last decided that the list matches a session, or does not. To note
// that costs a session that matches the comparison of two numbers, and one that does not match nothing.
type UseLog struct {
	today atomic.Uint32

	mu              sync.Mutex
	known           map[uint64]Use // by UseKey: when present was read
	before, present *useTable
}

// useTable has the uses of the entries of a table, by their IDs: the day since when an entry is counted in the upper half,
// and that of its last use, 0 if there is none, in the lower.
type useTable struct {
	keys []uint64
	days []atomic.Uint32
}

// Use is what a UseLog has of an entry, in days since 1970.
type Use struct{ Since, Last uint16 }

// UseKey returns the key of an entry. Its note, its place and its end do not matter.
func UseKey(it *iptable.Item) uint64 {
	h := fnv.New64a()
	h.Write([]byte(it.String()))
	return h.Sum64()
}

// Day returns the number of the day of a time, in UTC.
func Day(t time.Time) uint16 { return uint16(t.Unix() / int64(day/time.Second)) }

// NewUseLog returns a log that begins with what was remembered.
func NewUseLog(known map[uint64]Use, today time.Time) *UseLog {
	l := &UseLog{known: known, before: new(useTable), present: new(useTable)}
	l.SetToday(today)
	return l
}

// SetToday is to be called now and then, so that lookups need not read the clock.
func (l *UseLog) SetToday(now time.Time) { l.today.Store(uint32(Day(now))) }

// Uses returns what the log has of the entries of the list that was read last.
func (l *UseLog) Uses() map[uint64]Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.collect(l.present.keys)
}

// collect returns the uses of the entries with some keys. Sessions may still be noted in the table before the present one.
func (l *UseLog) collect(keys []uint64) map[uint64]Use {
	out := make(map[uint64]Use, len(keys))
	for _, key := range keys {
		use, ok := l.known[key]
		if !ok {
			use.Since = uint16(l.today.Load())
		}
		out[key] = use
	}
	for _, t := range []*useTable{l.before, l.present} {
		for i, key := range t.keys {
			if use, ok := out[key]; ok {
				days := t.days[i].Load()
				out[key] = Use{min(use.Since, uint16(days>>16)), max(use.Last, uint16(days))}
			}
		}
	}
	return out
}

// attach returns the uses of the entries with some keys, by their IDs. It forgets the others.
func (l *UseLog) attach(keys []uint64) []atomic.Uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = l.collect(keys)
	l.before, l.present = l.present, &useTable{keys, make([]atomic.Uint32, len(keys))}
	for i, key := range keys {
		use := l.known[key]
		l.present.days[i].Store(uint32(use.Since)<<16 | uint32(use.Last))
	}
	return l.present.days
}

// WithUseLog returns s as a list whose uses are noted in a log, from the next time that it is read.
func (s *List) WithUseLog(l *UseLog) *List {
	next := *s
	next.uses = l
	return &next
}

// CountsUses reports whether sessions that the list matches are noted.
func (s *List) CountsUses() bool { return s.uses != nil }

// LookupSession is Lookup for a new session, which is noted.
func (s *List) LookupSession(c lists.Client) lists.Match {
	t := s.Table()
	if t == nil {
		return lists.Match{Status: lists.Unavailable}
	}
	id, status := t.Lookup(c, s.clock)
	if status != lists.Matched && status != lists.Exception {
		return lists.Match{Status: status}
	}
	if s.days != nil {
		if days, today := s.days[id].Load(), s.uses.today.Load(); days&0xffff != today {
			s.days[id].Store(days&^0xffff | today)
		}
	}
	return lists.Match{Status: status, ID: id, By: t}
}

// keyCollector returns an inspection that collects the keys of entries; nil if uses are not counted.
func (s *List) keyCollector() (inspect *inspection, keys *[]uint64) {
	keys = new([]uint64)
	if s.uses == nil {
		return nil, keys
	}
	return &inspection{visit: func(it *Item) {
		if len(*keys) <= MaxCounted {
			*keys = append(*keys, UseKey(&it.Item))
		}
	}}, keys
}
