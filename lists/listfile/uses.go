package listfile

import (
	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/uselog"
)

// UseKey returns the key of an entry in a use log. Its note, its place and its end do not matter.
func UseKey(it *iptable.Item) uint64 { return uselog.KeyOf(it.String()) }

// WithUseLog returns s as a list that notes its uses in a log, from the next time that it is read.
func (s *List) WithUseLog(l *uselog.Log) *List {
	next := *s
	next.log = l
	return &next
}

// NotesUses reports whether sessions that the list matches are noted.
func (s *List) NotesUses() bool { return s.log != nil }

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
	if s.uses != nil {
		s.uses.Note(id)
	}
	return lists.Match{Status: status, ID: id, By: t}
}

// collectKeys returns an inspection that collects the keys of entries; nil if uses are not noted.
func (s *List) collectKeys() (inspect *inspection, keys *[]uint64) {
	keys = new([]uint64)
	if s.log == nil {
		return nil, keys
	}
	return &inspection{visit: func(it *Item) {
		if len(*keys) <= uselog.MaxEntries {
			*keys = append(*keys, UseKey(&it.Item))
		}
	}}, keys
}
