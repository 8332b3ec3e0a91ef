package tlspolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"ehlogate/lists/filewatch"
)

const (
	fileVersion = 2
	maxFileSize = 1 << 20 // bytes; some thousands of domains
)

// savedState is what a state file has.
type savedState struct {
	Version int                    `json:"version"`
	Domains map[string]savedDomain `json:"domains"`
}

// stateFile keeps what is known across restarts; without a path nothing is kept.
type stateFile struct {
	path    string
	notify  func(Event)
	content []byte // as far as is known
	failing bool   // the last write, which was reported
}

// readState returns what the file has: nothing if it cannot be read.
func (f *stateFile) readState() map[string]savedDomain {
	if f.path == "" {
		return nil
	}
	text, err := filewatch.ReadFile(f.path, maxFileSize)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if path := new(fs.PathError); errors.As(err, &path) && !filewatch.IsContentError(err) {
		f.notify(Event{Kind: FileUnreadable, File: f.path, Err: err})
		f.path = ""
		return nil
	}
	var s savedState
	if err == nil {
		s, err = parseState(text)
	}
	if err != nil {
		f.notify(Event{Kind: FileInvalid, File: f.path, Err: err})
		return nil
	}
	f.content = text
	return s.Domains
}

var errNotRegular = errors.New("not a regular file")

func parseState(text []byte) (s savedState, err error) {
	if err := json.Unmarshal(text, &s); err != nil {
		return savedState{}, err
	}
	if s.Version != fileVersion {
		return savedState{}, fmt.Errorf("unknown version %d: must be %d", s.Version, fileVersion)
	}
	for name, d := range s.Domains {
		if !slices.Contains([]State{Unknown, None, Testing, Enforce}, d.MTASTS.State) || !d.MTASTS.Published.isPossible() ||
			!slices.Contains([]State{Unknown, None, Secure, Indeterminate}, d.DANE.State) || !d.DANE.Published.isPossible() {
			return savedState{}, fmt.Errorf("impossible state of %.300q", name)
		}
	}
	return s, nil
}

func formatState(domains map[string]savedDomain) []byte {
	text, err := json.MarshalIndent(savedState{fileVersion, domains}, "", "\t")
	if err != nil {
		return nil // not with times from a clock
	}
	return append(text, '\n')
}

// writeState replaces the file, unless it has the same content.
func (f *stateFile) writeState(domains map[string]savedDomain) {
	text := formatState(domains)
	if f.path == "" || bytes.Equal(text, f.content) {
		return
	}
	if err := replaceFile(f.path, text); err == nil {
		f.content, f.failing = text, false
	} else if !f.failing {
		f.failing = true
		f.notify(Event{Kind: FileNotWritten, File: f.path, Err: err})
	}
}

// replaceFile replaces the file at path, for its owner only. Whatever happens meanwhile, the file holds text or what it
// held before.
func replaceFile(path string, text []byte) error {
	if len(text) > maxFileSize {
		return fmt.Errorf("too large: %d bytes, at most %d can be read again: name fewer domains", len(text), maxFileSize)
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return errNotRegular // such as /dev/null, which other programs need
	}
	removeDrafts(path)
	f, err := renameio.TempFile(filepath.Dir(path), path) // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // after an error; what went wrong was returned
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil { // which calls fsync first
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // renameio does not sync the directory
		_ = dir.Sync() // not every file system can
		dir.Close()
	}
	return nil
}

// removeDrafts removes what renameio leaves beside path when the daemon is killed while it writes. No other process
// writes a state file.
func removeDrafts(path string) {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)
	entries, _ := os.ReadDir(dir) // if it fails, so will what follows
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), prefix); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
