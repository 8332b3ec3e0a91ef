package dnsbl

import (
	"ehlogate/lists"
	"ehlogate/lists/dnscache"
)

// judge decides from the answers of the zones. An unknown zone can say anything: the list matches, or does not, only if it
// does so whatever that zone says.
func (l *List) judge(answers []dnscache.Answer) lists.Status {
	listed := false             // by a zone that is known
	score, low, high := 0, 0, 0 // of known zones; what the unknown ones can take away or add
	best, unknown := 0, 0       // the most that one unknown zone adds if it lists; how many there are
	undecided := lists.Unavailable
	for i := range answers {
		m := &l.members[i]
		switch answers[i].State {
		case dnscache.Known:
			if n, _, ok := m.score(answers[i].Text); ok {
				listed = true
				score += n
			}
			continue
		case dnscache.Pending:
			undecided = lists.Pending
		}
		least, most := m.scoreRange()
		if unknown++; unknown == 1 || most > best {
			best = most
		}
		low += min(least, 0)
		high += max(most, 0)
	}
	if !listed {
		// An unknown zone has to list the client, even if that lowers the score.
		if unknown == 0 || high+min(best, 0) < l.spec.Threshold {
			return lists.NoMatch
		}
		return undecided
	}
	switch {
	case score+low >= l.spec.Threshold:
		return lists.Matched
	case score+high < l.spec.Threshold:
		return lists.NoMatch
	}
	return undecided
}

// score returns what the answers of the zone add, and the offset of the one that does: of several that list the client the
// one that counts most, up or down.
func (m *member) score(answers string) (n int, at int, ok bool) {
	size := -1
	for i := 0; i+3 <= len(answers); i += 3 {
		times, takes := m.Answer.Takes(answers[i], answers[i+1], answers[i+2])
		if takes && times*absolute(m.Weight) > size {
			n, at, ok, size = times*m.Weight, i, true, times*absolute(m.Weight)
		}
	}
	return n, at, ok
}

func absolute(n int) int { return max(n, -n) }
