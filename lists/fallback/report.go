package fallback

import (
	"net/netip"
	"time"
)

// Report is what an operator can see of what was learned.
type Report struct {
	Entries []EntryReport `json:"entries"`
	// Candidates are clients with evidence and no entry, those with most of it first; not more than maxCandidates.
	Candidates []ClientReport `json:"candidates"`
	Evidence   int            `json:"evidence"` // clients, in all
	Immune     int            `json:"immune"`
	LeftAlone  int            `json:"left_alone"`
	Breaker    BreakerReport  `json:"breaker"`
	Cap        CapReport      `json:"cap"`
	Advice     []Advice       `json:"advice"`
}

// EntryReport describes an entry.
type EntryReport struct {
	Client        netip.Addr `json:"client"`
	Name          string     `json:"name,omitempty"`
	Action        string     `json:"action"`
	Class         string     `json:"class"`
	State         string     `json:"state"` // live, dormant
	Made          time.Time  `json:"made"`
	Until         time.Time  `json:"until"`      // of its life; zero if dormant
	LastUntil     time.Time  `json:"last_until"` // when it ends for good
	Confirmations int        `json:"confirmations"`
	Sessions      int        `json:"sessions"` // answered by it, probes not counted
	Messages      int        `json:"messages"` // that it brought
	Probes        int        `json:"probes"`
	LastProbe     *time.Time `json:"last_probe,omitempty"`
	Evidence      []Proof    `json:"evidence"`
	Frees         string     `json:"frees"` // what ends it
}

// Proof is one failure in the evidence.
type Proof struct {
	Time    time.Time `json:"time"`
	Class   string    `json:"class"`
	Server  string    `json:"server"`
	Service string    `json:"service"`
	Version string    `json:"version,omitempty"`
	// Line is the line of the log that tells the reason, of a long one the beginning and the end. It may have any bytes. Only a
	// [ClientReport] of [Learner.Client] has it.
	Line string `json:"line,omitempty"`
}

// ClientReport is what is known of one client.
type ClientReport struct {
	Client   netip.Addr   `json:"client"`
	Name     string       `json:"name,omitempty"`
	Entry    *EntryReport `json:"entry,omitempty"`
	Evidence []Proof      `json:"evidence"`
	// NotLearned has the reasons why the client has no entry; empty if it has one.
	NotLearned []string `json:"not_learned"`
	// Immune has what makes the client immune, empty if nothing does; ImmuneFor is for how long, of the time for which logs
	// are followed.
	Immune    string        `json:"immune,omitempty"`
	ImmuneFor time.Duration `json:"immune_for_ns,omitempty"`
	LeftAlone string        `json:"left_alone,omitempty"`
}

// BreakerReport describes the breaker.
type BreakerReport struct {
	Open   bool          `json:"open"`
	Reason string        `json:"reason,omitempty"` // of the last cause, even if it is closed
	Since  time.Time     `json:"since,omitzero"`   // of the last cause
	Rest   time.Duration `json:"rest_ns,omitempty"`
}

// CapReport describes how near the limits are.
type CapReport struct {
	Entries    int `json:"entries"`
	MaxEntries int `json:"max_entries"`
	Suppressed int `json:"suppressed"` // sessions of this hour
	Allowed    int `json:"allowed"`
}

// Advice is what would help instead of entries.
type Advice struct {
	Class   string `json:"class"`
	Clients int    `json:"clients"`
	Text    string `json:"text"`
}
