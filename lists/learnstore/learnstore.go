// Package learnstore keeps what lists learn of clients, across restarts and crashes.
package learnstore

// Tx is a transaction: all that is changed in it takes effect, or nothing.
type Tx interface {
	// Bucket returns a bucket, which it makes if there is none of that name.
	Bucket(name string) Bucket
}

// Changer is a Tx that knows whether something was put or deleted in it.
type Changer interface{ Changed() bool }

// Bucket is a sorted map. What Get and ForEach return is valid until the transaction ends, and must not be changed.
type Bucket interface {
	// Get returns nil if there is no such key.
	Get(key []byte) []byte
	Put(key, value []byte) error
	Delete(key []byte) error
	// ForEach calls f for each key in order, until f returns an error, which it returns. f must not change the bucket.
	ForEach(f func(key, value []byte) error) error
	// Count returns how many keys there are. It takes no time that depends on the number.
	Count() int
}
