package earned

import "time"

// Report is what an operator can see of what was learned.
type Report struct {
	Clients int `json:"clients"` // that are earned
	Records int `json:"records"` // of clients in all
	// MaxRecords is the number of records beyond which some are dropped.
	MaxRecords int `json:"max_records"`
	// Top has the clients with most sessions, not more than maxTop.
	Top []ClientReport `json:"top"`
}

// ClientReport is what is known of one client.
type ClientReport struct {
	Client         string    `json:"client"` // an IPv4 address or an IPv6 /64
	Earned         bool      `json:"earned"`
	Since          time.Time `json:"since,omitzero"` // when it was earned
	Until          time.Time `json:"until,omitzero"` // when that ends, if no further mail is accepted
	Last           time.Time `json:"last,omitzero"`  // the end of its last session
	Days           int       `json:"days"`           // with accepted mail
	Sessions       int       `json:"sessions"`       // with accepted mail
	Rejected       int       `json:"rejected"`       // sessions
	RecentSessions int       `json:"recent_sessions"`
	RecentRejected int       `json:"recent_rejected"`
	// NotEarned has the reasons why the client is not earned; empty if it is.
	NotEarned []string `json:"not_earned"`
}
