package learnstore

import (
	"bytes"
	"maps"
	"slices"
)

// Memory is a store in memory. It knows no transactions: every change takes effect at once. It is for reports on old logs,
// which nothing is learned from.
type Memory struct{ buckets map[string]memoryBucket }

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{map[string]memoryBucket{}} }

// Bucket implements [Tx].
func (m *Memory) Bucket(name string) Bucket {
	b, ok := m.buckets[name]
	if !ok {
		b = memoryBucket{}
		m.buckets[name] = b
	}
	return b
}

type memoryBucket map[string][]byte

func (b memoryBucket) Get(key []byte) []byte { return b[string(key)] }

func (b memoryBucket) Put(key, value []byte) error {
	b[string(key)] = bytes.Clone(value)
	return nil
}

func (b memoryBucket) Delete(key []byte) error {
	delete(b, string(key))
	return nil
}

func (b memoryBucket) ForEach(f func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if err := f([]byte(k), b[k]); err != nil {
			return err
		}
	}
	return nil
}

func (b memoryBucket) Count() int { return len(b) }
