package tlspolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/sirupsen/logrus"

	"ehlogate/lists/strictjson"
)

const (
	fileVersion = 1
	maxFile     = 1 << 20 // bytes; some thousands of domains
)

// stored is what a state file holds.
type stored struct {
	Version int                    `json:"version"`
	Domains map[string]savedDomain `json:"domains"`
}

// file is a state file; without a path it is none.
type file struct {
	path   string
	log    logrus.FieldLogger
	holds  []byte // as far as is known
	failed bool   // which was logged
}

// read gives what is remembered, which is nothing if it cannot be read.
func (f *file) read() map[string]savedDomain {
	if f.path == "" {
		return nil
	}
	text, err := readFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if path := new(fs.PathError); errors.As(err, &path) {
		// The file may well be good, so it is not replaced by one that knows less.
		f.log.WithError(err).Warnf("%s cannot be read: a promise of STARTTLS is assumed for every domain until it has been checked, and no promise is remembered there before the next start", f.path)
		f.path = ""
		return nil
	}
	var s stored
	if err == nil {
		s, err = decode(text)
	}
	if err != nil {
		f.log.WithError(err).Warnf("%s does not tell what was promised: a promise of STARTTLS is assumed for every domain until it has been checked", f.path)
		return nil
	}
	f.holds = text
	return s.Domains
}

// readFile reads a regular file of no more than maxFile bytes. It does not wait
// for whoever might write to a pipe.
func readFile(path string) ([]byte, error) {
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return text, err
}

func decode(text []byte) (s stored, err error) {
	if err := strictjson.Unmarshal(text, &s); err != nil {
		return stored{}, err
	}
	if s.Version != fileVersion {
		return stored{}, fmt.Errorf("it has version %d, and %d is known", s.Version, fileVersion)
	}
	for name, m := range s.Domains {
		if !m.STS.State.known() || !m.DANE.State.known() || !m.STS.Promise.possible() || !m.DANE.Promise.possible() {
			return stored{}, fmt.Errorf("what it says of %.300q cannot be", name)
		}
	}
	return s, nil
}

// possible says whether a check can have seen p.
func (p commitment) possible() bool {
	return 0 <= p.Seconds && p.Seconds <= maxMaxAge && (p.Given == nil || 0 <= *p.Given && *p.Given <= maxMaxAge)
}

// remember gives what the state file is to hold. The caller locks.
func (g *Monitor) remember() []byte {
	s := stored{Version: fileVersion, Domains: make(map[string]savedDomain, len(g.all))}
	for _, d := range g.all {
		s.Domains[d.name] = d.savedDomain
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return nil // not with times from a clock
	}
	return append(text, '\n')
}

// write replaces the file, if it is to hold something else than before.
func (f *file) write(text []byte) {
	if f.path == "" || bytes.Equal(text, f.holds) {
		return
	}
	if err := replaceFile(f.path, text); err == nil {
		f.holds, f.failed = text, false
	} else if !f.failed {
		f.failed = true
		f.log.WithError(err).Warnf("promises of STARTTLS cannot be remembered across a restart: %s cannot be written; make its directory writable for this user, or set another file", f.path)
	}
}

// replaceFile replaces the file at path, for its owner only. Whatever happens meanwhile, the file holds text or what it
// held before.
func replaceFile(path string, text []byte) error {
	if len(text) > maxFile {
		return fmt.Errorf("%d bytes are more than the %d that would be read again: name fewer domains", len(text), maxFile)
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("it is no regular file") // such as /dev/null, which other programs need
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
