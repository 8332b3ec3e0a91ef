package earned

// members are the clients that are earned, as a [Learner] changes them. Their tables share what did not change.
type members struct {
	base           set
	added, removed map[client]struct{} // since base was made
	table          *Table              // nil: to be made
}

// minChanges is how many clients are beside the base before it is made again, for a small one.
const minChanges = 1024

// newMembers returns a set of clients, each of which is in all once.
func newMembers(all []client) members {
	m := members{base: newSet(len(all)), added: map[client]struct{}{}, removed: map[client]struct{}{}}
	for _, c := range all {
		m.base.insert(c)
	}
	return m
}

func (m *members) has(c client) bool {
	if _, ok := m.added[c]; ok {
		return true
	}
	_, ok := m.removed[c]
	return !ok && m.base.has(c)
}

// change adds or removes a client. It reports whether that was a change.
func (m *members) change(c client, to bool) bool {
	if to == m.has(c) {
		return false
	}
	m.table = nil
	from, into := m.added, m.removed
	if to {
		from, into = m.removed, m.added
	}
	if _, ok := from[c]; ok {
		delete(from, c)
	} else {
		into[c] = struct{}{}
	}
	if len(m.added)+len(m.removed) > max(minChanges, m.base.n/32) {
		m.rebase()
	}
	return true
}

// rebase makes the base of all clients.
func (m *members) rebase() {
	all := make([]client, 0, m.base.n+len(m.added))
	for c := range m.base.all() {
		if _, ok := m.removed[c]; !ok {
			all = append(all, c)
		}
	}
	for c := range m.added {
		all = append(all, c)
	}
	*m = newMembers(all)
}

// snapshot returns a table that does not change.
func (m *members) snapshot() *Table {
	if m.table == nil {
		m.table = &Table{base: m.base, added: copySet(m.added), removed: copySet(m.removed)}
	}
	return m.table
}

func copySet(m map[client]struct{}) set {
	if len(m) == 0 {
		return set{}
	}
	s := newSet(len(m))
	for c := range m {
		s.insert(c)
	}
	return s
}

func (m *members) count() int { return m.base.n - len(m.removed) + len(m.added) }
