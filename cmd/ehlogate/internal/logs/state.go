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
func (f *stateFile) read() map[string][]logfile.Position {
	if f.path == "" {
		return nil
	}
	text, err := filewatch.ReadFile(f.path, maxStateSize)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var s savedState
	if err == nil {
		s, err = parseState(text)
	}
	if err != nil {
		f.notify(Event{Kind: StateInvalid, Source: f.path, Err: err})
		return nil
	}
	f.content = text
	return s.Files
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
	return s, nil
}

func formatState(files map[string][]logfile.Position) []byte {
	text, err := json.MarshalIndent(savedState{stateVersion, files}, "", "\t")
	if err != nil {
		return nil // not with numbers and strings
	}
	return append(text, '\n')
}

// write replaces the file, unless it has the same content.
func (f *stateFile) write(files map[string][]logfile.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := formatState(files)
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
