package fallback

import (
	"errors"
	"net/netip"

	"ehlogate/lists/learnstore"
)

const (
	stateBucket = "fallback-state"
	stateKey    = "state"
)

// state is what the rules remember beyond clients.
type state struct {
	breaker
	traffic
}

func (s *state) encode() []byte {
	e := newEncoder(recordVersion)
	e.putInt(boolInt(s.open))
	e.putText(s.reason)
	e.putTime(s.since)
	e.putFollowed(s.closes)
	for _, n := range []int64{s.hour, s.thisHour, s.lastHour, s.used} {
		e.putInt(min(n, maxCount))
	}
	return e
}

// decodeState returns the zero state if the record is not one.
func decodeState(record []byte) state {
	d := newDecoder(record, recordVersion)
	s := state{breaker: breaker{d.takeBool(), d.takeText(), d.takeTime(), d.takeFollowed()}}
	for _, n := range []*int64{&s.hour, &s.thisHour, &s.lastHour, &s.used} {
		*n = d.takeInt(0, maxCount)
	}
	if !d.isWhole() {
		return state{}
	}
	return s
}

func (l *Learner) saveState(tx learnstore.Tx) error {
	l.state.used = l.budget.used.Load()
	return tx.Bucket(stateBucket).Put([]byte(stateKey), l.state.encode())
}

// load reads the store if that was not done. Records that are no records of it are deleted, and so are entries beyond the
// limit and those that the rules cannot have made.
func (l *Learner) load(tx learnstore.Tx, now learnstore.Moment) error {
	if l.loaded {
		return nil
	}
	l.state = decodeState(tx.Bucket(stateBucket).Get([]byte(stateKey)))
	l.budget.used.Store(max(l.budget.used.Load(), l.state.used))
	l.refillBudget(now)
	known := l.entries
	l.entries, l.table = map[netip.Addr]*entry{}, nil
	var bad [][]byte
	bucket := tx.Bucket(entryBucket)
	err := bucket.ForEach(func(key, record []byte) error {
		e := decodeEntry(key, record)
		if e == nil || !e.isPlausible(&l.options, now) || len(l.entries) >= l.options.MaxEntries {
			bad = append(bad, append([]byte(nil), key...))
			return nil
		}
		if before := known[e.addr]; before != nil {
			e.probe = before.probe
		}
		l.entries[e.addr] = e
		return nil
	})
	for _, key := range bad {
		err = errors.Join(err, bucket.Delete(key))
	}
	l.loaded = err == nil
	return err
}
