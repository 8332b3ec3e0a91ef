package earned

import (
	"fmt"
	"net/netip"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// Learner has the rules. It is not safe for concurrent use; its tables and lists are.
//
// A call that returns an error, or whose transaction is not committed, has changed what the Learner remembers: call Reload
// then.
type Learner struct {
	options     Options
	environment Environment
	notify      func(Event)
	loaded      bool
	members     members
	next        int // shard that the next Tick looks at
}

// New returns a Learner, which reads the store with its first call. notify, which may be nil, is called within the other
// methods, before the transaction is committed.
func New(o Options, e Environment, notify func(Event)) *Learner {
	return &Learner{options: o, environment: e, notify: notify, members: newMembers(nil)}
}

// Reload makes the next call read the store again.
func (l *Learner) Reload() { l.loaded = false }

// Table returns the table as it is after the last call.
func (l *Learner) Table() *Table { return l.members.snapshot() }

// Has reports whether the client at an address is earned after the last call. It is for one goroutine that learns and asks by
// turns, which a table for each would make slow.
func (l *Learner) Has(addr netip.Addr) bool {
	c, ok := clientOf(addr)
	return ok && l.members.has(c)
}

// Add learns from a session. It keeps nothing of s.
func (l *Learner) Add(tx learnstore.Tx, now learnstore.Moment, s *maillog.Session) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	c, ok := clientOf(s.Addr)
	if !ok || !l.counts(now, s) {
		return nil
	}
	about := lists.Client{Addr: s.Addr, Name: s.Name}
	shard := openShard(tx, shardOf(c))
	r, known := shard.get(c)
	if l.environment.Never != nil && l.environment.Never(about) {
		return l.drop(shard, c, s.Name, known, "nothing may be learned of it")
	}
	end, accepted := uint32(s.End.Unix()), s.Mail == maillog.MailAccepted
	switch {
	case !known:
		if err := l.makeRoom(shard); err != nil {
			return err
		}
		r = record{end: end}
	case int64(r.end) > latest(now).Unix():
		// The clock was ahead at that time, or it is behind now. Else the client would have to wait for the time to come.
		r.end = end
	case end < r.end, end == r.end && accepted:
		// It may have been counted before. If several end in a second, mail that is accepted must not hide what is rejected.
		return nil
	}
	followed := uint32(now.Followed / time.Second)
	r.moveTo(end, &l.options)
	wasLive := r.isLive(now, &l.options)
	if !wasLive {
		r.since = 0
	}
	r.count(accepted, followed)
	reason := l.judge(&r, about, wasLive)
	l.setMember(c, s.Name, r.since != 0, reason)
	return shard.put(c, &r)
}

// judge decides whether a client is earned after a session, and why.
func (l *Learner) judge(r *record, about lists.Client, wasLive bool) (reason string) {
	o := &l.options
	switch {
	case wasLive && r.recent.isBad(o, o.Sessions):
		r.since = 0
		return r.recent.describe(o)
	case !wasLive && !r.earns(o):
		return noMail
	case l.environment.Denied != nil && l.environment.Denied(about):
		r.since = 0
		return "a list that suppresses, or a DNS black list, has it"
	case !wasLive:
		r.since = r.end
		return fmt.Sprintf("mail was accepted on %d days, in %d sessions", countDays(r.delivered, o.Of), r.all.accepted)
	}
	return ""
}

// noMail is the reason why a client is earned no more that did nothing.
const noMail = "no mail was accepted for too long"

// Forget deletes all that is known of a client.
func (l *Learner) Forget(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr) error {
	c, ok := clientOf(addr)
	if err := l.load(tx, now); err != nil || !ok {
		return err
	}
	shard := openShard(tx, shardOf(c))
	_, known := shard.get(c)
	return l.drop(shard, c, "", known, "forgotten")
}

// drop deletes the record of a client, if it is known.
func (l *Learner) drop(shard shard, c client, name string, known bool, reason string) error {
	l.setMember(c, name, false, reason)
	if !known {
		return nil
	}
	return shard.delete(c)
}

// setMember makes a client a member, or not, and tells of it if that is new.
func (l *Learner) setMember(c client, name string, earned bool, reason string) {
	if !l.members.change(c, earned) || l.notify == nil {
		return
	}
	e := Event{Kind: EventLeft, Client: c.prefix(), Name: name, Reason: reason}
	if earned {
		e.Kind = EventEarned
	}
	l.notify(e)
}
