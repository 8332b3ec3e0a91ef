package dnsbl

import (
	"fmt"
	"net/netip"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
)

// matched is why a list matches a client: for each zone four bytes, what is known of it, and the answer that counted.
type matched struct {
	list    *List
	answers string
}

const (
	zoneNotListed = iota
	zoneListed
	zoneUnknown
)

// maxMatches is how many reasons a list keeps, since the same few come again and again. Others are made anew each time.
const maxMatches = 512

// findMatch returns the reason for a match, which is the same for the same answers.
func (l *List) findMatch(answers []dnscache.Answer) *matched {
	var few [4 * 8]byte
	b := few[:0]
	for i := range answers {
		if answers[i].State != dnscache.Known {
			b = append(b, zoneUnknown, 0, 0, 0)
		} else if _, at, ok := l.members[i].score(answers[i].Text); ok {
			b = append(append(b, zoneListed), answers[i].Text[at:at+3]...)
		} else {
			b = append(b, zoneNotListed, 0, 0, 0)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.matches[string(b)]
	if m == nil {
		if m = (&matched{l, string(b)}); len(l.matches) < maxMatches {
			l.matches[m.answers] = m
		}
	}
	return m
}

// Entry implements lists.Describer: the zones that list the client, with their answers, and the score.
func (m *matched) Entry(int32, netip.Addr) lists.Entry {
	var parts []string
	score := 0
	for i, member := range m.list.members {
		state, answer := m.answers[4*i], m.answers[4*i+1:4*i+4]
		switch state {
		case zoneListed:
			n, _, _ := member.score(answer)
			score += n
			parts = append(parts, fmt.Sprintf("%s %s (weight %d)", member.zone.Zone, formatAnswers(answer), n))
		case zoneUnknown:
			parts = append(parts, member.zone.Zone.String()+" not known")
		}
	}
	parts = append(parts, fmt.Sprintf("score %d of %d", score, m.list.spec.Threshold))
	return lists.Entry{Text: strings.Join(parts, ", ")}
}
