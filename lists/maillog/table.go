package maillog

import "time"

// table has the open sessions of one kind, in a list by their last activity. Its keys are hashes with a secret seed.
type table struct {
	open           map[uint64]*session
	oldest, newest *session
	idle           int64 // ns
	finish         func(*session)
}

func newTable(idle time.Duration, finish func(*session)) *table {
	return &table{open: map[uint64]*session{}, idle: int64(idle), finish: finish}
}

// get returns the open session of key, or nil, and marks it as active. Mostly it is that of the line before.
func (t *table) get(key uint64) *session {
	if t.newest != nil && t.newest.key == key {
		return t.newest
	}
	s := t.open[key]
	if s != nil {
		t.unlink(s)
		t.link(s)
	}
	return s
}

// add opens a session of a key that has none, and ends another if there are too many.
func (t *table) add(key uint64, s *session, stats *Stats) {
	if len(t.open) >= maxOpen {
		stats.Evicted++
		t.end(t.oldest)
	}
	s.key = key
	t.open[key] = s
	t.link(s)
}

// end ends a session.
func (t *table) end(s *session) {
	delete(t.open, s.key)
	t.unlink(s)
	t.finish(s)
}

// expire ends sessions that were not active for too long.
func (t *table) expire(now stamp) {
	for t.oldest != nil && now-t.oldest.seen > t.idle {
		t.end(t.oldest)
	}
}

func (t *table) flush() {
	for t.oldest != nil {
		t.end(t.oldest)
	}
}

// link makes a session the newest.
func (t *table) link(s *session) {
	if s.older, s.newer = t.newest, nil; s.older != nil {
		s.older.newer = s
	} else {
		t.oldest = s
	}
	t.newest = s
}

func (t *table) unlink(s *session) {
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		t.oldest = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		t.newest = s.older
	}
}
