package state

import (
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/lists"
	"ehlogate/lists/listfile"
	"ehlogate/lists/tlspolicy"
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
	if s.Never != nil && s.Never.Status().Fault() != nil {
		errs = append(errs, s.Never.Status().Fault())
	}
	return errs
}

func (m *Manager) logChanges(all []*trackedList) {
	configs := make(map[*listfile.List]config.List)
	snapshot := m.Snapshot()
	for l, s := range snapshot.Files() {
		configs[s] = l
	}
	if never, ok := neverConfig(snapshot.Config); ok {
		configs[snapshot.Never] = never
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
	if l.Name == NeverName {
		return "nothing is learned, and lists that learn match no client"
	}
	if l.Action == lists.Suppress || l.Action == lists.NoAction || l.Mode == lists.Observe {
		return "the list is skipped"
	}
	return "clients that match no list before it are offered STARTTLS"
}

func logGuardEvent(log logrus.FieldLogger, e tlspolicy.Event) {
	if e.Err != nil {
		log = log.WithError(e.Err)
	}
	ofDomain := log.WithField("domain", e.Domain)
	switch e.Kind {
	case tlspolicy.Activated:
		log.Warnf("guard active: only your own list files hide STARTTLS from now on, not the default, DNS lists or feeds; the reason is %s: %s. To end this, withdraw what the domain publishes, or remove it from [guard] domains", e.Domain, e.Reason)
	case tlspolicy.Deactivated:
		log.Info("guard inactive: no domain is committed to STARTTLS, so the default, DNS lists and feeds may hide it")
	case tlspolicy.FileUnreadable:
		log.Warnf("cannot read %s: a commitment to STARTTLS is assumed for each domain until it has been checked, and the file is not written before the next start", e.File)
	case tlspolicy.FileInvalid:
		log.Warnf("invalid state file %s: a commitment to STARTTLS is assumed for each domain until it has been checked", e.File)
	case tlspolicy.FileNotWritten:
		log.Warnf("cannot write %s, so commitments to STARTTLS are forgotten at a restart: make its directory writable for this user, or set another file in [guard] state", e.File)
	case tlspolicy.CheckSucceeded:
		ofDomain.Infof("%s of %s can be checked again: %s", e.Mechanism, e.Domain, e.State)
	case tlspolicy.CheckFailed:
		effect := "the last result stays: " + string(e.State)
		if e.State == tlspolicy.Unknown {
			effect = "a commitment to STARTTLS is assumed until a check succeeds"
		}
		ofDomain.Warnf("%s of %s cannot be checked since %s: %s", e.Mechanism, e.Domain, e.Since.Format(time.RFC3339), effect)
	case tlspolicy.PolicyTesting:
		ofDomain.Warnf("the MTA-STS policy of %s has mode testing: the guard overrides nothing for it yet, and senders report each session without STARTTLS (RFC 8460); once the mode is enforce, only your own list files hide STARTTLS", e.Domain)
	case tlspolicy.CommitmentChanged:
		switch e.Commitment {
		case tlspolicy.Confirmed:
			ofDomain.Warnf("%s is committed to STARTTLS: %s", e.Domain, e.Reason)
		case tlspolicy.Assumed:
			ofDomain.Warnf("a commitment of %s to STARTTLS is assumed: %s", e.Domain, e.Reason)
		default:
			ofDomain.Infof("%s is not committed to STARTTLS: %s", e.Domain, e.Reason)
		}
	}
}

func logLogsEvent(log logrus.FieldLogger, e logs.Event) {
	if e.Err != nil {
		log = log.WithError(e.Err)
	}
	log = log.WithField("source", e.Source)
	if e.Source == logs.JournalName && logJournalEvent(log, e) {
		return
	}
	switch e.Kind {
	case logs.Unreadable:
		log.Warn("cannot read a log of [logs]; its clients are not counted, and decisions do not depend on it; make it readable for the user that ehlogate runs as (logs.conf among the examples for systemd)")
	case logs.Readable:
		log.Info("a log of [logs] can be read again")
	case logs.LinesLost:
		log.Warn("a log of [logs] was rotated and compressed while ehlogate did not run: some lines were not read, which ehlogate replay still can")
	case logs.Panicked:
		log.WithField("stack", string(e.Stack)).Error("internal error (panic) about a line of a log; the line was not read; please report the stack trace")
	case logs.StateInvalid:
		log.Warn("invalid state file of [logs]: the logs are read from their end on")
	case logs.StateNotWritten:
		log.Warn("cannot write the state file of [logs], so lines that come while ehlogate does not run are not read: make its directory writable for this user, or set another file in [logs] state")
	}
}

// logJournalEvent logs what is otherwise said of the journal than of a file. It reports whether there is such a thing.
func logJournalEvent(log logrus.FieldLogger, e logs.Event) bool {
	switch e.Kind {
	case logs.Unreadable:
		log.Warn("cannot read the journal for [logs]; its clients are not counted, and decisions do not depend on it; the service of the package needs logs-journal.conf (among the examples for systemd)")
	case logs.LinesLost:
		log.Warn("the journal does not have the last line that [logs] read any more: later lines may be missing too; have systemd-journald keep more (SystemMaxUse= in journald.conf)")
	default:
		return false
	}
	return true
}
