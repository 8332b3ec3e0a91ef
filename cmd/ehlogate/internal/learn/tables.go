package learn

import (
	"sync"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
)

// learnedLists are the lists that learn. They outlive changes of the settings.
type learnedLists struct {
	mu               sync.Mutex
	abandoned        bool // another service publishes
	table            *fallback.Table
	earnedTable      *earned.Table
	legacy, suppress *fallback.List
	earned           *earned.List
}

// publish makes the lists answer from new tables; a nil one stays.
func (l *learnedLists) publish(table *fallback.Table, earnedTable *earned.Table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.abandoned {
		return
	}
	if table != nil && table != l.table {
		l.table = table
		l.legacy.Publish(table)
		l.suppress.Publish(table)
	}
	if earnedTable != nil && earnedTable != l.earnedTable {
		l.earnedTable = earnedTable
		l.earned.Publish(earnedTable)
	}
}

// endLives ends the entries that have expired, also while the file cannot be written.
func (l *learnedLists) endLives(now learnstore.Moment) {
	l.mu.Lock()
	table := l.table
	l.mu.Unlock()
	if table != nil {
		l.publish(table.AsOf(now), nil)
	}
}

// isEarnedKnown reports whether the list of earned clients was ever published.
func (l *learnedLists) isEarnedKnown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.earnedTable != nil
}

func (l *learnedLists) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned = true
}

// Count returns how many clients the list for an action has. Fallback lists have one number.
func (s *Service) Count(action lists.Action) int {
	entries, clients := s.lists.count()
	if action == lists.Offer {
		return clients
	}
	return entries
}

// count returns how many clients the lists have.
func (l *learnedLists) count() (fallbackEntries, earnedClients int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.table != nil {
		fallbackEntries = l.table.Len()
	}
	if l.earnedTable != nil {
		earnedClients = l.earnedTable.Count()
	}
	return fallbackEntries, earnedClients
}
