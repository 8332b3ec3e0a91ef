package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"ehlogate/lists/filewatch"
	"ehlogate/lists/maillog/logfile"
	"ehlogate/lists/statefile"
)

const (
	stateVersion = 1
	maxStateSize = 1 << 20 // bytes
)

// savedState is what a state file has.
type savedState struct {
	Version int                           `json:"version"`
	Files   map[string][]logfile.Position `json:"files"`
	Journal *journalPosition              `json:"journal,omitempty"` // nil: it was not read
}

// journalPosition is up to where the journal was read.
type journalPosition struct {
	Cursor string `json:"cursor"` // of the last entry that was read; "": of none
}

// stateFile keeps up to where the logs were read; without a path nothing is kept.
type stateFile struct {
	path   string
	notify func(Event)

	abandoned atomic.Bool // another service may write it

	mu      sync.Mutex
	content []byte // as far as is known
	failing bool   // the last write, which was reported
}

// read returns what the file has: nothing if it cannot be used.
func (f *stateFile) read() savedState {
	if f.path == "" {
		return savedState{}
	}
	text, err := filewatch.ReadFile(f.path, maxStateSize)
	if errors.Is(err, os.ErrNotExist) {
		return savedState{}
	}
	var s savedState
	if err == nil {
		s, err = parseState(text)
	}
	if err != nil {
		f.notify(Event{Kind: StateInvalid, Source: f.path, Err: err})
		return savedState{}
	}
	f.content = text
	return s
}

func parseState(text []byte) (s savedState, err error) {
	if err := json.Unmarshal(text, &s); err != nil {
		return savedState{}, err
	}
	if s.Version != stateVersion {
		return savedState{}, fmt.Errorf("unknown version %d: must be %d", s.Version, stateVersion)
	}
	for name, positions := range s.Files {
		for _, p := range positions {
			if !p.IsValid() {
				return savedState{}, fmt.Errorf("impossible position in %.300q", name)
			}
		}
	}
	if s.Journal != nil && s.Journal.Cursor != "" && !logfile.IsCursor(s.Journal.Cursor) {
		return savedState{}, fmt.Errorf("impossible cursor of the journal %.300q", s.Journal.Cursor)
	}
	return s, nil
}

func formatState(s savedState) []byte {
	s.Version = stateVersion
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return nil // not with numbers and strings
	}
	return append(text, '\n')
}

// write replaces the file, unless it has the same content.
func (f *stateFile) write(s savedState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := formatState(s)
	if f.path == "" || f.abandoned.Load() || bytes.Equal(text, f.content) {
		return
	}
	if err := statefile.Replace(f.path, text); err == nil {
		f.content, f.failing = text, false
	} else if !f.failing {
		f.failing = true
		f.notify(Event{Kind: StateNotWritten, Source: f.path, Err: err})
	}
}
