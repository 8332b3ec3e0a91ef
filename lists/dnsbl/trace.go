package dnsbl

import (
	"fmt"
	"strings"
	"time"

	"ehlogate/lists"
)

// Trace implements lists.Tracer: a step for each zone, and the score if there
// is more to it than one zone that lists or does not.
func (s *List) Trace(c lists.Client) []lists.TraceStep {
	c.Addr = c.Addr.Unmap()
	if c.Addr.IsValid() && !public(c.Addr) {
		return []lists.TraceStep{{Query: c.Addr.String(), Answer: "never asked", Means: "not listed: this is no public address"}}
	}
	now := s.service.now()
	var steps []lists.TraceStep
	parts := make([]part, len(s.members))
	for i := range s.members {
		var step lists.TraceStep
		step, parts[i] = s.members[i].trace(&c, now)
		steps = append(steps, step)
	}
	if len(parts) > 1 || s.spec.Threshold != 1 {
		steps = append(steps, s.sum(parts))
	}
	return steps
}

// sum is the step that is about the score.
func (s *List) sum(parts []part) lists.TraceStep {
	score := 0
	var without []string
	for i := range parts {
		if parts[i].state != known {
			without = append(without, s.members[i].zone.name)
		} else if n, _, ok := s.members[i].score(parts[i].said); ok {
			score += n
		}
	}
	step := lists.TraceStep{Query: "score", Answer: fmt.Sprintf("%d of %d", score, s.spec.Threshold)}
	if without != nil {
		step.Answer += ", without " + strings.Join(without, ", ")
	}
	switch s.judge(parts) {
	case lists.Matched:
		step.Means = "the list holds the client"
	case lists.NoMatch:
		step.Means = "the list does not hold the client"
	default:
		step.Means = "not known"
	}
	return step
}

// trace tells of one zone, and what counts of that without a wait.
func (m *member) trace(c *lists.Client, now int64) (lists.TraceStep, part) {
	z := m.zone
	step := lists.TraceStep{Query: z.name}
	switch {
	case !m.ByName && !c.Addr.IsValid():
		step.Answer, step.Means = "not asked", "not listed: the address of the client is not known"
		return step, part{state: known}
	case m.ByName && c.Name == "" && (c.NameStatus == lists.Pending || c.NameStatus == lists.Unavailable):
		step.Answer, step.Means = "not asked", "not known: the name of the client is not known"
		return step, part{}
	case m.ByName && c.Name == "":
		step.Answer, step.Means = "not asked", "not listed: the client has no verified name"
		return step, part{state: known}
	}
	k := m.key(c)
	name, ok := z.question(&k)
	if step.Query = name + " A"; !ok {
		step.Answer, step.Means = "not asked", "not listed: this is no host name, or too long"
		return step, part{state: known}
	}
	p := z.recall(&k, now, &step, "no such record", answers)
	if p.state == known {
		step.Means = m.means(p.said) + step.Means
	}
	return step, p
}

// means says what follows from an answer.
func (m *member) means(said string) string {
	n, _, ok := m.score(said)
	switch {
	case ok:
		return fmt.Sprintf("lists it, %+d", n)
	case said == "":
		return "not listed"
	case m.Answer == Filter{}:
		return "not listed: such an answer counts for nothing"
	}
	return fmt.Sprintf("not listed: only %s counts", m.Answer)
}

// Trace implements lists.Tracer.
func (n *ReverseDNS) Trace(c lists.Client) []lists.TraceStep {
	addr := c.Addr.Unmap()
	if !addr.IsGlobalUnicast() {
		return nil
	}
	k := n.key(addr)
	step := lists.TraceStep{Query: pointer(addr) + " PTR"}
	p := n.recall(&k, n.service.now(), &step, "no verified name", func(name string) string { return name })
	switch {
	case p.state != known:
	case p.said == "":
		step.Means = "no PTR record gives a name that has the address" + step.Means
	default:
		step.Means = "verified: the name has the address" + step.Means
	}
	return []lists.TraceStep{step}
}

// recall tells what is in memory of k: none is what an empty answer is called,
// words puts another into words. It adds to Means why there is no better one.
func (o *upstream) recall(k *key, now int64, step *lists.TraceStep, none string, words func(string) string) part {
	e, f := o.service.memory.peek(k)
	switch {
	case !e.known:
	case e.said == "":
		step.Answer = none
	default:
		step.Answer = words(e.said)
	}
	old := e.known && now-e.ends < int64(o.service.config.Stale)
	switch fails := e.why != 0 && now-e.failed < int64(o.patience); {
	case e.known && now < e.ends:
		step.From, step.Age, step.TTL = "cache", time.Duration(now-e.came), time.Duration(e.ends-now)
		return part{state: known, said: e.said}
	case e.known:
		step.From, step.Age, step.TTL = "cache, stale", time.Duration(now-e.came), time.Duration(e.ends-now)
		if why := o.distrust(k); why != "" && old {
			step.Means = "; it is too old and counts all the same: " + why
			return part{state: known, said: e.said}
		} else if fails && old {
			step.Means = "; it is too old and counts all the same: " + e.why.String() + " when it was asked again"
			return part{state: known, said: e.said}
		}
		step.Means = "not known: it is too old, and will be asked again"
	case f != nil:
		step.Answer, step.Means, step.From = "none yet", "not known yet", "in flight"
	case o.distrust(k) != "":
		step.Answer, step.Means = "not asked", "not known: "+o.distrust(k)
	case fails:
		step.Answer, step.From, step.Age = e.why.String(), "cache", time.Duration(now-e.failed)
		step.Means = fmt.Sprintf("not known: it failed, and is not asked again for %v", time.Duration(int64(o.patience)-(now-e.failed)).Round(time.Second))
	default:
		step.Answer, step.Means = "not asked", "not known: it is not in memory"
	}
	return part{old: old, said: e.said}
}

// distrust says why k is not asked, "" if it would be.
func (o *upstream) distrust(k *key) string {
	if o.believed(k) {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case breakerState(o.trust.Load()) == halfOpen:
		return "not believed before its first self-test"
	case breakerState(o.trust.Load()) == open:
		return "not believed: " + o.why
	case breakerState(o.trust6.Load()) == open:
		return "not believed about IPv6: " + o.why6
	}
	return "not believed about IPv6 before a self-test of that"
}
