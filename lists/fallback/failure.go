package fallback

import (
	"errors"
	"iter"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// takeFailure takes into account a handshake that failed.
func (l *Learner) takeFailure(tx learnstore.Tx, now learnstore.Moment, c lists.Client, s *maillog.Session) error {
	if err := l.noteClear(tx, now, c.Addr, s); err != nil {
		return err
	}
	record, _ := l.clients.find(tx, addrKey(c.Addr))
	v := decodeEvidence(record)
	if v == nil {
		v = &evidence{}
	}
	isScan := s.Outcome == maillog.OutcomeScanner || v.isScan(l.options.ScannerSpan, s)
	isFirst := !isScan && !v.failed && mayBeOurs(s)
	v.failed = v.failed || isFirst
	v.last, v.lastTime, v.name = s.Class, s.End, c.Name
	if isFirst {
		if err := l.noteFirstFailure(tx, now, c.Addr); err != nil {
			return err
		}
	}
	var err error
	switch {
	case isScan:
		err = l.rejectClient(tx, now, c, v, "it fails in several ways within a short time, as a scanner does")
	case s.Outcome == maillog.OutcomeAttackOrBroken:
		err = l.rejectClient(tx, now, c, v, "data was changed on the way, or TLS downgraded")
	case l.state.open || l.findAlone(tx, now, c.Addr) != "":
		v.proofs = nil
	case !l.isEvidence(tx, now, c, s):
		if s.Class != v.class {
			v.proofs = nil
		}
	default:
		err = l.takeProof(tx, now, c, v, s)
	}
	_, errStore := l.clients.store(tx, now.Followed, addrKey(c.Addr), v.encode())
	return errors.Join(err, errStore)
}

// rejectClient leaves a client alone, and ends its entry.
func (l *Learner) rejectClient(tx learnstore.Tx, now learnstore.Moment, c lists.Client, v *evidence, reason string) error {
	v.proofs = nil
	if e := l.entries[c.Addr]; e != nil {
		if err := l.dropEntry(tx, e, EventLeftAlone, false, reason); err != nil {
			return err
		}
	}
	return l.leaveAlone(tx, now, c.Addr, l.options.LeaveAlone, reason)
}

// isEvidence reports whether the failure says that the client is incapable of TLS. Garbage looks like a client that goes on
// in the clear, so that needs to be one that sends mail.
func (l *Learner) isEvidence(tx learnstore.Tx, now learnstore.Moment, c lists.Client, s *maillog.Session) bool {
	switch s.Outcome {
	case maillog.OutcomeIncapable:
		return true
	case maillog.OutcomePlaintextClient:
		return c.Name != "" || l.deliveredInClear(tx, now, c.Addr)
	}
	return false
}

// takeProof takes into account a failure that is evidence.
func (l *Learner) takeProof(tx learnstore.Tx, now learnstore.Moment, c lists.Client, v *evidence, s *maillog.Session) error {
	e := l.entries[c.Addr]
	if e != nil && !e.live && e.class != s.Class {
		if err := l.dropEntry(tx, e, EventEnded, false, "it fails in another way now"); err != nil {
			return err
		}
		e = nil
	}
	if e != nil {
		v.proofs = nil
		return l.failEntry(tx, now, c, e, s)
	}
	v.class, v.proofs = l.collectProof(now, v.class, v.proofs, s)
	if n := len(v.proofs); n == 0 || v.proofs[n-1].followed != now.Followed || !l.options.isEnough(v.proofs) {
		return nil
	}
	action := l.chooseAction(v.class)
	for range l.findObstacles(tx, now, c, action) {
		return nil
	}
	made, err := l.makeEntry(tx, now, c, action, v)
	if made {
		v.proofs = nil
	}
	return err
}

// collectProof returns the proofs with a failure, if it counts. A failure of another class begins anew.
func (l *Learner) collectProof(now learnstore.Moment, class maillog.Class, proofs []proof, s *maillog.Session) (maillog.Class, []proof) {
	if class != s.Class {
		proofs = nil
	}
	proofs = l.options.keepFresh(now, l.state.closes, proofs)
	if l.options.mayFollow(now, proofs, s) {
		proofs = l.options.addProof(proofs, newProof(now, s))
	}
	return s.Class, proofs
}

// chooseAction returns what a client that fails this way begins with: old TLS if that may help; NoAction if no list helps.
func (l *Learner) chooseAction(class maillog.Class) lists.Action {
	switch {
	case l.options.Legacy && helpsOldTLS(class):
		return lists.Legacy
	case l.options.Suppress:
		return lists.Suppress
	}
	return lists.NoAction
}

// findObstacles returns why a client may not have an entry. The question to other lists comes last: it may need DNS.
func (l *Learner) findObstacles(tx learnstore.Tx, now learnstore.Moment, c lists.Client, action lists.Action) iter.Seq[string] {
	return func(yield func(string) bool) {
		refuse := func(is bool, why string) bool { return !is || yield(why) }
		immune, _ := l.findImmunity(tx, now, c, action)
		alone := l.findAlone(tx, now, c.Addr)
		if !refuse(action == lists.NoAction, "old TLS does not help, and no list learns which clients to suppress") ||
			!refuse(!hasOwnAddress(c.Addr), "its address may be that of many clients, or of this machine") ||
			!refuse(isTestSite(c.Name), "it is a service that tests mail servers") ||
			!refuse(l.environment.Never != nil && l.environment.Never(c), "[learn] never has it, or is unavailable") ||
			!refuse(immune != "", "immune: "+immune) ||
			!refuse(alone != "", "left alone: "+alone) ||
			!refuse(l.state.open, "the breaker is open: "+l.state.reason) {
			return
		}
		standing := StandingNone
		if l.environment.Standing != nil {
			standing = l.environment.Standing(c)
		}
		believed := standing == StandingTrusted || c.Name != "" || l.deliveredInClear(tx, now, c.Addr)
		_ = refuse(standing == StandingUnknown, "a list that may have it is pending or unavailable") &&
			refuse(standing == StandingDenied, "another list has it as a client to suppress") &&
			refuse(!believed, "nothing says that it sends mail: it has no verified name, is on no list, and delivered nothing in the clear")
	}
}

// isFree reports whether nothing keeps a client from having an entry.
func (l *Learner) isFree(tx learnstore.Tx, now learnstore.Moment, e *entry, action lists.Action) bool {
	for range l.findObstacles(tx, now, lists.Client{Addr: e.addr, Name: e.name}, action) {
		return false
	}
	return true
}
