package earned

import (
	"fmt"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// maxAhead is how far the clock of another machine that writes the log may be ahead.
const maxAhead = 5 * time.Minute

// counts reports whether a session tells something of its client: mail was accepted or rejected on port 25, lately. Where the
// log does not tell the port, it may be submission.
func (l *Learner) counts(now learnstore.Moment, s *maillog.Session) bool {
	if s.Mail == maillog.MailNone || s.Service == "" || !s.IsPort25() || s.LoggedIn || isCrowd(s.Addr) {
		return false
	}
	oldest := now.Wall.AddDate(0, 0, -l.options.Of)
	return s.End.After(oldest) && s.End.Before(latest(now)) && s.End.Unix() > 0 && s.End.Unix() < 1<<32
}

// latest returns the time after which nothing in a log can be.
func latest(now learnstore.Moment) time.Time { return now.Wall.Add(maxAhead) }

// earns reports whether a record, which ends today, meets the rules for a client to be earned.
func (r *record) earns(o *Options) bool {
	return countDays(r.delivered, o.Of) >= o.Days && int(r.all.accepted) >= o.Sessions &&
		!r.all.isBad(o, 0) && !r.recent.isBad(o, o.Sessions)
}

// isBad reports whether too many sessions were rejected. Of fewer than atLeast, as many count as if there were so many: one
// or two tell little.
func (t tally) isBad(o *Options, atLeast int) bool {
	const rounding = 1e-9
	return float64(t.rejected) > o.MaxRejects*float64(max(t.total(), atLeast))+rounding
}

// isLive reports whether a client that was earned still is, for as long as mail was accepted lately by either clock.
func (r *record) isLive(now learnstore.Moment, o *Options) bool {
	until, ok := r.until(o)
	return r.since != 0 && ok && now.Wall.Before(until) && now.Followed-seconds(r.used) < o.Keep
}

// until returns when a client that was earned is no more, by the clock of the machine.
func (r *record) until(o *Options) (time.Time, bool) {
	day, ok := r.lastDelivery()
	return time.Unix((day+1)*secondsOfDay, 0).Add(o.Keep), ok
}

// isSpent reports whether a record has nothing left to tell. The clock of the machine has no part in that: what it makes old
// when it is set is as before when it is set back.
func (r *record) isSpent(now learnstore.Moment, o *Options) bool {
	return now.Followed-seconds(r.used) > max(o.Keep, time.Duration(o.Of)*24*time.Hour)
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// missing returns what keeps a record from being earned.
func (r *record) missing(o *Options) (reasons []string) {
	reasons = []string{}
	if days := countDays(r.delivered, o.Of); days < o.Days {
		reasons = append(reasons, fmt.Sprintf("accepted mail on %d of the last %d days: %d are needed", days, o.Of, o.Days))
	}
	if n := int(r.all.accepted); n < o.Sessions {
		reasons = append(reasons, fmt.Sprintf("%d sessions with accepted mail: %d are needed", n, o.Sessions))
	}
	if r.all.isBad(o, 0) {
		reasons = append(reasons, fmt.Sprintf("%d of %d sessions were rejected: at most %g %% may be", r.all.rejected, r.all.total(), 100*o.MaxRejects))
	}
	if r.recent.isBad(o, o.Sessions) {
		reasons = append(reasons, r.recent.describe(o))
	}
	return reasons
}

// describe tells of the sessions that turned bad.
func (t tally) describe(o *Options) string {
	return fmt.Sprintf("%d of %d sessions in the last %d days were rejected: at most %g %% may be", t.rejected, t.total(), o.Days, 100*o.MaxRejects)
}
