package dnsbl

import (
	"math/rand/v2"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/dnscache"
)

func filter(s string) answer.Filter {
	f, err := answer.Parse(s)
	if err != nil {
		panic(err)
	}
	return f
}

func TestScore(t *testing.T) {
	for _, tc := range []struct {
		answer string
		weight int
		said   string
		n      int
		ok     bool
		by     string
	}{
		{"", 1, "", 0, false, ""},
		{"", 2, "127.0.0.2", 2, true, "127.0.0.2"},
		{"", 2, "127.0.0.1", 0, false, ""},
		{"", 2, "127.0.0.1 127.0.0.2 127.0.0.3", 2, true, "127.0.0.2"}, // once
		{"127.0.0.3", -4, "127.0.0.2 127.0.0.3", -4, true, "127.0.0.3"},
		{"127.0.4.N", 1, "127.0.4.7 127.0.4.40 127.0.4.9", 40, true, "127.0.4.40"},
		{"127.0.4.N", -2, "127.0.4.7 127.0.4.40 127.0.4.9", -80, true, "127.0.4.40"},
		{"127.0.4.N", 5, "127.0.4.0", 0, true, "127.0.4.0"},
		{"127.0.4.N", 0, "127.0.4.9", 0, true, "127.0.4.9"},
	} {
		m := member{Zone: Zone{Weight: tc.weight, Answer: filter(tc.answer)}}
		said := triples(tc.said)
		n, at, ok := m.score(said)
		if n != tc.n || ok != tc.ok || ok && said[at:at+3] != triple(tc.by) {
			t.Errorf("%q, weight %d, and %s: %d, %v, at %d", tc.answer, tc.weight, tc.said, n, ok, at)
		}
	}
}

func TestReach(t *testing.T) {
	for _, tc := range []struct {
		zone      Zone
		low, high int
	}{
		{Zone{Weight: 3}, 0, 3}, {Zone{Weight: -3}, -3, 0},
		{Zone{Weight: 3, Answer: filter("127.0.0.N")}, 0, 765}, {Zone{Weight: -1, Answer: filter("127.0.0.N")}, -255, 0},
	} {
		if low, _ := tc.zone.scoreRange(); min(low, 0) != tc.low || tc.zone.Highest() != tc.high {
			t.Errorf("%+v: %d to %d", tc.zone, low, tc.zone.Highest())
		}
	}
}

// The list is decided if and only if it would be decided the same way whatever
// the unknown zones say, which is found out by trying all that they can say.
func TestScoreRule(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 82))
	var seen [5]int
	for range 200_000 {
		s := &List{spec: Spec{Threshold: r.IntN(14) - 5}}
		parts := make([]dnscache.Answer, 1+r.IntN(4))
		anyPending := false
		for i := range parts {
			m := member{Zone: Zone{Weight: r.IntN(9) - 4}}
			if r.IntN(4) == 0 {
				m.Answer = filter("127.0.4.N")
			} else if r.IntN(2) == 0 {
				m.Answer = filter("127.0.0.[2..3]")
			}
			s.members = append(s.members, m)
			switch parts[i].State = dnscache.State(r.IntN(3)); parts[i].State {
			case dnscache.Known:
				for range r.IntN(3) {
					parts[i].Text += string([]byte{0, byte(4 * r.IntN(2)), byte(r.IntN(6))})
				}
			case dnscache.Pending:
				anyPending = true
			}
		}
		could := make(map[lists.Status]bool)
		possible(s, parts, 0, false, 0, could)
		want := lists.Unavailable
		switch {
		case len(could) == 1 && could[lists.Matched]:
			want = lists.Matched
		case len(could) == 1:
			want = lists.NoMatch
		case anyPending:
			want = lists.Pending
		}
		if got := s.judge(parts); got != want {
			t.Fatalf("%+v of %+v is %s, want %s", parts, s, word(got), word(want))
		}
		seen[want]++
	}
	for _, status := range []lists.Status{lists.NoMatch, lists.Matched, lists.Unavailable, lists.Pending} {
		if seen[status] < 1000 {
			t.Errorf("%s came up %d times only", word(status), seen[status])
		}
	}
}

// possible finds all outcomes, by the rule as it is written down.
func possible(s *List, parts []dnscache.Answer, i int, listed bool, sum int, could map[lists.Status]bool) {
	if i == len(parts) {
		if listed && sum >= s.spec.Threshold {
			could[lists.Matched] = true
		} else {
			could[lists.NoMatch] = true
		}
		return
	}
	m := s.members[i]
	scores := m.Answer.HasScore()
	if parts[i].State != dnscache.Known {
		possible(s, parts, i+1, listed, sum, could)
		if !scores {
			possible(s, parts, i+1, true, sum+m.Weight, could)
			return
		}
		for _, n := range []int{0, 1, 2, 3, 128, 254, 255} { // what is between makes no other difference
			possible(s, parts, i+1, true, sum+n*m.Weight, could)
		}
		return
	}
	best, lists := 0, false
	for said := parts[i].Text; said != ""; said = said[3:] {
		if times, ok := m.Answer.Takes(said[0], said[1], said[2]); ok {
			if n := times * m.Weight; n*n > best*best {
				best = n
			}
			lists = true
		}
	}
	possible(s, parts, i+1, listed || lists, sum+best, could)
}
