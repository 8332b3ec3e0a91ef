package learnstore

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// ErrLocked means that another process uses the file. It is worth another try.
var ErrLocked = errors.New("another process uses it")

// ErrBroken means that the store cannot be used any more, and has to be closed and opened again.
var ErrBroken = errors.New("broken")

// Store is a file that keeps what is learned. Its transactions run one after another.
type Store struct {
	status Status

	mu     sync.Mutex
	file   *os.File // of db
	db     *bbolt.DB
	broken error // nil: it works
}

// Status is what happened when the store was opened.
type Status struct {
	Path string
	// Aside is where the old file is, if it could not be used because of Reason; "": it could.
	Aside  string
	Reason error
	// Compacted has how many bytes the file got smaller.
	Compacted int64
}

// Status returns what happened when the store was opened.
func (s *Store) Status() Status { return s.status }

// Size returns the size of the file in bytes.
func (s *Store) Size() (int64, error) {
	info, err := s.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Update runs a transaction. What it changed is on the disk when Update returns without an error; with an error, nothing is
// changed. A transaction that puts and deletes nothing writes nothing. A panic of f breaks the store.
func (s *Store) Update(f func(Tx) error) error {
	err := s.run(func() error {
		return s.db.Update(func(b *bbolt.Tx) error {
			t := &tx{bolt: b, buckets: map[string]*bucket{}}
			if err := f(t); err != nil {
				return err
			}
			return t.finish()
		})
	})
	if err == errUnchanged {
		return nil
	}
	return err
}

// View runs a transaction that changes nothing.
func (s *Store) View(f func(Tx) error) error {
	return s.run(func() error {
		return s.db.View(func(b *bbolt.Tx) error {
			t := &tx{bolt: b, buckets: map[string]*bucket{}}
			if err := f(t); err != nil {
				return err
			}
			return t.err
		})
	})
}

func (s *Store) run(transaction func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	err := recoverFaults(transaction)
	if errors.Is(err, ErrBroken) {
		s.broken = fmt.Errorf("%s: %w", s.status.Path, err)
		return s.broken
	}
	return err
}

// recoverFaults runs f. A panic is an error, and so is memory of a file that cannot be read: the file was truncated, or its
// disk has an error.
func recoverFaults(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &fault{v, debug.Stack()}
		}
	}()
	return f()
}

// fault is an error of type ErrBroken.
type fault struct {
	value any
	stack []byte
}

func (f *fault) Error() string { return fmt.Sprintf("%v: %v", ErrBroken, f.value) }

// Unwrap returns ErrBroken.
func (f *fault) Unwrap() error { return ErrBroken }

// StackOf returns where the panic happened that an error is about; nil if it is about none.
func StackOf(err error) []byte {
	var f *fault
	if errors.As(err, &f) {
		return f.stack
	}
	return nil
}

// Close closes the store. Another process can open it then.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = fmt.Errorf("%s: closed", s.status.Path)
		return s.db.Close()
	}
	if errors.Is(s.broken, ErrBroken) {
		return closeBroken(s.file)
	}
	return nil
}

// closeBroken closes the file of a database after a fault, and unlocks it: its memory map remains, which would keep the lock.
// The database itself is not closed, since it may wait forever for a mutex that the fault left locked.
func closeBroken(file *os.File) error {
	return errors.Join(unix.Flock(int(file.Fd()), unix.LOCK_UN), file.Close())
}
