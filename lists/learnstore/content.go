package learnstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// checkContent compares the content of a database with its version and its summaries. A new database has nothing.
func checkContent(b *bbolt.Tx) error {
	var names []string
	err := b.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		names = append(names, string(name))
		return nil
	})
	if err != nil || len(names) == 0 {
		return err
	}
	meta := b.Bucket([]byte(metaBucket))
	if meta == nil || string(meta.Get([]byte(formatKey))) != format {
		return errors.New("it is a database of another program")
	}
	if v := string(meta.Get([]byte(versionKey))); v != fmt.Sprint(version) {
		return fmt.Errorf("it has version %.20q, and this version of ehlogate reads version %d", v, version)
	}
	for _, name := range names {
		if name == metaBucket {
			continue
		}
		found, err := summarize(b.Bucket([]byte(name)))
		if err != nil {
			return err
		}
		if want := parseSummary(meta.Get([]byte(summaryPrefix + name))); found != want {
			return fmt.Errorf("it is corrupt: bucket %.100q has %d records, which are not the %d that were written", name, found.count, want.count)
		}
	}
	return meta.ForEach(func(k, v []byte) error {
		name, ok := strings.CutPrefix(string(k), summaryPrefix)
		known := string(k) == formatKey || string(k) == versionKey || ok && len(v) == summarySize && slices.Contains(names, name)
		if !known {
			return fmt.Errorf("it is corrupt: it has %.100q in bucket %s", k, metaBucket)
		}
		return nil
	})
}

func summarize(b *bbolt.Bucket) (s summary, err error) {
	err = b.ForEach(func(k, v []byte) error {
		s = summary{s.count + 1, s.sum + sumOf(k, v)}
		return nil
	})
	return s, err
}

// markNew writes the format and the version into a new database.
func markNew(b *bbolt.Tx) error {
	if b.Bucket([]byte(metaBucket)) != nil {
		return nil
	}
	meta, err := b.CreateBucket([]byte(metaBucket))
	if err != nil {
		return err
	}
	if err := meta.Put([]byte(formatKey), []byte(format)); err != nil {
		return err
	}
	return meta.Put([]byte(versionKey), fmt.Append(nil, version))
}
