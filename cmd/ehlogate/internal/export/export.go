// Package export writes the policy as a static table, with identical
// decisions, for what cannot or should not ask the daemon: the backup behind
// a memcache map, postscreen, a firewall, a Sendmail or Exim without a socket.
// What a format cannot express is an error, and nothing is written then.
//
// Each stretch of addresses between two boundaries of any list is decided by
// the policy itself, so there is no second implementation of its rules.
package export

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
)

// Policy is what can be exported.
type Policy struct {
	Config  *config.Config
	Policy  *lists.Policy
	Sources []*listfile.List // by list; nil for one by DNS
	Now     time.Time        // at which entries that expire are looked at
	// WithoutNames leaves out what is about host and HELO names instead of
	// refusing. A table that is asked by address cannot hold them.
	WithoutNames bool
	// WithoutDNS decides as the daemon does while no DNS server answers, and
	// offers STARTTLS to clients that [limit] would choose from.
	WithoutDNS bool
}

// check refuses what a table of addresses cannot express.
func (p *Policy) check() error {
	var unavailable []string
	var named listfile.Problems
	if p.Policy.Limit != nil && !p.WithoutDNS {
		return errors.New(`default = "limit" depends on the load, which no table can hold: --without-dns offers STARTTLS to these clients`)
	}
	for i, s := range p.Sources {
		l := p.Policy.Lists[i]
		if s == nil {
			if l.Mode == lists.Enforce && !p.WithoutDNS {
				return fmt.Errorf("list %q is asked by DNS, which no table can hold: --without-dns decides as if nobody answered", l.Name)
			}
			continue
		}
		t := s.Table()
		if t == nil || s.Status().Expired {
			unavailable = append(unavailable, l.Name)
			continue
		}
		if l.Mode == lists.Enforce && len(s.Status().Files) == 0 { // a directory that is not mounted looks like this
			return fmt.Errorf("no file matches files = [...] of list %q: for one that is to be empty, have a file of comments", l.Name)
		}
		if l.Mode == lists.Observe || p.WithoutNames {
			continue
		}
		for e := range t.Named() {
			named.Add(listfile.Problem{File: e.File, Line: e.Line, Msg: e.Text + " is about a name, and this table is asked by address",
				Hint: "--without-names leaves such entries out"})
		}
	}
	if len(unavailable) > 0 {
		return fmt.Errorf("not loaded: list %s; a table without it would decide otherwise", strings.Join(unavailable, ", "))
	}
	return named.Err()
}

// static is p with what a table can hold. What is asked by DNS is there as it is for the
// daemon while no server answers, so that clients about which nothing is asked
// are decided in the same way.
func (p *Policy) static() *Policy {
	out := *p
	policy := *p.Policy
	policy.Limit, policy.FailOpen, policy.Wait = nil, nil, 0
	if n, ok := policy.Names.(*dnsbl.ReverseDNS); ok {
		policy.Names = n.Offline()
	}
	if policy.Guard != nil {
		policy.Guard = promised{}
	}
	policy.Lists = slices.Clone(policy.Lists)
	for i, l := range policy.Lists {
		if s, ok := l.Source.(*dnsbl.List); ok {
			list := *l
			list.Source = s.Offline()
			policy.Lists[i] = &list
		}
	}
	out.Policy = &policy
	return &out
}

// promised is a guard that has no say later: the table may be asked when a
// promise has been made.
type promised struct{}

func (promised) Active() bool { return true }

// nextExpiry is when the table stops being exact.
func (p *Policy) nextExpiry() (next time.Time, ok bool) {
	for i, s := range p.Sources {
		if s == nil || p.Policy.Lists[i].Mode == lists.Observe {
			continue
		}
		for t := range s.Table().Expiries() {
			if t.After(p.Now) && (!ok || t.Before(next)) {
				next, ok = t, true
			}
		}
	}
	return next, ok
}

// header says, in comments, where a table comes from and what it leaves out.
func (p *Policy) header(out io.Writer, format string, use ...string) {
	fmt.Fprint(out, madeBy, format)
	if p.WithoutNames {
		fmt.Fprint(out, " ", withoutNames)
	}
	if p.WithoutDNS {
		fmt.Fprint(out, " ", withoutDNS)
	}
	fmt.Fprintln(out)
	for _, line := range use {
		fmt.Fprintf(out, "# %s\n", line)
	}
	if p.Policy.Guard != nil {
		fmt.Fprintf(out, "# a table does not learn of a promise of STARTTLS ([guard]): nothing is suppressed but by own lists\n")
	}
	if p.WithoutDNS {
		fmt.Fprintf(out, "# as if no list by DNS answered\n")
	}
	if t, ok := p.nextExpiry(); ok {
		fmt.Fprintf(out, "# exact until %s, when an entry expires: export again then\n", t.Format(time.RFC3339))
	}
}
