package replay

import (
	"net/netip"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

// Tally counts sessions and what a policy decides about them. Its memory is bounded by the number of clients: about 80
// bytes each.
type Tally struct {
	port25, submission int64
	tls                [4]int64 // sessions on port 25, by maillog.TLS
	unknownPort        int64    // of those that count as port 25
	unknownVersion     int64    // sessions with TLS without its version
	local              int64    // sessions in which the server's own TLS did not work
	first, last        time.Time

	suppressed int64
	by         map[by]int64     // suppressed sessions
	hidden     map[hidden]int64 // sessions
	handshakes int64            // that suppression avoids
	overridden int64            // sessions in which the guard keeps STARTTLS
	sessionsOf [outcomes]int64
	servers    [4]bool
	certSince  time.Time // the first session whose client rejects the certificate
	buckets    map[int64]*bucket
	clients    map[[16]byte]uint32 // index in stats, by address: without pointers for the garbage collector to follow
	stats      []*[chunk]client
	names      map[uint32]string // of clients that fail or are suppressed
}

// outcomes is more than there are of them.
const outcomes = 16

// by is what suppresses: a list, or else a reason.
type by struct {
	list   string
	reason lists.Reason
}

// client is what is known of one address. It is small, since there can be millions.
type client struct {
	tlsOK, suppressed          uint32 // sessions
	tlsMessages, clearMessages uint32 // in sessions that would be suppressed
	delivered                  uint32 // messages in all
	failed                     uint32 // sessions, without those of scanners
	firstFailed, lastFailed    uint32 // seconds since 1970
	outcomes                   uint16 // a bit for each
	class                      maillog.Class
	server                     maillog.Server
	otherClass, loggedIn       bool
}

// chunk is how many clients are allocated at a time, so that none is ever moved.
const chunk = 4096

// bucket has the handshakes of ten minutes.
type bucket struct{ ok, failed, clients uint32 }

const bucketLength = 10 * time.Minute

// maxNames bounds the names that are kept: a client with many addresses can have as many names.
const maxNames = 100_000

// NewTally returns an empty tally.
func NewTally() *Tally {
	return &Tally{by: map[by]int64{}, hidden: map[hidden]int64{}, buckets: map[int64]*bucket{}, clients: map[[16]byte]uint32{}, names: map[uint32]string{}}
}

// Add counts a session, and the verdict on it.
func (t *Tally) Add(s *maillog.Session, v *Verdict) {
	if !s.Time.IsZero() && (t.first.IsZero() || s.Time.Before(t.first)) {
		t.first = s.Time
	}
	if s.End.After(t.last) {
		t.last = s.End
	}
	t.servers[s.Server] = true
	t.addHidden(serviceOf(s), v)
	if !s.IsPort25() {
		t.submission++
		return
	}
	t.port25++
	t.tls[s.TLS]++
	if s.Service == "" {
		t.unknownPort++
	}
	c, id := t.client(s.Addr)
	c.delivered += uint32(s.Messages)
	c.server = s.Server
	c.loggedIn = c.loggedIn || s.LoggedIn
	at := uint32(max(0, s.End.Unix()))
	if s.TLS == maillog.TLSOK {
		c.tlsOK++
		if s.Version == "" {
			t.unknownVersion++
		}
	}
	t.addFailure(s, c, id, at)
	if v.Overridden || v.Reason == lists.ReasonGuard {
		t.overridden++
	}
	if v.Action == lists.Suppress {
		t.addSuppressed(s, &v.Verdict, c, id)
	}
}

func (t *Tally) addSuppressed(s *maillog.Session, v *lists.Verdict, c *client, id uint32) {
	t.suppressed++
	t.by[by{v.ListName(), v.Reason}]++
	c.suppressed++
	if s.TLS == maillog.TLSOK {
		c.tlsMessages += uint32(s.Messages)
	} else {
		c.clearMessages += uint32(s.Messages)
	}
	if s.TLS == maillog.TLSOK || s.TLS == maillog.TLSFailed && s.Outcome != maillog.OutcomeLocal {
		t.handshakes++
	}
	t.setName(id, s.Name)
}

func (t *Tally) addFailure(s *maillog.Session, c *client, id, at uint32) {
	isFailure := s.IsFailure()
	if s.TLS != maillog.TLSOK && !isFailure {
		return
	}
	b := t.buckets[int64(at)/int64(bucketLength/time.Second)]
	if b == nil {
		b = &bucket{}
		t.buckets[int64(at)/int64(bucketLength/time.Second)] = b
	}
	if !isFailure {
		b.ok++
		return
	}
	t.sessionsOf[s.Outcome]++
	if s.Outcome == maillog.OutcomeLocal {
		t.local++
		return
	}
	c.outcomes |= 1 << s.Outcome
	t.setName(id, s.Name)
	if s.Outcome == maillog.OutcomeScanner {
		return
	}
	b.failed++
	if c.failed == 0 {
		b.clients++
		c.class, c.firstFailed = s.Class, at
	}
	c.failed++
	c.otherClass = c.otherClass || c.class != s.Class
	c.lastFailed = max(c.lastFailed, at)
	if (s.Outcome == maillog.OutcomeCertRejected || s.Outcome == maillog.OutcomeCertRejectedLater) && !s.Time.IsZero() &&
		(t.certSince.IsZero() || s.Time.Before(t.certSince)) {
		t.certSince = s.Time
	}
}

func (t *Tally) setName(id uint32, name string) {
	if name != "" && len(t.names) < maxNames {
		t.names[id] = name
	}
}

// client returns what is known of an address.
func (t *Tally) client(addr netip.Addr) (*client, uint32) {
	key := addr.As16()
	id, ok := t.clients[key]
	if !ok {
		id = uint32(len(t.clients))
		t.clients[key] = id
		if id%chunk == 0 {
			t.stats = append(t.stats, new([chunk]client))
		}
	}
	return &t.stats[id/chunk][id%chunk], id
}
