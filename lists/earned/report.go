package earned

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists/learnstore"
)

// Report is what an operator can see of what was learned.
type Report struct {
	Clients    int            `json:"clients"`     // that are earned
	Records    int            `json:"records"`     // of clients in all
	MaxRecords int            `json:"max_records"` // beyond which some are dropped
	Top        []ClientReport `json:"top"`         // earned clients, those with most sessions first
}

// ClientReport is what is known of one client.
type ClientReport struct {
	Client         string    `json:"client"` // an IPv4 address or an IPv6 /64
	Earned         bool      `json:"earned"`
	Since          time.Time `json:"since,omitzero"`  // when it was earned
	Until          time.Time `json:"until,omitzero"`  // when that ends, if no further mail is accepted
	Last           time.Time `json:"last,omitzero"`   // the end of its last session
	Days           int       `json:"days"`            // with accepted mail
	Sessions       int       `json:"sessions"`        // with accepted mail
	Rejected       int       `json:"rejected"`        // sessions
	RecentSessions int       `json:"recent_sessions"` // of the last days: with accepted mail
	RecentRejected int       `json:"recent_rejected"`
	NotEarned      []string  `json:"not_earned"` // why it is not; empty if it is
}

// Report describes what was learned, with at most top clients.
func (l *Learner) Report(tx learnstore.Tx, now learnstore.Moment, top int) (Report, error) {
	if err := l.load(tx, now); err != nil {
		return Report{}, err
	}
	out := Report{Clients: l.members.count(), MaxRecords: l.options.MaxClients, Top: []ClientReport{}}
	type ranked struct {
		c client
		r record
	}
	var best []ranked
	for i := range shardCount {
		s := openShard(tx, i)
		if out.Records += s.Count(); top == 0 {
			continue
		}
		_, err := s.each(func(c client, r record) {
			if l.members.has(c) {
				best = append(best, ranked{c, r})
			}
		})
		if err != nil {
			return Report{}, err
		}
		slices.SortFunc(best, func(a, b ranked) int {
			return cmp.Or(cmp.Compare(b.r.all.accepted, a.r.all.accepted), cmp.Compare(a.c, b.c))
		})
		best = best[:min(top, len(best))]
	}
	for _, b := range best {
		out.Top = append(out.Top, l.describe(b.c, b.r, now))
	}
	return out, nil
}

// Client describes what is known of one client.
func (l *Learner) Client(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr) (ClientReport, error) {
	if err := l.load(tx, now); err != nil {
		return ClientReport{}, err
	}
	c, ok := clientOf(addr)
	if !ok || isCrowd(addr) {
		return ClientReport{Client: addr.String(), NotEarned: []string{"many clients can have this address"}}, nil
	}
	r, known := openShard(tx, shardOf(c)).get(c)
	if !known {
		return ClientReport{Client: c.String(), NotEarned: []string{"no mail of it was accepted or rejected lately"}}, nil
	}
	return l.describe(c, r, now), nil
}

// describe describes a client as it is now.
func (l *Learner) describe(c client, r record, now learnstore.Moment) ClientReport {
	out := ClientReport{Client: c.String(), Earned: l.members.has(c), Last: time.Unix(int64(r.end), 0).UTC(), NotEarned: []string{}}
	if until, ok := r.until(&l.options); ok && out.Earned {
		out.Since, out.Until = time.Unix(int64(r.since), 0).UTC(), until.UTC()
	}
	if today := now.Wall.Unix(); today > int64(r.end) && today < 1<<32 {
		r.moveTo(uint32(today), &l.options)
	}
	out.Days, out.Sessions, out.Rejected = countDays(r.delivered, l.options.Of), int(r.all.accepted), int(r.all.rejected)
	out.RecentSessions, out.RecentRejected = int(r.recent.accepted), int(r.recent.rejected)
	if !out.Earned {
		out.NotEarned = r.missing(&l.options)
	}
	return out
}
