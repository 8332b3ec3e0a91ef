package tlspolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"ehlogate/lists/filewatch"
	"ehlogate/lists/statefile"
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

func replaceFile(path string, text []byte) error {
	if len(text) > maxFileSize {
		return fmt.Errorf("too large: %d bytes, at most %d can be read again: name fewer domains", len(text), maxFileSize)
	}
	return statefile.Replace(path, text)
}
