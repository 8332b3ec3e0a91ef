package fallback

import (
	"errors"
	"fmt"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// makeEntry makes an entry unless there are too many.
func (l *Learner) makeEntry(tx learnstore.Tx, now learnstore.Moment, c lists.Client, action lists.Action, v *evidence) (made bool, err error) {
	why := ""
	if l.budget.isSpent() {
		why = "entries suppress as many sessions as they may"
	} else if l.countNear(c) >= max(1, l.options.MaxEntries/nearShare) {
		why = "its network has as many entries as one may have"
	} else if len(l.entries) >= l.options.MaxEntries && !l.makeRoom(tx, &err) {
		why = "there are as many entries as there may be"
	}
	if why != "" || err != nil {
		if hour := int64(now.Followed/time.Hour) + 1; why != "" && l.capHour != hour {
			l.capHour = hour
			l.notify(Event{Kind: EventCap, Warning: true, Client: c.Addr, Name: c.Name, Action: action, Class: v.class, Reason: "no entry was made: " + why})
		}
		return false, err
	}
	e := &entry{
		addr: c.Addr, name: c.Name, action: action, class: v.class, made: now, proofs: v.proofs, lastEnd: v.lastTime,
		probe: &probe{},
	}
	e.beginLife(&l.options, now, l.options.Life)
	l.entries[e.addr] = e
	l.notifyEntry(e, EventLearned, false, fmt.Sprintf("%d sessions failed with %s", len(e.proofs), e.class))
	return true, l.saveEntry(tx, e)
}

// nearShare is which part of all entries one network may have: an attacker has all addresses of an IPv6 network, and would
// keep every other client from being learned.
const nearShare = 10

// countNear returns how many entries the network of a client has.
func (l *Learner) countNear(c lists.Client) (n int) {
	key := string(nearKey(c.Addr))
	for addr := range l.entries {
		if string(nearKey(addr)) == key {
			n++
		}
	}
	return n
}

// makeRoom drops the entry that has been dormant for longest, and reports whether there was one.
func (l *Learner) makeRoom(tx learnstore.Tx, err *error) bool {
	var oldest *entry
	for _, e := range l.sortedEntries() {
		if !e.live && (oldest == nil || e.until.Followed < oldest.until.Followed) {
			oldest = e
		}
	}
	if oldest == nil {
		return false
	}
	*err = l.dropEntry(tx, oldest, EventEnded, false, "it was dormant, and another client needed the room")
	return true
}

// failEntry takes into account a failure of a client with an entry.
func (l *Learner) failEntry(tx learnstore.Tx, now learnstore.Moment, c lists.Client, e *entry, s *maillog.Session) error {
	if e.live && e.action == lists.Legacy && l.isEnforced(lists.Legacy) && !e.probe.wasProbe(s) {
		return l.failLegacy(tx, now, e, s)
	}
	if s.Class != e.class || !l.options.mayFollow(now, e.proofs, s) {
		return nil
	}
	if c.Name != "" {
		e.name = c.Name
	}
	if !e.live {
		if !l.isFree(tx, now, e, e.action) {
			return nil
		}
		e.confirm(&l.options, now)
		l.notifyEntry(e, EventConfirmed, false, "it failed in the same way again")
	} else {
		e.renew, e.lastProbe = true, now
	}
	e.proofs = l.options.addProof(e.proofs, newProof(now, s))
	return l.saveEntry(tx, e)
}

// failLegacy takes into account that TLS failed in spite of old TLS. If that goes on, the client is suppressed.
func (l *Learner) failLegacy(tx learnstore.Tx, now learnstore.Moment, e *entry, s *maillog.Session) error {
	e.legacyClass, e.legacyProofs = l.collectProof(now, e.legacyClass, e.legacyProofs, s)
	if !l.options.isEnough(e.legacyProofs) {
		return l.saveEntry(tx, e)
	}
	if !l.options.Suppress || !l.isFree(tx, now, e, lists.Suppress) {
		const reason = "old TLS does not help"
		return errors.Join(l.dropEntry(tx, e, EventEnded, false, reason), l.leaveAlone(tx, now, e.addr, l.options.LeaveAlone, reason))
	}
	e.action, e.class, e.proofs = lists.Suppress, e.legacyClass, e.legacyProofs
	e.legacyClass, e.legacyProofs = maillog.ClassNone, nil
	e.sessions, e.messages, e.unused = 0, 0, 0
	e.beginLife(&l.options, now, l.options.Life)
	l.notifyEntry(e, EventSuppressed, false, "old TLS does not help")
	return l.saveEntry(tx, e)
}

func (l *Learner) isEnforced(action lists.Action) bool {
	return l.environment.Enforced == nil || l.environment.Enforced(action)
}

// Tick lets time pass. It is to be called every second while logs are followed.
func (l *Learner) Tick(tx learnstore.Tx, now learnstore.Moment) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	if err := l.closeBreaker(tx, now); err != nil {
		return err
	}
	hour := l.state.hour
	l.refillBudget(now)
	for _, e := range l.sortedEntries() {
		if err := l.ageEntry(tx, now, e); err != nil {
			return err
		}
	}
	if l.state.hour != hour || l.state.used != l.budget.used.Load() {
		return l.saveState(tx)
	}
	return nil
}

// ageEntry ends the life of an entry when its time has come.
func (l *Learner) ageEntry(tx learnstore.Tx, now learnstore.Moment, e *entry) error {
	changed := e.collect(&l.options, now)
	c := lists.Client{Addr: e.addr, Name: e.name}
	switch {
	case l.environment.Never != nil && l.environment.Never(c):
		return l.dropEntry(tx, e, EventEnded, false, "[learn] never has it, or is unavailable")
	case isOver(advance(e.made, l.options.TotalLife), now):
		const forever = maxFollowed * time.Hour
		reason := fmt.Sprintf("its entry ended after %s in all: promote it, or forget it so that it can be learned again", formatSpan(l.options.TotalLife))
		return errors.Join(l.dropEntry(tx, e, EventEnded, true, reason), l.leaveAlone(tx, now, e.addr, forever, reason))
	case !e.live || !isOver(e.until, now):
	case e.renew && l.isFree(tx, now, e, e.action):
		changed = true
		e.confirm(&l.options, now)
		l.notifyEntry(e, EventConfirmed, false, "a probe failed in the same way")
	default:
		changed = true
		e.live, e.renew = false, false
		l.notifyEntry(e, EventDormant, false, "STARTTLS is offered again")
	}
	if changed {
		return l.saveEntry(tx, e)
	}
	return nil
}
