package listedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/replace"
	"ehlogate/lists/filewatch"
)

const (
	// maxJournal is the size in bytes at which a journal is renamed, to begin a new one.
	maxJournal = 1 << 20
	// maxJournalFile is the largest journal that is read: one that no other program wrote into is smaller.
	maxJournalFile = 16 << 20
	// maxNumber is more edits, and more lines, than there can be.
	maxNumber = 1 << 30
	// maxHunks is how many bytes of lines a record has. An edit with more is noted without its lines.
	maxHunks = 128 << 10
	// journalMode lets the group of the directory read it.
	journalMode = 0o640
	// lockTimeout is how long to wait for another command that writes into the journal.
	lockTimeout = 10 * time.Second
	lockPause   = 10 * time.Millisecond
)

// Record is an edit in the journal. Its JSON is documented in ehlogate(8).
type Record struct {
	Number  int       `json:"number"` // of the edit, from 1
	Time    time.Time `json:"time"`
	User    string    `json:"user"`
	Command string    `json:"command"` // "add", "rm", "edit", "prune", "import", "undo"
	List    string    `json:"list"`
	File    string    `json:"file"`
	Reason  string    `json:"reason,omitempty"`
	Undoes  int       `json:"undoes,omitempty"` // the number of the edit that it takes back
	Found   string    `json:"found,omitempty"`  // the digest of the text before
	Cut     int       `json:"cut"`              // lines
	Added   int       `json:"added"`
	Hunks   []Hunk    `json:"hunks,omitempty"` // none: the edit was too long to keep
}

// Journal is the file in which edits are noted, the last one at its end.
type Journal struct{ Path string }

// Read returns the edits that are kept, the first one first. Lines that are none, such as one that was being written when the
// machine failed, are left out.
func (j Journal) Read() ([]Record, error) {
	all, _, err := j.readAll()
	return all, err
}

// readAll returns the edits that are kept, and how many lines are none.
func (j Journal) readAll() (all []Record, invalid int, err error) {
	for _, name := range []string{j.Path + ".1", j.Path} {
		text, err := filewatch.ReadFile(name, maxJournalFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, explainJournal(err)
		}
		var wrong int
		all, wrong = appendRecords(all, text)
		invalid += wrong
	}
	return all, invalid, nil
}

// appendRecords appends the edits of a text to those before.
func appendRecords(all []Record, text []byte) (_ []Record, invalid int) {
	last := 0
	if len(all) > 0 {
		last = all[len(all)-1].Number
	}
	for line := range bytes.Lines(text) {
		var r Record
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &r) != nil || r.Number <= last || !r.isValid() {
			invalid++
			continue
		}
		all, last = append(all, r), r.Number
	}
	return all, invalid
}

// isValid reports whether an edit can have been made, by the record alone.
func (r *Record) isValid() bool {
	return r.Number >= 1 && r.Number <= maxNumber && r.Undoes >= 0 && r.Undoes < r.Number &&
		!slices.ContainsFunc(r.Hunks, func(h Hunk) bool { return h.Line < 1 || h.Line > maxNumber })
}

// Around notes an edit, calls put, and takes the note back if that fails. If the process is killed between the two, the
// journal has an edit that was not made, which is better than to have made one that it does not have.
func (j Journal) Around(r *Record, put func() error) error {
	if j.Path == "" {
		return put()
	}
	f, err := j.open()
	if err != nil {
		return fmt.Errorf("nothing was changed, since the edit cannot be noted in the journal: %w", err)
	}
	defer func() { f.Close() }() // ends the lock
	if f, err = j.rotate(f); err != nil {
		return fmt.Errorf("nothing was changed, since the journal cannot be renamed: %w", err)
	}
	forget, err := j.appendRecord(f, r)
	if err != nil {
		return fmt.Errorf("nothing was changed, since the edit cannot be noted in the journal: %w", err)
	}
	if err := put(); err != nil {
		forget()
		return err
	}
	return nil
}

// open opens the journal, and waits until no other command writes into it.
func (j Journal) open() (*os.File, error) {
	for end := time.Now().Add(lockTimeout); ; time.Sleep(lockPause) {
		f, err := os.OpenFile(j.Path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, journalMode)
		if err != nil {
			return nil, explainJournal(err)
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			f.Close()
			return nil, errors.Join(err, explainJournal(&fs.PathError{Op: "open", Path: j.Path, Err: errNoFile}))
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && replace.IsAt(f, j.Path) { // and was not renamed meanwhile
			return f, setAccess(f)
		}
		f.Close()
		switch {
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK):
			return nil, err
		case time.Now().After(end):
			return nil, fmt.Errorf("%s: locked by another process for %s: try again", j.Path, lockTimeout)
		}
	}
}

// setAccess gives a new journal the group of its directory, which the daemon belongs to.
func setAccess(f *os.File) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return err
	}
	dir, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	if st, ok := dir.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(-1, int(st.Gid)) // without that right, the journal has the group of the user
	}
	return f.Chmod(journalMode)
}

// rotate renames a journal that is full, and returns the one to write into.
func (j Journal) rotate(f *os.File) (*os.File, error) {
	info, err := f.Stat()
	if err != nil || info.Size() < maxJournal {
		return f, err
	}
	if err := os.Rename(j.Path, j.Path+".1"); err != nil {
		return f, err
	}
	next, err := j.open()
	if err != nil {
		return f, err
	}
	f.Close()
	return next, nil
}

// appendRecord writes an edit, with the next number. forget takes it out again.
func (j Journal) appendRecord(f *os.File, r *Record) (forget func(), err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	forget = func() { _ = f.Truncate(size) } // if that fails, the journal has an edit that cannot be taken back
	all, err := j.Read()
	if err != nil {
		return nil, err
	}
	if r.Number = 1; len(all) > 0 {
		r.Number += all[len(all)-1].Number
	}
	line, err := json.Marshal(r.bounded())
	if err != nil {
		return nil, err
	}
	if end := make([]byte, 1); size > 0 {
		if _, err := f.ReadAt(end, size-1); err != nil {
			return nil, err
		}
		if end[0] != '\n' { // a record that was cut off
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err = f.WriteAt(append(line, '\n'), size); err == nil {
		err = f.Sync()
	}
	if err != nil {
		forget()
		return nil, err
	}
	return forget, nil
}

// IsTooLong reports whether the journal cannot keep the lines of an edit.
func (r Record) IsTooLong() bool { return len(r.Hunks) > 0 && r.bounded().Hunks == nil }

// bounded returns the record without its lines if they are too long.
func (r Record) bounded() Record {
	bytes := 0
	for _, h := range r.Hunks {
		for _, lines := range [][]string{h.Before, h.After} {
			for _, line := range lines {
				bytes += len(line) + 4
			}
		}
	}
	if bytes > maxHunks {
		r.Hunks = nil
	}
	return r
}
