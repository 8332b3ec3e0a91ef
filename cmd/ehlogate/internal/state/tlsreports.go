package state

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists/tlsrpt"
)

const (
	// reportsInterval is how often the file of "ehlogate tlsrpt --record" is looked at.
	reportsInterval = 2 * time.Second
	// maxReportLines is how many findings are logged at once.
	maxReportLines = 20
)

// TLSReports follows the file that "ehlogate tlsrpt --record" writes. A learned entry for the client of a finding ends; no
// other decision depends on it.
type TLSReports struct {
	path  string
	clock func() time.Time
	log   *logrus.Logger
	found func(tlsrpt.Finding) // is called for each new finding

	mu       sync.Mutex // not held while the file is read, which may hang
	findings []tlsrpt.Finding
	fault    Health

	read   os.FileInfo // of the file when it was read last; nil: never
	logged map[loggedFinding]bool
}

// loggedFinding names a finding that was logged.
type loggedFinding struct {
	at      time.Time
	address string
	list    string
}

func newTLSReports(path string, clock func() time.Time, log *logrus.Logger, found func(tlsrpt.Finding)) *TLSReports {
	return &TLSReports{path: path, clock: clock, log: log, found: found, logged: map[loggedFinding]bool{}}
}

// Run follows the file until ctx ends, even if the file system hangs then.
func (r *TLSReports) Run(ctx context.Context) {
	tick := time.NewTicker(reportsInterval)
	defer tick.Stop()
	looked := make(chan struct{}, 1)
	for {
		go func() { r.look(); looked <- struct{}{} }()
		select {
		case <-ctx.Done():
			return
		case <-looked:
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look reads the file if it has changed.
func (r *TLSReports) look() {
	info, err := os.Stat(r.path)
	isSame := err == nil && r.read != nil && os.SameFile(info, r.read) && info.ModTime().Equal(r.read.ModTime()) && info.Size() == r.read.Size()
	if isSame && !r.Health().IsDegraded() {
		return
	}
	all, err := tlsrpt.Recorded(r.path, r.clock())
	if r.read = info; err != nil {
		r.read = nil
	}
	r.setFault(err)
	if err != nil {
		return // what was read before counts until its end
	}
	r.mu.Lock()
	r.findings = all
	r.mu.Unlock()
	r.takeFindings(all)
}

func (r *TLSReports) setFault(err error) {
	r.mu.Lock()
	before := r.fault
	switch {
	case err == nil:
		r.fault = Health{}
	case before.Error != err.Error():
		r.fault = Health{Error: err.Error(), Since: r.clock()}
	}
	r.mu.Unlock()
	if err != nil && before.Error != err.Error() {
		r.log.WithError(err).Warn("cannot read the file of [tlsrpt]; decisions do not depend on it; make it readable for the user that ehlogate runs as, or remove it")
	}
}

// takeFindings passes on and logs those that are new.
func (r *TLSReports) takeFindings(all []tlsrpt.Finding) {
	logged, lines := map[loggedFinding]bool{}, 0
	for _, f := range all {
		key := loggedFinding{f.Time, f.Address.String(), f.List}
		if logged[key] = true; r.logged[key] {
			continue
		}
		if r.found(f); !f.IsSuppressed() {
			continue
		}
		if lines++; lines > maxReportLines {
			continue
		}
		fields := logrus.Fields{"client": f.Address.String(), "reason": f.Reason, "domain": f.Domain, "sender": f.Organization, "sessions": f.Sessions, "report": f.ReportID}
		if f.List != "" {
			fields["list"], fields["entry"] = f.List, f.Entry
		}
		if f.File != "" {
			fields["file"], fields["line"] = f.File, f.Line
		}
		r.log.WithFields(fields).Warn("mail was not sent: its sender relies on STARTTLS, which was hidden from this client; offer it STARTTLS on a list before that one, or remove the entry")
	}
	if lines > maxReportLines {
		r.log.WithField("not_logged", lines-maxReportLines).Warn("more TLS reports about clients from which STARTTLS was hidden; /healthz has all")
	}
	r.logged = logged
}

// Findings returns the findings of the last week, the oldest first.
func (r *TLSReports) Findings() []tlsrpt.Finding {
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.findings), func(f tlsrpt.Finding) bool { return !f.Counts(now) })
}

// Suppressed returns those findings that are about clients from which STARTTLS was hidden by the lists on disk, or by the
// default.
func (r *TLSReports) Suppressed() []tlsrpt.Finding {
	return slices.DeleteFunc(r.Findings(), func(f tlsrpt.Finding) bool { return !f.IsSuppressed() })
}

// Health returns why the file cannot be read.
func (r *TLSReports) Health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault
}
