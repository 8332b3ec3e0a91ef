package learnstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"

	"go.etcd.io/bbolt"
)

// What the bucket of the store itself has: its format and version, and for each other bucket its count and sum.
const (
	metaBucket    = "_meta"
	formatKey     = "format"
	format        = "ehlogate learned lists"
	versionKey    = "version"
	version       = 1
	summaryPrefix = "summary:"
	summarySize   = 16
)

// tx is a transaction of bbolt.
type tx struct {
	bolt    *bbolt.Tx
	buckets map[string]*bucket
	err     error // the first
}

func (t *tx) Bucket(name string) Bucket {
	if b, ok := t.buckets[name]; ok {
		return b
	}
	b := &bucket{tx: t, bolt: t.bolt.Bucket([]byte(name))}
	t.buckets[name] = b
	if b.bolt == nil && t.bolt.Writable() {
		var err error
		if b.bolt, err = t.bolt.CreateBucket([]byte(name)); err != nil {
			t.fail(err)
		}
	}
	if meta := t.bolt.Bucket([]byte(metaBucket)); meta != nil {
		b.summary = parseSummary(meta.Get([]byte(summaryPrefix + name)))
	}
	return b
}

func (t *tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Changed implements [Changer].
func (t *tx) Changed() bool {
	for _, b := range t.buckets {
		if b.changed {
			return true
		}
	}
	return false
}

// errUnchanged keeps a transaction that changed nothing from writing.
var errUnchanged = errors.New("unchanged")

// finish writes the summaries of the buckets that were changed.
func (t *tx) finish() error {
	if t.err == nil && !t.Changed() {
		return errUnchanged
	}
	meta, err := t.bolt.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	for name, b := range t.buckets {
		if b.changed {
			if err := meta.Put([]byte(summaryPrefix+name), b.summary.format()); err != nil {
				return err
			}
		}
	}
	return t.err
}

// bucket is a bucket of bbolt.
type bucket struct {
	tx      *tx
	bolt    *bbolt.Bucket // nil: there is none, and none can be made
	summary summary
	changed bool
}

// summary is over the content of a bucket: its keys and values in any order.
type summary struct{ count, sum uint64 }

var crcTable = crc64.MakeTable(crc64.ECMA)

// sumOf returns what a key and its value add to the sum.
func sumOf(key, value []byte) uint64 {
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(key)))
	crc := crc64.Update(0, crcTable, size[:])
	return crc64.Update(crc64.Update(crc, crcTable, key), crcTable, value)
}

func parseSummary(b []byte) (s summary) {
	if len(b) == summarySize {
		s.count, s.sum = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	}
	return s
}

func (s summary) format() []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, s.count), s.sum)
}

var errReadOnly = errors.New("this transaction changes nothing")

func (b *bucket) Get(key []byte) []byte {
	if b.bolt == nil {
		return nil
	}
	return b.bolt.Get(key)
}

func (b *bucket) Put(key, value []byte) error {
	if b.bolt == nil {
		return errReadOnly
	}
	old := b.bolt.Get(key)
	next := b.summary.without(key, old)
	if err := b.bolt.Put(key, bytes.Clone(value)); err != nil { // which bbolt keeps until the end
		return fmt.Errorf("putting a value of %d bytes: %w", len(value), err)
	}
	b.summary, b.changed = summary{next.count + 1, next.sum + sumOf(key, value)}, true
	return nil
}

func (b *bucket) Delete(key []byte) error {
	if b.bolt == nil {
		return errReadOnly
	}
	next := b.summary.without(key, b.bolt.Get(key))
	if err := b.bolt.Delete(key); err != nil {
		return err
	}
	b.summary, b.changed = next, true
	return nil
}

// without returns the summary without a key and its value, unless that is nil.
func (s summary) without(key, value []byte) summary {
	if value == nil {
		return s
	}
	return summary{s.count - 1, s.sum - sumOf(key, value)}
}

func (b *bucket) ForEach(f func(key, value []byte) error) error {
	if b.bolt == nil {
		return nil
	}
	return b.bolt.ForEach(f)
}

func (b *bucket) Count() int { return int(b.summary.count) }
