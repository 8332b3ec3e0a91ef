package fallback

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"ehlogate/lists/learnstore"
)

// agedBucket is a bounded bucket: beyond its limit, each new record takes the place of the oldest. A second bucket has the
// keys in the order of their age.
type agedBucket struct {
	name  string
	limit int
	// former is where an older version kept the records of this bucket; nil: nowhere else. Those are found until they go there.
	former *agedBucket
	// oldest has keys of the second bucket that are next to go. It saves a walk for each.
	oldest [][]byte
}

const (
	stampLength = 4 // minutes of the time for which logs were followed, big endian, in front of each record
	pruneWalk   = 1 << 12
)

func (a *agedBucket) records(tx learnstore.Tx) learnstore.Bucket { return tx.Bucket(a.name) }
func (a *agedBucket) ages(tx learnstore.Tx) learnstore.Bucket    { return tx.Bucket(a.name + "-age") }

// find returns a record and its stamp, nil if there is none.
func (a *agedBucket) find(tx learnstore.Tx, key []byte) (record []byte, stamp time.Duration) {
	value := a.records(tx).Get(key)
	if len(value) < stampLength && a.former != nil {
		return a.former.find(tx, key)
	}
	if len(value) < stampLength {
		return nil, 0
	}
	return value[stampLength:], time.Duration(binary.BigEndian.Uint32(value)) * time.Minute
}

// store keeps a record under a stamp, in full minutes. It reports whether that changed anything.
func (a *agedBucket) store(tx learnstore.Tx, stamp time.Duration, key, record []byte) (changed bool, err error) {
	records, ages := a.records(tx), a.ages(tx)
	value := make([]byte, stampLength, stampLength+len(record))
	binary.BigEndian.PutUint32(value, uint32(stamp/time.Minute))
	value = append(value, record...)
	old := records.Get(key)
	if bytes.Equal(old, value) {
		return false, nil
	}
	isNew := len(old) < stampLength
	if isNew && a.former != nil {
		err = a.former.remove(tx, key)
	}
	if isNew || !bytes.Equal(old[:stampLength], value[:stampLength]) {
		if !isNew {
			err = errors.Join(err, ages.Delete(ageKey(old, key)))
		}
		age := ageKey(value, key)
		for n := len(a.oldest); n > 0 && bytes.Compare(a.oldest[n-1], age) > 0; n-- {
			a.oldest = a.oldest[:n-1] // this one goes before it
		}
		err = errors.Join(err, ages.Put(age, []byte{recordVersion}))
	}
	if err = errors.Join(err, records.Put(key, value)); err == nil && isNew && records.Count() > a.limit {
		err = a.dropOldest(tx)
	}
	return true, err
}

func (a *agedBucket) remove(tx learnstore.Tx, key []byte) error {
	records := a.records(tx)
	old := records.Get(key)
	if old == nil && a.former != nil {
		return a.former.remove(tx, key)
	}
	if old == nil {
		return nil
	}
	var err error
	if len(old) >= stampLength {
		err = a.ages(tx).Delete(ageKey(old, key))
	}
	return errors.Join(err, records.Delete(key))
}

// dropOldest deletes one record, or two, so that a bucket that has too many shrinks to its limit.
func (a *agedBucket) dropOldest(tx learnstore.Tx) error {
	records, ages := a.records(tx), a.ages(tx)
	for dropped := 0; dropped < 2 && records.Count() > a.limit; {
		if len(a.oldest) == 0 {
			if err := a.findOldest(ages); err != nil || len(a.oldest) == 0 {
				return err
			}
		}
		age := a.oldest[0]
		a.oldest = a.oldest[1:]
		if ages.Get(age) == nil {
			continue // the record has become younger, or is gone
		}
		if err := errors.Join(ages.Delete(age), records.Delete(age[stampLength:])); err != nil {
			return err
		}
		dropped++
	}
	return nil
}

var errEnough = errors.New("enough")

func (a *agedBucket) findOldest(ages learnstore.Bucket) error {
	err := ages.ForEach(func(key, _ []byte) error {
		if len(a.oldest) >= pruneWalk {
			return errEnough
		}
		if len(key) > stampLength {
			a.oldest = append(a.oldest, bytes.Clone(key))
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// ageKey returns the key of the second bucket for a value of the first.
func ageKey(value, key []byte) []byte {
	return append(bytes.Clone(value[:stampLength]), key...)
}
