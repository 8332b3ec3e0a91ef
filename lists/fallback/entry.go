package fallback

import (
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// entry is a client that is to be served in another way.
type entry struct {
	addr   netip.Addr
	name   string // verified; may be empty
	action lists.Action
	class  maillog.Class
	live   bool // else it is dormant
	made   learnstore.Moment
	// until is when its life ends, or ended; life is how long that life was to be.
	until         learnstore.Moment
	life          time.Duration
	confirmed     learnstore.Moment // last
	confirmations int
	renew         bool // a probe failed in this life
	proofs        []proof
	legacyClass   maillog.Class // of legacyProofs, which show that old TLS does not help either
	legacyProofs  []proof
	lastProbe     learnstore.Moment
	probes        int
	sessions      int // that it answered
	lastEnd       time.Time
	unused        int // sessions in a row without accepted mail
	messages      int

	probe *probe
}

// advance returns the moment after d.
func advance(m learnstore.Moment, d time.Duration) learnstore.Moment {
	return learnstore.Moment{Wall: m.Wall.Add(d), Followed: m.Followed + d}
}

// isOver reports whether a moment has come by either time.
func isOver(until, now learnstore.Moment) bool {
	return now.Followed >= until.Followed || !now.Wall.Before(until.Wall)
}

// beginLife begins a life of an entry. It ends with what is left of the total.
func (e *entry) beginLife(o *Options, now learnstore.Moment, life time.Duration) {
	e.live, e.renew, e.life, e.confirmed = true, false, min(life, o.MaxLife), now
	e.lastProbe = now
	e.probe.due.Store(false)
	e.until = advance(now, e.life)
	last := advance(e.made, o.TotalLife)
	e.until.Followed = min(e.until.Followed, last.Followed)
	if last.Wall.Before(e.until.Wall) {
		e.until.Wall = last.Wall
	}
}

// confirm begins a life that is twice as long as that before.
func (e *entry) confirm(o *Options, now learnstore.Moment) {
	e.confirmations++
	e.beginLife(o, now, 2*min(e.life, o.MaxLife))
}

// isPlausible reports whether the rules can have made an entry of the store. The time for which logs were followed is lost
// with the store, so an entry of the future is of another store.
func (e *entry) isPlausible(o *Options, now learnstore.Moment) bool {
	return e.made.Followed <= now.Followed && e.confirmed.Followed <= now.Followed && e.until.Followed <= e.confirmed.Followed+o.MaxLife &&
		(e.action == lists.Legacy && o.Legacy || e.action == lists.Suppress && o.Suppress) && hasOwnAddress(e.addr)
}

// maxCount bounds the counters of a record. An int of 32 bits holds it.
const maxCount = 1 << 30

func (e *entry) encode() []byte {
	r := newEncoder(lineVersion)
	r.putText(e.name)
	r.putInt(int64(e.action))
	r.putText(e.class.String())
	r.putInt(boolInt(e.live))
	r.putMoment(e.made)
	r.putMoment(e.until)
	r.putFollowed(e.life)
	r.putMoment(e.confirmed)
	r.putInt(int64(e.confirmations))
	r.putInt(boolInt(e.renew))
	r.putProofs(e.proofs)
	r.putText(e.legacyClass.String())
	r.putProofs(e.legacyProofs)
	r.putMoment(e.lastProbe)
	for _, n := range []int{e.probes, e.sessions, e.unused, e.messages} {
		r.putInt(int64(min(n, maxCount)))
	}
	r.putTime(e.lastEnd)
	return r
}

// decodeEntry returns nil if key and record are not those of an entry.
func decodeEntry(key, record []byte) *entry {
	addr, ok := netip.AddrFromSlice(key)
	if !ok || len(key) != 16 {
		return nil
	}
	d := newDecoder(record, lineVersion)
	e := &entry{addr: addr.Unmap(), probe: &probe{}}
	e.name, e.action = d.takeText(), lists.Action(d.takeInt(int64(lists.Suppress), int64(lists.Legacy)))
	e.class, e.live, e.made, e.until = d.takeClass(), d.takeBool(), d.takeMoment(), d.takeMoment()
	e.life, e.confirmed, e.confirmations, e.renew = d.takeFollowed(), d.takeMoment(), d.takeCount(maxCount), d.takeBool()
	e.proofs, e.legacyClass, e.legacyProofs, e.lastProbe = d.takeProofs(), d.takeClass(), d.takeProofs(), d.takeMoment()
	e.probes, e.sessions, e.unused, e.messages = d.takeCount(maxCount), d.takeCount(maxCount), d.takeCount(maxCount), d.takeCount(maxCount)
	e.lastEnd = d.takeTime()
	if !d.isWhole() || e.action == lists.Require {
		return nil
	}
	return e
}

const entryBucket = "fallback-entries"

// saveEntry keeps an entry in the store. The table changes.
func (l *Learner) saveEntry(tx learnstore.Tx, e *entry) error {
	l.table = nil
	return tx.Bucket(entryBucket).Put(addrKey(e.addr), e.encode())
}

// dropEntry deletes an entry.
func (l *Learner) dropEntry(tx learnstore.Tx, e *entry, kind EventKind, warning bool, reason string) error {
	delete(l.entries, e.addr)
	l.table = nil
	l.notifyEntry(e, kind, warning, reason)
	return tx.Bucket(entryBucket).Delete(addrKey(e.addr))
}

func (l *Learner) notifyEntry(e *entry, kind EventKind, warning bool, reason string) {
	event := Event{Kind: kind, Warning: warning, Client: e.addr, Name: e.name, Action: e.action, Class: e.class, Reason: reason}
	if kind == EventLearned || kind == EventConfirmed || kind == EventSuppressed {
		event.Until = e.until.Wall
	}
	l.notify(event)
}

// sortedEntries returns the entries by address, so that the same sessions always have the same effects.
func (l *Learner) sortedEntries() []*entry {
	all := make([]*entry, 0, len(l.entries))
	for _, e := range l.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return a.addr.Compare(b.addr) })
	return all
}
