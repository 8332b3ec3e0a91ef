package fallback

import (
	"errors"
	"net/netip"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// Learner has the rules. It is not safe for concurrent use; its tables and lists are.
//
// If a call returns an error, or its transaction is not committed, the Learner remembers what the store does not have: call
// Reload then.
type Learner struct {
	options     Options
	environment Environment
	notify      func(Event)

	loaded   bool // entries and state are those of the store
	entries  map[netip.Addr]*entry
	state    state
	failures failures
	budget   *budget
	table    *Table // nil: entries changed
	capHour  int64  // in which the last event told that no entry was made

	clients, domains, clear, alone *agedBucket
	immune, networks               byFamily
}

// New returns a Learner, which reads the store with its first call. notify, which may be nil, is called within the other
// methods, before the transaction is committed.
func New(o Options, e Environment, notify func(Event)) *Learner {
	if notify == nil {
		notify = func(Event) {}
	}
	return &Learner{
		options: o, environment: e, notify: notify, entries: map[netip.Addr]*entry{}, budget: &budget{},
		clients:  &agedBucket{name: "fallback-clients", limit: o.MaxEvidence},
		alone:    &agedBucket{name: "fallback-alone", limit: o.MaxEvidence},
		immune:   newByFamily("fallback-immune", o.MaxImmune),
		networks: newByFamily("fallback-networks", o.MaxImmune),
		domains:  &agedBucket{name: "fallback-domains", limit: o.MaxImmune},
		clear:    &agedBucket{name: "fallback-clear", limit: o.MaxImmune},
	}
}

// Reload makes the next call read the store again.
func (l *Learner) Reload() {
	l.loaded = false
	for _, b := range []*agedBucket{l.clients, l.alone, l.immune.v4, l.immune.v6, l.networks.v4, l.networks.v6, l.domains, l.clear} {
		b.oldest = nil
	}
}

// Add learns from a session. It keeps nothing of s.
//
// Success counts on any service. Failures and mail count on port 25 alone; where the log does not tell the service, it may be
// submission.
func (l *Learner) Add(tx learnstore.Tx, now learnstore.Moment, s *maillog.Session) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	c := clientOf(s)
	onPort25 := s.Service != "" && s.IsPort25()
	if onPort25 {
		l.countSession(now, s)
		if s.TLS == maillog.TLSOK || isHandshakeFailure(s) {
			l.countHandshake(now)
		}
	}
	if s.Outcome == maillog.OutcomeLocal && !isRefused(s) {
		if err := l.openBreaker(tx, now, "this server is at fault, as its log says ("+s.Class.String()+")"); err != nil {
			return err
		}
	}
	switch {
	case !c.Addr.IsValid():
		return nil
	case s.TLS == maillog.TLSOK:
		return l.takeSuccess(tx, now, c, s)
	case !onPort25 || s.Outcome == maillog.OutcomeLocal:
		return nil
	case isHandshakeFailure(s):
		return l.takeFailure(tx, now, c, s)
	}
	return l.takeClear(tx, now, c, s)
}

// isHandshakeFailure reports whether a handshake failed.
func isHandshakeFailure(s *maillog.Session) bool {
	return s.TLS == maillog.TLSFailed && !isRefused(s)
}

// isRefused reports whether the server refused STARTTLS, which is no handshake: it hides STARTTLS from the client, or the client
// asks for it more often than the server allows one (Postfix: smtpd_client_new_tls_session_rate_limit). That is not the fault of
// the server, and any client can bring it about.
func isRefused(s *maillog.Session) bool {
	return s.Class.String() == "starttls-refused" || s.Class.String() == "rate-limited"
}

// takeSuccess makes the client immune, and ends its entry unless the success is what the entry is for: old TLS.
func (l *Learner) takeSuccess(tx learnstore.Tx, now learnstore.Moment, c lists.Client, s *maillog.Session) error {
	version := lists.ParseTLSVersion(s.Version)
	isModern := version == lists.TLS12 || version == lists.TLS13
	isOld := version == lists.TLS10 || version == lists.TLS11 || version == lists.SSL3
	if e := l.entries[c.Addr]; e != nil {
		e.collect(&l.options, now)
		// No probe has old TLS, but one may be near to a session that has.
		isUse := e.live && e.action == lists.Legacy && (isOld || !e.probe.wasProbe(s) && (!isModern || !isVersionClass(e.class)))
		if isUse {
			if err := l.useEntry(tx, now, e, s); err != nil {
				return err
			}
			isOld = true // whatever the version: it may not work without the entry
		} else {
			wasSuppressed := e.action == lists.Suppress && e.sessions > 0
			if err := l.dropEntry(tx, e, EventRepaired, wasSuppressed, "it completed TLS"); err != nil {
				return err
			}
		}
	}
	return errors.Join(l.clients.remove(tx, addrKey(c.Addr)), l.makeImmune(tx, now, c, !isOld))
}

// takeClear takes into account a session without TLS.
func (l *Learner) takeClear(tx learnstore.Tx, now learnstore.Moment, c lists.Client, s *maillog.Session) error {
	if err := l.noteClear(tx, now, c.Addr, s); err != nil {
		return err
	}
	if e := l.entries[c.Addr]; e != nil {
		return l.useEntry(tx, now, e, s)
	}
	return nil
}

// noteClear remembers that a client delivered in the clear.
func (l *Learner) noteClear(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr, s *maillog.Session) error {
	if s.Messages <= 0 {
		return nil
	}
	_, err := l.clear.store(tx, hourUp(now.Followed), addrKey(addr), []byte{recordVersion})
	return err
}

// deliveredInClear reports whether a client delivered mail in the clear not long ago.
func (l *Learner) deliveredInClear(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr) bool {
	record, at := l.clear.find(tx, addrKey(addr))
	return len(record) == 1 && record[0] == recordVersion && now.Followed < at+l.options.Clear && at <= hourUp(now.Followed)
}

// useEntry takes into account a session under an entry that was no probe: an entry that brings no mail is of no use.
func (l *Learner) useEntry(tx learnstore.Tx, now learnstore.Moment, e *entry, s *maillog.Session) error {
	switch {
	case !e.live, s.Server == maillog.Postscreen: // which accepts no mail
		return nil
	case s.Time.Before(e.made.Wall), !s.End.After(e.lastEnd), s.End.After(now.Wall.Add(timeGrace)):
		return nil
	}
	e.lastEnd = s.End
	switch {
	case s.Messages > 0:
		e.messages, e.unused = e.messages+s.Messages, 0
	case !e.probe.wasProbe(s):
		e.unused++
	}
	if e.messages == 0 && e.unused >= l.options.UnusedSessions {
		const reason = "it sent no mail that was accepted, so that the entry was of no use"
		return errors.Join(l.dropEntry(tx, e, EventEnded, false, reason), l.leaveAlone(tx, now, e.addr, l.options.LeaveAlone, reason))
	}
	return l.saveEntry(tx, e)
}

// OpenBreaker stops learning for the rest that the options have: something of this server changed or is not sure.
func (l *Learner) OpenBreaker(tx learnstore.Tx, now learnstore.Moment, reason string) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	return l.openBreaker(tx, now, reason)
}

// Withdraw ends the entry of a client, if it has one, and makes the client immune.
func (l *Learner) Withdraw(tx learnstore.Tx, now learnstore.Moment, client netip.Addr, reason string) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	c := lists.Client{Addr: plainAddr(client)}
	if e := l.entries[c.Addr]; e != nil {
		c.Name = e.name
		if err := l.dropEntry(tx, e, EventWithdrawn, true, reason); err != nil {
			return err
		}
	}
	return errors.Join(l.clients.remove(tx, addrKey(c.Addr)), l.makeImmune(tx, now, c, true))
}

// Forget deletes the entry of a client, its evidence, and that it is left alone. It stays immune if it is.
func (l *Learner) Forget(tx learnstore.Tx, now learnstore.Moment, client netip.Addr) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	addr := plainAddr(client)
	if e := l.entries[addr]; e != nil {
		if err := l.dropEntry(tx, e, EventEnded, false, "the operator had it forgotten"); err != nil {
			return err
		}
	}
	return errors.Join(l.clients.remove(tx, addrKey(addr)), l.alone.remove(tx, addrKey(addr)))
}

// leaveAlone keeps a client from being learned for a time, or for longer if it is left alone for longer already.
func (l *Learner) leaveAlone(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr, lasts time.Duration, reason string) error {
	until := min(now.Followed+lasts, maxFollowed*time.Hour)
	if _, before := l.alone.find(tx, addrKey(addr)); before > until {
		return nil
	}
	e := newEncoder(recordVersion)
	e.putFollowed(until)
	e.putText(reason)
	_, err := l.alone.store(tx, until, addrKey(addr), e) // by its end: the one that ends first goes first
	return err
}

// findAlone returns why a client is left alone; empty if it is not.
func (l *Learner) findAlone(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr) string {
	record, _ := l.alone.find(tx, addrKey(addr))
	d := newDecoder(record, recordVersion)
	until, reason := d.takeFollowed(), d.takeText()
	if !d.isWhole() || now.Followed >= until {
		return ""
	}
	return reason
}
