package earned

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// FuzzRecord puts garbage in the store. Whatever it is, nothing panics, what was learned of others stays, and in the end
// nothing of it is left.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint8(0))
	f.Add(keyOf(0), make([]byte, recordSize), uint8(1))
	whole := record{end: math.MaxUint32, since: 1, used: math.MaxUint32, counted: math.MaxUint32, delivered: math.MaxUint64, refused: math.MaxUint64,
		all: tally{math.MaxUint16, math.MaxUint16}, recent: tally{math.MaxUint16, 1}}
	other, _ := clientOf(netip.MustParseAddr("203.0.113.9"))
	f.Add(keyOf(other), whole.appendTo(nil), uint8(shardOf(other)))
	f.Add(keyOf(0x20010db8<<32), whole.appendTo(nil)[1:], uint8(3))
	f.Fuzz(func(t *testing.T, key, value []byte, index uint8) {
		w := newWorld(t, Defaults(), Environment{})
		w.earn(good)
		c, _ := clientOf(netip.MustParseAddr(good))
		if bytes.Equal(key, keyOf(c)) {
			return
		}
		if err := w.store.Bucket(shardNames[index]).Put(key, value); err != nil {
			t.Fatal(err)
		}
		look := func() {
			shards := []int{int(index), shardOf(c)}
			if len(key) == 8 {
				shards = append(shards, shardOf(client(binary.BigEndian.Uint64(key))))
			}
			for _, w.learner.next = range shards {
				if err := w.learner.Tick(w.store, w.now); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.learner.Reload()
		look()
		w.report()
		if len(key) == 8 {
			addr := client(binary.BigEndian.Uint64(key)).prefix().Addr().String()
			w.client(addr)
			w.deliver(addr, 2)
			w.reject(addr, 1)
		}
		w.want(good, true)
		look()
		w.sleep(31 * day)
		look()
		look()
		if r := w.report(); r.Records != 0 || r.Clients != 0 {
			t.Errorf("got %+v", r)
		}
	})
}

// What is no record, or not in its place, is never used, and deleted.
func TestUnusable(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	c, _ := clientOf(netip.MustParseAddr(good))
	value := w.store.Bucket(shardNames[shardOf(c)]).Get(keyOf(c))
	other, _ := clientOf(netip.MustParseAddr("203.0.113.9"))
	for _, broken := range []struct {
		shard int
		key   []byte
		value []byte
	}{
		{shardOf(0), keyOf(0), value},
		{shardOf(other) ^ 1, keyOf(other), value},
		{shardOf(c) ^ 1, keyOf(c), value},
		{shardOf(other), keyOf(other)[1:], value},
		{shardOf(other), keyOf(other), value[1:]},
		{shardOf(other), append(keyOf(other), 0), value},
	} {
		if err := w.store.Bucket(shardNames[broken.shard]).Put(broken.key, broken.value); err != nil {
			t.Fatal(err)
		}
	}
	w.learner.Reload()
	if r := w.report(); r.Clients != 1 || r.Records != 7 {
		t.Errorf("got %+v", r)
	}
	w.sweep()
	if r := w.report(); r.Clients != 1 || r.Records != 1 {
		t.Errorf("got %+v", r)
	}
}

// A store that lost for how long logs were followed, and not the records, keeps them for no longer than from then on, and
// their clients can go on.
func TestFollowedLost(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	const candidate = "203.0.113.9"
	w.sleep(300 * day)
	w.earn(good)
	w.deliver(candidate, 9)
	w.now.Followed = 0
	w.learner.Reload()
	w.sweep()
	w.want(good, true)
	for range 4 {
		w.nextDay(1)
		w.deliver(candidate, 1)
	}
	w.want(candidate, true)
	w.now.Followed += 31 * day
	w.sweep()
	w.want(good, false)
}

// failing is a store in which writing fails, as on a full disk, and nothing is committed.
type failing struct{ *learnstore.Memory }

type failingBucket struct{ learnstore.Bucket }

var errFull = errors.New("no space left on device")

func (f failing) Bucket(name string) learnstore.Bucket { return failingBucket{f.Memory.Bucket(name)} }
func (failingBucket) Put(_, _ []byte) error            { return errFull }
func (failingBucket) Delete(_ []byte) error            { return errFull }

// What could not be written is not learned, and can be learned later.
func TestFullDisk(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	for range 5 {
		w.nextDay(1)
		w.deliver(good, 1)
	}
	for range 4 {
		w.deliver(good, 1)
	}
	w.sleep(time.Minute)
	last := w.newSession(good, maillog.MailAccepted)
	full := failing{w.store.(*learnstore.Memory)}
	if err := w.learner.Add(full, w.now, last); err != errFull {
		t.Fatalf("got %v", err)
	}
	w.learner.Reload()
	w.report()
	w.want(good, false)
	w.add(last)
	w.want(good, true)
	for name, call := range map[string]func() error{
		"Forget": func() error { return w.learner.Forget(full, w.now, netip.MustParseAddr(good)) },
		"Tick": func() error {
			w.sleep(40 * day)
			for range shardCount {
				if err := w.learner.Tick(full, w.now); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := call(); err != errFull {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
