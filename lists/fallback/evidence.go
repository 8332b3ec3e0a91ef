package fallback

import (
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// proof is one failure of a client.
type proof struct {
	time     time.Time // of the log
	followed time.Duration
	server   maillog.Server
	service  string
	version  string
	line     string // of the log, that tells the reason; may be empty
}

// extraProofs is how many proofs are kept beyond those that are needed, to show them.
const (
	extraProofs = 5
	maxProofs   = 1000
	maxService  = 64
	// maxLines bounds the lines of a client without an entry, in bytes: of 100,000 such clients, which an attacker can have.
	maxLines = 2 * maillog.MaxSessionLine
)

func newProof(now learnstore.Moment, s *maillog.Session) proof {
	return proof{
		time: s.End, followed: now.Followed, server: s.Server, service: s.Service[:min(len(s.Service), maxService)],
		version: s.Version[:min(len(s.Version), maxService)], line: s.Line,
	}
}

func (e *encoder) putProofs(all []proof) {
	e.putInt(int64(len(all)))
	for _, p := range all {
		e.putTime(p.time)
		e.putFollowed(p.followed)
		e.putInt(int64(p.server))
		e.putText(p.service)
		e.putText(p.version)
		e.putLine(p.line)
	}
}

func (d *decoder) takeProofs() (all []proof) {
	for range d.takeCount(maxProofs) {
		p := proof{d.takeTime(), d.takeFollowed(), maillog.Server(d.takeCount(len(maillog.Servers()) - 1)), d.takeText(), d.takeText(), d.takeLine()}
		if d.bad {
			return nil
		}
		all = append(all, p)
	}
	return all
}

// mayFollow reports whether a failure counts after those before it: it is of the time in which evidence counts, and spaced
// from the last, by the log's time and by the time for which logs were followed. So a log that is read twice, or late, or
// is not in order, proves nothing.
func (o *Options) mayFollow(now learnstore.Moment, before []proof, s *maillog.Session) bool {
	if s.End.IsZero() || s.End.After(now.Wall.Add(timeGrace)) || s.End.Before(now.Wall.Add(-o.MaxAge)) {
		return false
	}
	if len(before) == 0 {
		return true
	}
	last := before[len(before)-1]
	return s.End.Sub(last.time) >= o.Spacing && now.Followed-last.followed >= o.Spacing
}

// addProof returns the proofs with another. If there are too many, the second goes: the first shows over what time they are.
func (o *Options) addProof(all []proof, p proof) []proof {
	if len(all) >= min(o.Sessions+extraProofs, maxProofs) && len(all) > 1 {
		all = append(all[:1], all[2:]...)
	}
	return append(all, p)
}

// trimLines leaves out lines of proofs beyond maxLines: those of the first and the last stay, and of the others those of the
// newest.
func trimLines(all []proof) {
	total := 0
	for _, p := range all {
		total += len(p.line)
	}
	for i := 1; i < len(all)-1 && total > maxLines; i++ {
		total -= len(all[i].line)
		all[i].line = ""
	}
}

// keepFresh returns the proofs that still count. Those from before the breaker closed do not.
func (o *Options) keepFresh(now learnstore.Moment, closed time.Duration, all []proof) (fresh []proof) {
	for _, p := range all {
		byLog, byFollowed := now.Wall.Sub(p.time), now.Followed-p.followed
		if byLog >= -timeGrace && byLog <= o.MaxAge && byFollowed >= 0 && byFollowed <= o.MaxAge && p.followed >= closed {
			fresh = append(fresh, p)
		}
	}
	return fresh
}

// isEnough reports whether the proofs suffice for an entry.
func (o *Options) isEnough(all []proof) bool {
	if len(all) < max(o.Sessions, 1) {
		return false
	}
	first, last := all[0], all[len(all)-1]
	return last.time.Sub(first.time) >= o.Span && last.followed-first.followed >= o.Span
}

// evidence is what is known of a client that failed.
type evidence struct {
	name   string // verified; may be empty
	failed bool   // for the breaker: it failed before, in a way that may be the fault of this server
	// last is how and when, by the log, it failed last, in whatever way.
	last     maillog.Class
	lastTime time.Time
	class    maillog.Class // of the proofs
	proofs   []proof
}

func (v *evidence) encode() []byte {
	trimLines(v.proofs)
	e := newEncoder(lineVersion)
	e.putText(v.name)
	e.putInt(boolInt(v.failed))
	e.putText(v.last.String())
	e.putTime(v.lastTime)
	e.putText(v.class.String())
	e.putProofs(v.proofs)
	return e
}

// decodeEvidence returns nil if the record is not one.
func decodeEvidence(record []byte) *evidence {
	d := newDecoder(record, lineVersion)
	v := &evidence{d.takeText(), d.takeBool(), d.takeClass(), d.takeTime(), d.takeClass(), d.takeProofs()}
	if !d.isWhole() {
		return nil
	}
	return v
}

// isScan reports whether a failure is the second way of failing within a short time.
func (v *evidence) isScan(span time.Duration, s *maillog.Session) bool {
	return v.last != maillog.ClassNone && v.last != s.Class && !s.End.IsZero() && s.End.Sub(v.lastTime).Abs() <= span
}
