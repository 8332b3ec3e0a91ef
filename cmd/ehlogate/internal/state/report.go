package state

import (
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

// Unavailable returns an error for each list of files that could not be loaded, or whose files are older than
// expire_after.
func (s *Snapshot) Unavailable() (errs []error) {
	for list, source := range s.Files() {
		switch status := source.Status(); {
		case status.Fault() != nil:
			errs = append(errs, status.Fault())
		case status.Expired:
			errs = append(errs, fmt.Errorf("list %q is unavailable: its files are older than expire_after = %v", list.Name, list.Spec.ExpireAfter))
		}
	}
	return errs
}

func (m *Manager) logChanges(all []*trackedList) {
	configs := make(map[*listfile.List]config.List)
	for l, s := range m.Snapshot().Files() {
		configs[s] = l
	}
	for _, t := range all {
		m.logListChange(configs[t.source], t)
	}
}

func (m *Manager) logListChange(l config.List, t *trackedList) {
	log, now, before := m.log.WithField("list", l.Name), t.source.Status(), t.logged
	t.logged = now
	if now.Loaded != before.Loaded {
		log.WithFields(logrus.Fields{"action": l.Action.String(), "entries": now.Entries, "files": len(now.Files),
			"took": t.loadTime.Round(time.Microsecond).String()}).Info("list loaded")
		logformat.LogSkipped(log, now.Skipped)
	}
	if now.Failures != before.Failures {
		msg := "list reload failed; previous version stays in use"
		if now.Loaded.IsZero() {
			msg = "list unavailable: it was never loaded; " + effectOfUnavailable(l)
		}
		logformat.LogProblems(log, now.Fault(), msg)
	} else if before.ReadErr != nil && now.Fault() == nil && now.Loaded == before.Loaded {
		log.Info("list files readable again")
	}
	switch {
	case now.Expired && (!before.Expired || now.ExpiresAt != before.ExpiresAt):
		log.WithField("expire_after", fmt.Sprint(l.Spec.ExpireAfter)).
			Error("list unavailable: its files are older than expire_after; " + effectOfUnavailable(l))
	case before.Expired && !now.Expired:
		log.Info("list available again: its files are newer than expire_after")
	}
}

// effectOfUnavailable says what happens to clients while a list is unavailable.
func effectOfUnavailable(l config.List) string {
	if l.Action == lists.Suppress || l.Mode == lists.Observe {
		return "the list is skipped"
	}
	return "clients that match no list before it are offered STARTTLS"
}
