// Package running is what commands know of the running daemon: its status, which the HTTP interface shows, a client of that
// interface, and where the daemon differs from the config and the lists on disk.
package running

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/cpupressure"
)

// Status is the status of the daemon.
type Status struct {
	Version string       `json:"version"` // as "ehlogate version" prints it
	PID     int          `json:"pid"`
	Config  ConfigStatus `json:"config"`
	Lists   []ListFault  `json:"lists"` // the lists whose files were refused or cannot be read
	// Pressure is what sets the limit by the CPU; absent: nothing does.
	Pressure *cpupressure.Status `json:"pressure,omitempty"`
	// Shared is an address that clients seem to share, and with it the decision; absent: none was noticed.
	Shared *SharedAddress `json:"shared_address,omitempty"`
}

// SharedAddress is an address from which many of the last sessions, or clients with many HELO names, came.
type SharedAddress struct {
	Addr  netip.Addr `json:"addr"`
	Share float64    `json:"share"`           // of the last sessions, from 0 to 1; 0: few
	Names int        `json:"names,omitempty"` // HELO names within ten minutes, about; 0: few, or not known
}

// String describes what was noticed.
func (s *SharedAddress) String() string {
	var what []string
	if s.Share > 0 {
		what = append(what, fmt.Sprintf("%.0f %% of the last sessions", math.Floor(100*s.Share)))
	}
	if s.Names > 0 {
		what = append(what, fmt.Sprintf("clients with about %d HELO names", s.Names))
	}
	return strings.Join(what, ", and ") + " came from it"
}

// ConfigStatus is the config that the daemon uses.
type ConfigStatus struct {
	File   string    `json:"file"`   // its path; "": the built-in defaults
	Digest string    `json:"digest"` // of its values; a comment does not change it
	Loaded time.Time `json:"loaded"`
	Error  string    `json:"error,omitempty"` // why the last reload was refused
}

// ListFault is a list that is not as its files are.
type ListFault struct {
	Name   string     `json:"name"`
	Loaded *time.Time `json:"loaded"` // when the entries in use were loaded; null: never
	Error  string     `json:"error"`
}

// String names the daemon for operators.
func (s *Status) String() string {
	return fmt.Sprintf("pid %d, version %s, config loaded %s", s.PID, s.Version, s.Config.Loaded.Format(time.RFC3339))
}

// Difference is one way in which the daemon is not as the files on disk are.
type Difference struct {
	What string `json:"what"`
	Do   string `json:"do"` // what the operator can do
}

// Differences returns where the daemon differs from the config on disk, its lists, and the program of this version. cfg is
// nil if the config on disk cannot be used; err is then the reason.
func (s *Status) Differences(cfg *config.Config, err error, version string) (all []Difference) {
	loaded := s.Config.Loaded.Format(time.RFC3339)
	const reload = "systemctl reload ehlogate"
	switch {
	case cfg == nil && errors.Is(err, fs.ErrPermission): // of this user
	case cfg == nil:
		all = append(all, Difference{fmt.Sprintf("the config on disk cannot be used, so the daemon keeps the one that it loaded %s: %v", loaded, err),
			`mend it until "ehlogate check" finds no error, then run ` + reload})
	case cfg.Digest == s.Config.Digest:
	case s.Config.Error != "":
		all = append(all, Difference{fmt.Sprintf("the daemon refused the config at the last reload, and keeps the one that it loaded %s: %s", loaded, s.Config.Error),
			`run "ehlogate check", then ` + reload})
	default:
		all = append(all, Difference{"the config changed after the daemon loaded it " + loaded, reload})
	}
	for _, l := range s.Lists {
		kept := "the list is unavailable"
		if l.Loaded != nil {
			kept = "the daemon keeps the version that it loaded " + l.Loaded.Format(time.RFC3339)
		}
		all = append(all, Difference{fmt.Sprintf("list %q: %s; %s", l.Name, l.Error, kept), "mend the file; the daemon reads it by itself"})
	}
	if s.Version != version {
		all = append(all, Difference{fmt.Sprintf("the daemon has version %s, and this program %s", cmp.Or(s.Version, "unknown"), version), "systemctl restart ehlogate"})
	}
	return all
}
