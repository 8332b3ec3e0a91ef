package maillog

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The bounds of what a log can make a Reader remember.
const (
	// MaxLineLength is how much of a line is read, in bytes. Mail servers write less than 2,048 to syslog.
	MaxLineLength = 16 << 10
	maxOpen       = 1 << 16 // sessions, of each kind
	maxFailed     = 1 << 12 // clients, see eximFailed
	maxDisabled   = 1 << 12 // processes, see disabled
	maxFree       = 1 << 10 // sessions that are over
	// A process of smtpd has one session at a time, so that the next ends one whose end is missing. For the others the log has
	// no such end: a session without a line for that long is over.
	maxProcessIdle    = 24 * time.Hour
	maxConnectionIdle = 10 * time.Minute
)

// Stats counts what a Reader read.
type Stats struct {
	Lines    int64 // in all
	Foreign  int64 // of other programs
	Mail     int64 // of programs of mail servers that have to do with clients
	Unframed int64 // in no known frame
	// Unclear counts lines that were not used because it is not certain which client they are about: a client wrote something
	// that looks like what the server writes.
	Unclear  int64
	Sessions int64
	// Orphans counts errors of the TLS library that belong to no session in the log.
	Orphans int64
	// Evicted counts sessions that were ended because too many were open.
	Evicted int64
	// Local counts lines with which a server says that its own TLS does not work.
	Local int64
}

// Reader turns lines into sessions. It is not safe for concurrent use.
type Reader struct {
	framer
	clock
	scanners    *scanners
	seed        maphash.Seed
	processes   *table // of smtpd, by process
	connections *table // of all others, by the client's address and port, or by process
	proxies     *simplelru.LRU[uint64, *proxy]
	disabled    *simplelru.LRU[uint64, struct{}] // processes of smtpd that said that they cannot do TLS
	// eximFailed has the time of the last failure of clients whose lines cannot be told to be of one session.
	eximFailed *simplelru.LRU[netip.Addr, stamp]
	latest     stamp      // of the last line that has a time
	free       []*session // that are over, to be used again
	host       string     // of the last session
	tag        string     // of the last session of smtpd
	service    string     // of that tag
	stats      Stats
}

// Options are options of a Reader. The zero value is usable.
type Options struct {
	// Zone is of times that have none; nil means that of this machine.
	Zone *time.Location
	// Newest tells the year of times that have none: no line is more than a day newer. Zero means now. See SetNewest.
	Newest time.Time
}

// NewReader returns a Reader that hands each session to emit when its end is known, about in the order of their ends. The
// session is valid until emit returns.
// Sessions are handed out a minute late in terms of the log's time, since only then it is known which clients are scanners.
func NewReader(options Options, emit func(*Session)) *Reader {
	r := &Reader{seed: maphash.MakeSeed(), scanners: newScanners(emit), clock: newClock()}
	r.zone = options.Zone
	if r.zone == nil {
		r.zone = time.Local
	}
	newest := options.Newest
	if newest.IsZero() {
		newest = time.Now()
	}
	r.SetNewest(newest)
	r.proxies = newProxies()
	r.disabled, _ = simplelru.NewLRU[uint64, struct{}](maxDisabled, nil)
	r.eximFailed, _ = simplelru.NewLRU[netip.Addr, stamp](maxFailed, nil)
	r.processes = newTable(maxProcessIdle, r.finish)
	r.connections = newTable(maxConnectionIdle, r.finish)
	return r
}

// SetNewest is to be called before the lines of another file: no line of it is more than a day newer than newest.
func (r *Reader) SetNewest(newest time.Time) {
	r.newest, r.start, r.stamped = newest, 0, false
}

// SetTime is for a log that is read while it is written: no line to come is more than a day newer than now. Unlike SetNewest
// it is not about another file.
func (r *Reader) SetTime(now time.Time) { r.newest = now }

// Wait says that no line came for so long since the last one. It ends the sessions that a line of that time would end. The
// times of the log may be of another clock.
func (r *Reader) Wait(idle time.Duration) {
	now := r.now + int64(idle)
	r.processes.expire(now)
	r.connections.expire(now)
	r.scanners.release(now)
}

// Latest returns the time of the last line; zero if the log has none.
func (r *Reader) Latest() time.Time { return timeOf(r.latest) }

// Stats returns what was counted so far.
func (r *Reader) Stats() Stats { return r.stats }

// Read reads one line without its end, and reports whether it is in a known frame. It keeps nothing of it.
func (r *Reader) Read(line []byte) (framed bool) {
	r.stats.Lines++
	var rec record
	if !r.parse(line[:min(len(line), MaxLineLength)], &rec) {
		r.stats.Unframed++
		return false
	}
	if rec.program == programNone {
		r.stats.Foreign++
		return true
	}
	r.stats.Mail++
	if rec.at != 0 {
		r.latest = rec.at
	}
	if rec.at != 0 && r.advance(rec.host, rec.at) {
		r.processes.expire(r.now)
		r.connections.expire(r.now)
		r.scanners.release(r.now)
	}
	switch rec.program {
	case programSMTPD:
		r.readSMTPD(&rec)
	case programPostscreen:
		r.readPostscreen(&rec)
	case programTLSProxy:
		r.readTLSProxy(&rec)
	case programSendmail:
		r.readSendmail(&rec)
	case programExim:
		r.readExim(&rec)
	}
	return true
}

// Flush ends all sessions: the log is over.
func (r *Reader) Flush() {
	r.processes.flush()
	r.connections.flush()
	r.scanners.flush()
}

func (r *Reader) hash(parts ...[]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, p := range parts {
		_, _ = h.Write(p)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}
