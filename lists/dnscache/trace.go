package dnscache

import (
	"fmt"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
)

// Trace tells in step what the cache has for k, and returns what counts of that without a wait. none is what an empty answer
// is called; describe describes another. If there is no fresh answer, Effect has why.
func (u *Upstream) Trace(k Key, now int64, step *lists.TraceStep, none string, describe func(string) string) Answer {
	k.upstream = u.id
	sh, hash := u.cache.store.find(&k)
	sh.mu.Lock()
	e := sh.answers.peek(&k, hash)
	inFlight := sh.inFlight[k] != nil
	sh.mu.Unlock()
	switch {
	case !e.answered:
	case e.text == "":
		step.Answer = none
	default:
		step.Answer = describe(e.text)
	}
	if e.answered {
		step.From, step.Age, step.TTL = "cache", time.Duration(now-e.arrivedAt), time.Duration(e.expiresAt-now)
	}
	failed, disabled := u.failedLately(now, &e), u.whyDisabled()
	switch {
	case e.answered && step.TTL > 0:
		return Answer{State: Known, Text: e.text}
	case e.answered:
		step.From = "cache, stale"
		why := disabled
		if why == "" && failed {
			why = "the query for a fresh one failed (" + e.failure.String() + ")"
		}
		if why != "" && -step.TTL < u.cache.options.Stale {
			step.Effect = "; stale answer used: " + why
			return Answer{State: Known, Text: e.text}
		}
		step.Effect = "not known: expired, and will be queried again"
	case inFlight:
		step.Answer, step.Effect, step.From = "none yet", "not known yet", "in flight"
	case disabled != "":
		step.Answer, step.Effect = "not queried", "not known: "+disabled
	case failed:
		step.Answer, step.From, step.Age = e.failure.String(), "cache", time.Duration(now-e.failedAt)
		rest := time.Duration(int64(u.options.FailureTTL) - (now - e.failedAt)).Round(time.Second)
		step.Effect = fmt.Sprintf("not known: the query failed, and is repeated after %v at the earliest", rest)
	default:
		step.Answer, step.Effect = "not queried", "not known: not in the cache"
	}
	return Answer{Text: e.text}
}

// whyDisabled returns why no query can be sent, "" if one can.
func (u *Upstream) whyDisabled() string {
	switch u.Breaker.State() {
	case breaker.Unchecked:
		return "disabled until its first health check passes"
	case breaker.Open:
		return "disabled: " + u.Breaker.Reason()
	}
	return ""
}
