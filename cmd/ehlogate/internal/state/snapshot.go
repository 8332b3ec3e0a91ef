package state

import (
	"iter"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
	"ehlogate/policyd"
)

// Snapshot is one state of config, policy and lists. It does not change, except for what DNS lists learn.
type Snapshot struct {
	Config     *config.Config
	Loaded     time.Time // when Config took effect
	Policy     *lists.Policy
	Values     *policyd.Values
	Sources    []ListSource   // one for each list, in the order of the config
	Never      *listfile.List // the clients of which nothing is learned; nil: there is no such list
	background                // shared by all lists

	enforces bool // fallback lists count
}

// ListSource is the source of one list. One of its fields is not nil.
type ListSource struct {
	File    *listfile.List
	DNS     *dnsbl.List
	Learned lists.Source // of a list that learns
}

// Files iterates over the lists of files, in the order of the config.
func (s *Snapshot) Files() iter.Seq2[config.List, *listfile.List] {
	return func(yield func(config.List, *listfile.List) bool) {
		for i, source := range s.Sources {
			if source.File != nil && !yield(s.Config.Lists[i], source.File) {
				return
			}
		}
	}
}

// buildSnapshot returns a snapshot of cfg and of the lists of files that were loaded for it. It takes over the background
// services of old that cfg does not change.
func (m *Manager) buildSnapshot(cfg *config.Config, old *Snapshot, files []*trackedList) *Snapshot {
	s := &Snapshot{Config: cfg, Loaded: m.clock(), Values: policyd.NewValues(cfg.AlwaysHide, cfg.ExplicitOffer),
		Policy: &lists.Policy{Default: cfg.Default, Mode: cfg.Mode}}
	s.Policy.Settings = s
	m.attachBackground(s, old)
	for _, l := range cfg.Lists {
		var source ListSource
		switch {
		case l.IsDNSList():
			source.DNS = s.DNS.zones.List(l.Zones)
		case l.IsLearned():
			source.Learned = s.learnedSource(l)
		default:
			source.File, files = files[0].source, files[1:]
		}
		s.addList(l, source)
	}
	s.addNever(files)
	return s
}

func (s *Snapshot) addList(c config.List, source ListSource) {
	list := &lists.List{Name: c.Name, Action: c.Action, Hide: c.Hide, Services: c.Services, Mode: s.effectiveMode(c), Source: source.File, External: c.IsExternal()}
	if source.File != nil && source.File.NotesUses() {
		list.Sessions = source.File
	}
	switch {
	case source.DNS != nil:
		list.Source = source.DNS
	case source.Learned != nil:
		list.Source = source.Learned
		list.Sessions, _ = source.Learned.(lists.SessionSource)
	}
	s.Sources = append(s.Sources, source)
	s.Policy.Lists = append(s.Policy.Lists, list)
}

// withFiles returns a snapshot that differs from s only in the lists of files.
func (s *Snapshot) withFiles(files []*trackedList) *Snapshot {
	next, policy := *s, *s.Policy
	next.Policy, next.Sources, policy.Lists, policy.Settings = &policy, nil, nil, &next
	next.enforces = s.Learn != nil && s.Learn.Enforces()
	for i, c := range s.Config.Lists {
		source := s.Sources[i]
		if source.File != nil {
			source.File, files = files[0].source, files[1:]
		}
		next.addList(c, source)
	}
	next.addNever(files)
	return &next
}

// addNever takes the list of [learn] never, which follows the lists of files.
func (s *Snapshot) addNever(files []*trackedList) {
	s.Never = nil
	if len(files) > 0 {
		s.Never = files[0].source
	}
}

// FileDecisions returns the policy as far as files alone decide: up to the first list that depends on DNS, on logs or on
// a commitment. whole reports whether that is all of it, with the default.
func (s *Snapshot) FileDecisions() (p *lists.Policy, whole bool) {
	policy := *s.Policy
	whole = policy.Limit == nil && policy.Guard == nil
	for i, l := range s.Config.Lists {
		names, ok := policy.Lists[i].Source.(lists.NameUser)
		if l.IsDNSList() || l.IsLearned() || policy.Guard != nil && l.IsExternal() || s.Config.DNS.VerifyNames && ok && names.UsesNames() {
			policy.Lists, whole = policy.Lists[:i], false
			break
		}
	}
	policy.Guard, policy.Limit, policy.FailOpen, policy.Names, policy.Wait = nil, nil, nil, nil, 0
	return &policy, whole
}
