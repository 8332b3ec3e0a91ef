package dnsbl

import (
	"fmt"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/dnscache"
)

// Trace implements lists.Tracer: a step for each zone, and one for the score if that depends on more than one zone.
func (l *List) Trace(c lists.Client) []lists.TraceStep {
	c.Addr = c.Addr.Unmap()
	if c.Addr.IsValid() && !isPublic(c.Addr) {
		return []lists.TraceStep{{Query: c.Addr.String(), Answer: "never queried", Effect: "not listed: not a public address"}}
	}
	now := l.client.cache.Now()
	steps, answers := make([]lists.TraceStep, len(l.members)), make([]dnscache.Answer, len(l.members))
	for i := range l.members {
		steps[i], answers[i] = l.members[i].trace(&c, now)
	}
	if len(answers) > 1 || l.spec.Threshold != 1 {
		steps = append(steps, l.traceScore(answers))
	}
	return steps
}

func (l *List) traceScore(answers []dnscache.Answer) lists.TraceStep {
	score := 0
	var without []string
	for i := range answers {
		if answers[i].State != dnscache.Known {
			without = append(without, l.members[i].zone.Zone.String())
		} else if n, _, ok := l.members[i].score(answers[i].Text); ok {
			score += n
		}
	}
	step := lists.TraceStep{Query: "score", Answer: fmt.Sprintf("%d of %d", score, l.spec.Threshold)}
	if without != nil {
		step.Answer += ", without " + strings.Join(without, ", ")
	}
	switch l.judge(answers) {
	case lists.Matched:
		step.Effect = "the list matches the client"
	case lists.NoMatch:
		step.Effect = "the list does not match the client"
	default:
		step.Effect = "not known"
	}
	return step
}

// trace returns the step about one zone, and what counts of its answer without a wait.
func (m *member) trace(c *lists.Client, now int64) (lists.TraceStep, dnscache.Answer) {
	z := m.zone
	if state, why := m.withoutQuery(c); why != "" {
		return lists.TraceStep{Query: z.Zone.String(), Answer: "not queried", Effect: why}, dnscache.Answer{State: state}
	}
	k := m.key(c)
	question, ok := z.question(k)
	step := lists.TraceStep{Query: z.show(question) + " A"}
	if !ok {
		step.Answer, step.Effect = "not queried", "not listed: not a host name, or too long"
		return step, dnscache.Answer{State: dnscache.Known}
	}
	a := z.Upstream.Trace(k, now, &step, "no such record", formatAnswers)
	if a.State == dnscache.Known {
		step.Effect = m.explain(a.Text) + step.Effect
	}
	return step, a
}

// explain returns what follows from the answers of the zone.
func (m *member) explain(answers string) string {
	n, _, ok := m.score(answers)
	switch {
	case ok:
		return fmt.Sprintf("listed, %+d", n)
	case answers == "":
		return "not listed"
	case m.Answer == answer.Filter{}:
		return "not listed: such an answer counts for nothing"
	}
	return fmt.Sprintf("not listed: only %s counts", m.Answer)
}
