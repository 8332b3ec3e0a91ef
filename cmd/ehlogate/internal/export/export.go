// Package export writes the policy as a static table that decides as the daemon does, for programs that cannot or
// should not ask the daemon: the backup of a memcache map, postscreen, a firewall, Sendmail or Exim without a socket. If
// a format cannot express the policy, export fails and writes nothing.
//
// The policy itself decides each range of addresses between two boundaries of its lists. So there is no second
// implementation of its rules.
package export

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iprev"
	"ehlogate/lists/listfile"
)

// Policy is a policy to export, with its lists as they are at one time.
type Policy struct {
	Config  *config.Config
	Policy  *lists.Policy
	Sources []*listfile.List // by list; nil for a DNS list, and for one that learns
	Now     time.Time        // for entries that expire
	// Service is the service that the table is for.
	Service lists.Service
	// Keyword is the EHLO keyword that an exim-hosts table is about; 0: STARTTLS.
	Keyword lists.Keywords
	// WithoutNames leaves out entries about host and HELO names, which a table of addresses cannot hold. Without it,
	// they are an error.
	WithoutNames bool
	// WithoutDNS decides as the daemon does while no DNS server answers, and offers STARTTLS to all clients that are
	// subject to [limit].
	WithoutDNS bool
	// WithoutNetworks leaves networks out of a postfix-addresses table, for one of postfix-networks behind it.
	WithoutNetworks bool

	configTime time.Time // when the config was written to last
	// others is what chooseOthers returned, by format and flags, as long as the policy stays as it is; nil: it may change.
	others map[string]map[int]string
}

// checkExportable refuses a policy that a table of addresses cannot express.
func (p *Policy) checkExportable() error {
	var unavailable []string
	var named diag.Problems
	if p.Policy.Limit != nil && !p.WithoutDNS {
		return errors.New(`default = "limit" depends on the load, which no table can express: --without-dns offers STARTTLS to these clients`)
	}
	for i, s := range p.Sources {
		l := p.Policy.Lists[i]
		if !l.Services.Has(p.Service) {
			continue
		}
		if s == nil {
			if p.isLearned(i) {
				continue
			}
			if l.Mode == lists.Enforce && !p.WithoutDNS {
				return fmt.Errorf("list %q is a DNS list, which no table can express: --without-dns decides as if no DNS server answered", l.Name)
			}
			continue
		}
		t := s.Table()
		if t == nil || s.Status().Expired {
			unavailable = append(unavailable, l.Name)
			continue
		}
		if l.Mode == lists.Observe || p.WithoutNames {
			continue
		}
		for e := range t.NameEntries() {
			named.Add(diag.Problem{File: e.File, Line: e.Line, Msg: e.Text + " is about a name, and this table contains only addresses",
				Hint: "--without-names leaves such entries out"})
		}
	}
	if len(unavailable) > 0 {
		return fmt.Errorf("unavailable: list %s; a table without it would decide differently", strings.Join(unavailable, ", "))
	}
	return named.Err()
}

// isLearned reports whether list i learns from logs. What it learned is known to the daemon alone, and changes with every
// minute, so that only sets that are kept up to date have it: see SetLearned.
func (p *Policy) isLearned(i int) bool {
	switch p.Policy.Lists[i].Source.(type) {
	case *fallback.List, *earned.List, learnedClients:
		return true
	}
	return false
}

// reduceToTable returns the policy that a table can express. DNS lists stay in it as they are for the daemon while no DNS
// server answers, so that addresses that are never looked up are decided as the daemon decides them.
func (p *Policy) reduceToTable() (*Policy, error) {
	if err := p.checkExportable(); err != nil {
		return nil, err
	}
	out := *p
	policy := *p.Policy
	policy.Limit, policy.FailOpen, policy.Wait = nil, nil, 0
	if n, ok := policy.Names.(*iprev.Verifier); ok {
		policy.Names = n.Offline()
	}
	if policy.Guard != nil {
		policy.Guard = alwaysActiveGuard{}
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
	return &out, nil
}

// alwaysActiveGuard is a guard that is always active: a domain may publish MTA-STS or DANE after the table was exported.
type alwaysActiveGuard struct{}

func (alwaysActiveGuard) Active() bool { return true }

// nextExpiry returns when the first entry expires, from which on the table is no longer exact.
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

// writeHeader writes comments that say how the table was made, how to use it, and what it leaves out.
func (p *Policy) writeHeader(out io.Writer, format string, use ...string) {
	fmt.Fprint(out, madeBy, format)
	for _, flag := range p.flags() {
		fmt.Fprint(out, " ", flag)
	}
	fmt.Fprintln(out)
	for _, line := range use {
		fmt.Fprintf(out, "# %s\n", line)
	}
	if p.Policy.Guard != nil {
		fmt.Fprintf(out, "# a table does not see MTA-STS or DANE that a domain publishes later ([guard]): only own lists suppress\n")
	}
	if p.WithoutDNS {
		fmt.Fprintf(out, "# as if no DNS list answered\n")
	}
	for i, l := range p.Policy.Lists {
		if p.isLearned(i) {
			fmt.Fprintf(out, "# without list %q: only the daemon has what it learned from logs\n", l.Name)
		}
	}
	if t, ok := p.nextExpiry(); ok {
		fmt.Fprintf(out, "# exact until %s, when an entry expires: export again then\n", t.Format(time.RFC3339))
	}
}

// Load returns the policy of a config, with its lists as they are on disk. Lists that are unavailable are errors.
func Load(cfg *config.Config, now time.Time) (p *Policy, errs []error) {
	if cfg.File == "" {
		return nil, []error{errors.New("no config file: name one with -c (the built-in defaults have no lists)")}
	}
	live := state.Load(cfg, func() time.Time { return now }).Snapshot()
	p = &Policy{Config: live.Config, Policy: live.Policy, Now: now, configTime: modTime(cfg.File), others: make(map[string]map[int]string)}
	for _, s := range live.Sources {
		p.Sources = append(p.Sources, s.File)
	}
	return p, live.Unavailable()
}

// LastWritten returns the latest modification time of the config and of all list files that is not after a time. It skips
// files that are gone.
func (p *Policy) LastWritten(until time.Time) (last time.Time) {
	if last = modTime(p.Config.File); last.After(until) {
		last = time.Time{}
	}
	for _, s := range p.Sources {
		if s == nil {
			continue
		}
		if t := s.Files().LastWritten(until); t.After(last) {
			last = t
		}
	}
	return last
}

// Edited reports whether the config or a list file has been changed since the policy was loaded.
func (p *Policy) Edited() bool {
	if !modTime(p.Config.File).Equal(p.configTime) {
		return true
	}
	for i, s := range p.Sources {
		if s != nil && !s.Files().Equal(filewatch.StatFiles(p.Config.Lists[i].Spec.Patterns, nil)) {
			return true
		}
	}
	return false
}

// FindInput returns what a file is to the policy that was made of it, the config or a file of a list; "" if it is neither.
func (p *Policy) FindInput(file os.FileInfo) (what string) {
	isFile := func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && os.SameFile(info, file)
	}
	if file == nil {
		return ""
	}
	if isFile(p.Config.File) {
		return "the config"
	}
	for i, s := range p.Sources {
		if s != nil && slices.ContainsFunc(s.Files().Names(), isFile) {
			return fmt.Sprintf("a file of list %q", p.Policy.Lists[i].Name)
		}
	}
	return ""
}

// modTime returns the modification time of a file; zero if it is gone.
func modTime(name string) (t time.Time) {
	if info, err := os.Stat(name); err == nil {
		t = info.ModTime()
	}
	return t
}
