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
	"syscall"

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

// replaceFile makes path hold text, for its owner only; whatever happens
// meanwhile, it holds that or what it held before.
func replaceFile(path string, text []byte) error {
	if len(text) > maxFile {
		return fmt.Errorf("%d bytes are more than the %d that would be read again: name fewer domains", len(text), maxFile)
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("it is no regular file") // such as /dev/null, which others need
	}
	draft := path + ".new"
	// One that was left behind may belong to somebody else.
	if err := os.Remove(draft); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		os.Remove(draft)
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // not every file system can
		dir.Close()
	}
	return nil
}
