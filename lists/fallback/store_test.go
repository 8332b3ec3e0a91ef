package fallback

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"ehlogate/lists/learnstore"
)

// countingStore is a store that counts what is done to it, and can be copied.
type countingStore struct {
	buckets                map[string]*countingBucket
	writes, visits, failAt int // the write number failAt fails
}

type countingBucket struct {
	store *countingStore
	m     map[string][]byte
}

var errFull = errors.New("the disk is full")

func newCountingStore() *countingStore { return &countingStore{buckets: map[string]*countingBucket{}} }

func (s *countingStore) clone() *countingStore {
	c := newCountingStore()
	for name, b := range s.buckets {
		c.buckets[name] = &countingBucket{c, maps.Clone(b.m)}
	}
	return c
}

func (s *countingStore) Bucket(name string) learnstore.Bucket {
	b := s.buckets[name]
	if b == nil {
		b = &countingBucket{s, map[string][]byte{}}
		s.buckets[name] = b
	}
	return b
}

func (b *countingBucket) Get(key []byte) []byte { return b.m[string(key)] }
func (b *countingBucket) Count() int            { return len(b.m) }

func (b *countingBucket) countWrite() error {
	if b.store.writes++; b.store.writes == b.store.failAt {
		return errFull
	}
	return nil
}

func (b *countingBucket) Put(key, value []byte) error {
	if err := b.countWrite(); err != nil {
		return err
	}
	b.m[string(key)] = bytes.Clone(value)
	return nil
}

func (b *countingBucket) Delete(key []byte) error {
	if err := b.countWrite(); err != nil {
		return err
	}
	delete(b.m, string(key))
	return nil
}

func (b *countingBucket) ForEach(f func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(b.m)) {
		b.store.visits++
		if err := f([]byte(k), b.m[k]); err != nil {
			return err
		}
	}
	return nil
}
