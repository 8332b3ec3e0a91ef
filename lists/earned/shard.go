package earned

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"ehlogate/lists/learnstore"
)

// shardCount is the number of buckets that records are spread over. One of them is small enough to be looked through at once.
const shardCount = 256

// TicksOfRound is how many calls of [Learner.Tick] look at each client once.
const TicksOfRound = shardCount

var shardNames = func() (names [shardCount]string) {
	for i := range names {
		names[i] = fmt.Sprintf("earned/%02x", i)
	}
	return names
}()

// shard has the records of some of the clients.
type shard struct {
	learnstore.Bucket
	index int
}

func openShard(tx learnstore.Tx, index int) shard { return shard{tx.Bucket(shardNames[index]), index} }

// shardOf returns the shard of a client.
func shardOf(c client) int {
	const spread = 0x9e3779b97f4a7c15 // of the golden ratio: neighbours are far apart
	return int(uint64(c) * spread >> 56)
}

// get returns the record of a client; false if there is none that can be used.
func (s shard) get(c client) (record, bool) { return decode(s.Get(keyOf(c))) }

func (s shard) put(c client, r *record) error { return s.Put(keyOf(c), r.appendTo(nil)) }

func (s shard) delete(c client) error { return s.Delete(keyOf(c)) }

func keyOf(c client) []byte { return binary.BigEndian.AppendUint64(nil, uint64(c)) }

// each calls f with each record, and returns the keys of what cannot be used.
func (s shard) each(f func(c client, r record)) (broken [][]byte, err error) {
	err = s.ForEach(func(key, value []byte) error {
		if r, ok := decode(value); ok && len(key) == 8 {
			if c := client(binary.BigEndian.Uint64(key)); c != 0 && shardOf(c) == s.index {
				f(c, r)
				return nil
			}
		}
		broken = append(broken, bytes.Clone(key))
		return nil
	})
	return broken, err
}

// load reads which clients are earned, if that is not known yet.
func (l *Learner) load(tx learnstore.Tx, now learnstore.Moment) error {
	if l.loaded {
		return nil
	}
	var all []client
	for i := range shardCount {
		_, err := openShard(tx, i).each(func(c client, r record) {
			if r.isLive(now, &l.options) {
				all = append(all, c)
			}
		})
		if err != nil {
			return err
		}
	}
	l.members, l.loaded = newMembers(all), true
	return nil
}

// Tick lets time pass. It is to be called every second while logs are followed: each call looks through one shard.
func (l *Learner) Tick(tx learnstore.Tx, now learnstore.Moment) error {
	if err := l.load(tx, now); err != nil {
		return err
	}
	s := openShard(tx, l.next)
	l.next = (l.next + 1) % shardCount
	var spent []client
	mended := map[client]record{}
	broken, err := s.each(func(c client, r record) {
		if r.mend(now) {
			mended[c] = r
		}
		if r.isSpent(now, &l.options) {
			spent = append(spent, c)
		}
		if r.isLive(now, &l.options) {
			l.setMember(c, "", true, "the clock was set back")
		} else {
			l.setMember(c, "", false, noMail)
		}
	})
	if err != nil {
		return err
	}
	for c, r := range mended {
		if err := s.put(c, &r); err != nil {
			return err
		}
	}
	for _, key := range broken {
		if err := s.Delete(key); err != nil {
			return err
		}
	}
	return l.dropAll(s, spent, noMail)
}

// makeRoom makes room in a shard for one more record. It drops a part of the shard at once, so that this is seldom: those
// that are not earned first, of them those with accepted mail on the fewest days, and of these the oldest.
func (l *Learner) makeRoom(s shard) error {
	limit := max(1, l.options.MaxClients/shardCount)
	if s.Count() < limit {
		return nil
	}
	type candidate struct {
		c    client
		rank int
		used uint32
	}
	var all []candidate
	_, err := s.each(func(c client, r record) {
		rank := countDays(r.delivered, l.options.Of)
		if r.since != 0 {
			rank += MaxOf
		}
		all = append(all, candidate{c, rank, r.used})
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.used, b.used)) })
	var dropped []client
	for _, d := range all[:min(len(all), s.Count()-limit+1+limit/16)] {
		dropped = append(dropped, d.c)
	}
	return l.dropAll(s, dropped, "max_clients is reached")
}

func (l *Learner) dropAll(s shard, all []client, reason string) error {
	for _, c := range all {
		if err := l.drop(s, c, "", true, reason); err != nil {
			return err
		}
	}
	return nil
}
