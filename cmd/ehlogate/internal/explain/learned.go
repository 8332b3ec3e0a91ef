package explain

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
)

// AddLearned adds what lists learned of a client.
func (r *Report) AddLearned(ctx context.Context, s *state.Snapshot, addr netip.Addr) {
	if s.Learn == nil {
		return
	}
	c, err := s.Learn.Client(ctx, addr)
	if err != nil {
		r.LearnedError = err.Error()
		return
	}
	r.Learned = &c
}

// describeLearned returns what lists learned of a client, in some lines.
func (r *Report) describeLearned() (lines []string) {
	if r.LearnedError != "" {
		return []string{"not known: " + r.LearnedError}
	}
	if r.Learned == nil {
		return nil
	}
	if f := r.Learned.Fallback; f != nil {
		lines = append(lines, describeFallback(f)...)
		if r.Learned.Observes && f.Entry != nil {
			lines = append(lines, "it only observes: logs have not been followed for long enough ([fallback] observe_for)")
		}
	}
	if e := r.Learned.Earned; e != nil {
		lines = append(lines, describeEarned(e))
	}
	return lines
}

// describeFallback says what a fallback list knows of a client: its entry, or why it has none.
func describeFallback(c *fallback.ClientReport) (lines []string) {
	if e := c.Entry; e != nil {
		until := ""
		if !e.Until.IsZero() {
			until = " until " + formatTime(e.Until)
		}
		lines = append(lines, fmt.Sprintf("fallback: %s since %s, for %s, %s%s", e.Action, formatTime(e.Made), e.Class, e.State, until))
		if e.Frees != "" {
			lines = append(lines, "ends: "+e.Frees)
		}
	} else {
		lines = append(lines, "fallback: no entry: "+joinReasons(c.NotLearned, "no failure says that it is incapable of TLS"))
	}
	evidence := c.Evidence
	if c.Entry != nil {
		evidence = c.Entry.Evidence
	}
	for _, p := range evidence {
		lines = append(lines, fmt.Sprintf("failed %s: %s (%s)", formatTime(p.Time), p.Class, p.Server))
		if p.Line != "" {
			lines = append(lines, "log: "+p.Line)
		}
	}
	for _, why := range []string{c.Immune, c.LeftAlone} {
		if why != "" {
			lines = append(lines, why)
		}
	}
	return lines
}

// describeEarned says whether a client earned its offer, or why it did not.
func describeEarned(c *earned.ClientReport) string {
	if c.Earned {
		return fmt.Sprintf("earned: %s on %s; it ends %s if no mail is accepted before", count(uint64(c.Sessions), "session"), count(uint64(c.Days), "day"), formatTime(c.Until))
	}
	return "earned: not: " + joinReasons(c.NotEarned, "it delivered no mail")
}

func joinReasons(reasons []string, none string) string {
	if len(reasons) == 0 {
		return none
	}
	return strings.Join(reasons, "; ")
}
