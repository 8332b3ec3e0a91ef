package learnstore

import (
	"os"

	"go.etcd.io/bbolt"
)

const (
	// minCompact is the smallest file that is compacted.
	minCompact = 1 << 20
	// compactStep is how many bytes are written in one transaction.
	compactStep   = 4 << 20
	compactSuffix = ".compact"
)

// compact replaces the file by one without free pages, if more than half of it is free: used is how many bytes are not. If
// that fails, such as on a full disk, the file stays.
func (s *Store) compact(path string, used int64) error {
	size, err := s.Size()
	if err != nil || size < minCompact || size <= 2*used {
		return err
	}
	draft := path + compactSuffix
	os.Remove(draft) // of a process that was killed meanwhile
	next, err := copyDatabase(draft, s.db)
	if err != nil {
		os.Remove(draft)
		return nil
	}
	if err := os.Rename(draft, path); err != nil {
		_ = next.db.Close()
		os.Remove(draft)
		return nil
	}
	syncDirectory(path)
	_ = s.db.Close() // which unlocks the old file; a process that waits for it finds that it was replaced
	s.db, s.file = next.db, next.file
	if now, err := s.Size(); err == nil {
		s.status.Compacted = size - now
	}
	return nil
}

// copyDatabase makes a copy of a database, which is locked.
func copyDatabase(path string, from *bbolt.DB) (*Store, error) {
	file, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	s, err := openDatabase(path, file)
	if err != nil {
		return nil, err
	}
	err = recoverFaults(func() error { return bbolt.Compact(s.db, from, compactStep) })
	if err != nil {
		s.discard(err)
		return nil, err
	}
	return s, nil
}
