package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"ehlogate/lists/statefile"
)

const (
	recordVersion = 1
	maxFindings   = 1000 // the oldest are dropped first
	maxRecordSize = 4 << 20
	// Keep is for how long a finding counts, and how old a report may be that makes one.
	Keep = 7 * 24 * time.Hour
)

// Finding is what a believed report says of one client: it relied on a promise of STARTTLS and did not see it.
type Finding struct {
	Time         time.Time  `json:"time"` // when it was recorded
	Address      netip.Addr `json:"address"`
	Reason       string     `json:"reason,omitempty"` // why STARTTLS is hidden from it; "": by the lists on disk it is not, but a learned list may have hidden it
	List         string     `json:"list,omitempty"`   // that hides it; "": none does, as with default = "suppress"
	Entry        string     `json:"entry,omitempty"`
	File         string     `json:"file,omitempty"`
	Line         int        `json:"line,omitempty"`
	Sessions     int64      `json:"sessions"`
	Organization string     `json:"organization"` // the domain that signed the report
	Domain       string     `json:"domain"`       // that the mail was for
	ReportID     string     `json:"report_id"`
	Start        time.Time  `json:"start"`
	End          time.Time  `json:"end"`
}

// IsSuppressed reports whether STARTTLS is hidden from the client by the lists on disk, or by the default.
func (f Finding) IsSuppressed() bool { return f.Reason != "" }

// isSame reports whether two findings are of the same report: it was read twice, or sent again.
func (f Finding) isSame(g Finding) bool {
	return f.Address == g.Address && f.List == g.List && f.Organization == g.Organization && f.Domain == g.Domain && f.ReportID == g.ReportID && f.Start.Equal(g.Start)
}

// Counts reports whether a finding is of the last week.
func (f Finding) Counts(now time.Time) bool { return f.Time.Add(Keep).After(now) && !f.Time.After(now) }

// savedRecord is what the file has.
type savedRecord struct {
	Version  int       `json:"version"`
	Findings []Finding `json:"findings"`
}

// Recorded returns the findings of the last week that the file at path has, the oldest first. No file is no finding.
func Recorded(path string, now time.Time) ([]Finding, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	case info.Size() > maxRecordSize:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("too large: no record of TLS reports")}
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if n < len(text) {
		return nil, err
	}
	s, err := parseRecord(text)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return slices.DeleteFunc(s.Findings, func(f Finding) bool { return !f.Counts(now) }), nil
}

// errDamaged is the error of a file that can be replaced, since it has nothing that could be read again.
var errDamaged = errors.New("damaged")

func parseRecord(text []byte) (savedRecord, error) {
	var s savedRecord
	if err := json.Unmarshal(text, &s); err != nil {
		return savedRecord{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if s.Version != recordVersion {
		return savedRecord{}, fmt.Errorf("unknown version %d: must be %d", s.Version, recordVersion)
	}
	for _, f := range s.Findings {
		if !f.Address.IsValid() || f.Sessions < 0 || f.Time.IsZero() {
			return savedRecord{}, fmt.Errorf("%w: impossible finding of %.300q", errDamaged, f.ReportID)
		}
	}
	s.Findings = s.Findings[max(0, len(s.Findings)-maxFindings):]
	return s, nil
}

// Record adds findings to the file at path, and drops those that are too old. One that the file has already is not added
// again, so that a report that is sent again does not prolong the alarm. Several processes may record at the same time.
func Record(path string, now time.Time, findings []Finding) error {
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	all, err := Recorded(path, now)
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	for _, f := range findings {
		f.Time = now
		if !slices.ContainsFunc(all, f.isSame) {
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Time.Compare(b.Time) })
	text, err := json.MarshalIndent(savedRecord{recordVersion, all[max(0, len(all)-maxFindings):]}, "", "\t")
	if err != nil {
		return err
	}
	if err := statefile.Replace(path, append(text, '\n')); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, withoutPath(err))
	}
	return leaveToOwner(path, path+".lock")
}

// lockFile waits until no other process holds the lock.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// leaveToOwner gives what root wrote to the owner of the directory: the daemon reads it, and runs as another user.
func leaveToOwner(paths ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(paths[0]))
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	for _, path := range paths {
		if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}
