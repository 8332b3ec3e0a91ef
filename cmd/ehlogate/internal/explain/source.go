package explain

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/filewatch"
)

// The values of Report.Source.
const (
	FromDaemon = "daemon" // the running daemon decided
	FromDisk   = "disk"   // this program decided, by the config and the lists on disk
)

// DiskDecision is what the files on disk say, beside the decision of the daemon.
type DiskDecision struct {
	Compared Comparison   `json:"compared"`
	Reason   string       `json:"reason,omitempty"`   // of NotComparable and Unusable
	Decision *VerdictText `json:"decision,omitempty"` // if Compared is Differs
	Would    *VerdictText `json:"would,omitempty"`    // of Decision, once mode is no longer "observe"
	Hidden   []HiddenText `json:"hidden,omitempty"`   // beside Decision
}

// Comparison is how the decision by the files on disk compares with that of the daemon.
type Comparison string

// The comparisons.
const (
	Same          Comparison = "same"
	Differs       Comparison = "differs"
	NotComparable Comparison = "not comparable" // it depends on more than files that this user can read
	Unusable      Comparison = "unusable"       // the config on disk, or a list, is wrong
)

// CompareDisk compares r, a report of the daemon, with the decision by the files of a snapshot, and sets r.Disk. It sends
// no DNS query. disk is nil if the config cannot be used; err is then the reason.
func (r *Report) CompareDisk(ctx context.Context, c lists.Client, disk *state.Snapshot, err error) {
	if disk != nil {
		for _, source := range disk.Files() {
			err = cmp.Or(err, source.Status().Fault())
		}
	}
	if err != nil {
		r.Disk = &DiskDecision{Compared: Unusable, Reason: err.Error()}
		if filewatch.IsReadError(err) || errors.Is(err, fs.ErrPermission) {
			r.Disk.Compared = NotComparable
		} else if !slices.ContainsFunc(r.Differences, func(d running.Difference) bool { return strings.Contains(d.What, r.Disk.Reason) }) {
			r.Differences = append(r.Differences, running.Difference{What: r.Disk.Reason, Do: `mend it until "ehlogate check" finds no error`})
		}
		return
	}
	policy, whole := disk.FileDecisions()
	v, _ := policy.Review(ctx, c).WithoutObserve()
	if !whole && v.Reason != lists.ReasonListed {
		r.Disk = &DiskDecision{Compared: NotComparable, Reason: "the decision depends on DNS, the load or [guard]"}
		return
	}
	by := NewReport(ctx, c, policy, disk.Values)
	if isSameVerdict(&r.Decision, &by.Decision) && isSameVerdict(r.Would, by.Would) && isSameHidden(r.Hidden, by.Hidden, disk, policy) &&
		(!whole || reflect.DeepEqual(r.Answers, by.Answers)) {
		r.Disk = &DiskDecision{Compared: Same}
		return
	}
	r.Disk = &DiskDecision{Compared: Differs, Decision: &by.Decision, Would: by.Would, Hidden: by.Hidden}
}

// isSameHidden compares what lists hide, but for those that policy, the part of a snapshot that depends on files alone, does
// not have.
func isSameHidden(a, b []HiddenText, disk *state.Snapshot, policy *lists.Policy) bool {
	others := disk.Policy.Lists[len(policy.Lists):]
	a = slices.DeleteFunc(slices.Clone(a), func(h HiddenText) bool {
		return slices.ContainsFunc(others, func(l *lists.List) bool { return l.Name == h.List })
	})
	return slices.EqualFunc(a, b, func(a, b HiddenText) bool {
		return a.Service == b.Service && a.Observed == b.Observed && slices.Equal(a.Keywords, b.Keywords) && isSameVerdict(&a.VerdictText, &b.VerdictText)
	})
}

// isSameVerdict compares two verdicts but for the place and the note of the entry.
func isSameVerdict(a, b *VerdictText) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Action == b.Action && a.Reason == b.Reason && a.List == b.List && a.Entry == b.Entry
}

// addSource says which of the daemon and the disk decided, and where they differ.
func (r Report) addSource(p *rows) {
	switch {
	case r.Daemon != nil:
		p.add("from", "the running daemon (%s)", r.Daemon)
	case r.SourceReason != "":
		p.add("from", "the config and lists on disk: %s", r.SourceReason)
	}
	for _, list := range r.Without {
		p.add("without", "%s", list)
	}
	if d := r.Disk; d != nil {
		switch d.Compared {
		case Same:
			p.add("on disk", "the same")
		case NotComparable:
			p.add("on disk", "not compared: %s", d.Reason)
		case Unusable:
			p.add("on disk", "no decision: the config or a list is wrong")
		case Differs:
			p.add("on disk", "%s: %s", d.Decision.Action, formatReason(*d.Decision))
			if d.Would != nil {
				p.add("would be", "%s on disk: %s", d.Would.Action, formatReason(*d.Would))
			}
			for _, h := range d.Hidden {
				p.add("on disk", "%s %s", h.verb(), h.text())
			}
			if len(d.Hidden) == 0 && len(r.Hidden) > 0 {
				p.add("on disk", "hides no other keyword")
			}
		}
	}
	for _, d := range r.Differences {
		p.add("differs", "%s", d.What)
		p.add("", "%s", d.Do)
	}
}
