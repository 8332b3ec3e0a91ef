package mtatest_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// full: the tables of the documentation are made. Else it is only seen that all of it works.
var full = os.Getenv("EHLOGATE_TEST_TABLE") != ""

func pick[T any](inFull, quick T) T {
	if full {
		return inFull
	}
	return quick
}

// dnsAtATime is how many sessions a row plays at a time.
func dnsAtATime() int { return pick(16, 4) }

// class is what the zones say of a client.
type class int

const (
	good class = iota // the allow zone holds it
	bad               // the deny zone does
	none
	classes
)

// client gives one of a class. Those that are known were asked about before a fault; the others come once only.
func (c class) client(known bool, n int) netip.Addr {
	third := n / 250 % 250
	if !known {
		third++
	}
	return netip.AddrFrom4([4]byte{11, byte(1 + c), byte(third), byte(1 + n%250)})
}

// phase is how it stands with a fault.
type phase int

const (
	healthy phase = iota
	turning       // it begins or ends, and not every part has noticed
	broken        // the breakers are open
)

// may is what a client may be told: that there is STARTTLS, that there is none, or either.
type may func(c class, known bool, p phase) (offer, hide bool)

// asListed is what zones and default say.
func asListed(c class, _ bool, _ phase) (offer, hide bool) { return c == good, c != good }

// allAway: STARTTLS is offered to unknown clients, since an allow list that cannot be asked might hold them. A known client is
// told the same as ever.
func allAway(c class, known bool, p phase) (offer, hide bool) {
	offer, hide = asListed(c, known, p)
	switch {
	case known || p == healthy:
		return offer, hide
	case p == turning:
		return true, hide
	}
	return true, false
}

// allowAway: a client on the deny list is not offered STARTTLS all the same.
func allowAway(c class, known bool, p phase) (offer, hide bool) {
	if c == bad {
		return false, true
	}
	return allAway(c, known, p)
}

// allowLies: what the zone says may be believed until it fails a test; what it said since it passed one is then forgotten.
func allowLies(c class, known bool, p phase) (offer, hide bool) {
	if known && c == none && p != healthy {
		return true, true
	}
	return allowAway(c, known, p)
}

// denyLies: likewise; a deny list that is not asked is skipped.
func denyLies(c class, _ bool, p phase) (offer, hide bool) {
	return c == good, c != good || p == turning
}

// dnsTraffic plays sessions of clients of all classes.
type dnsTraffic struct {
	wire *wire
	addr string // of smtpd
	may  may

	phase  atomic.Int32
	fresh  atomic.Int64 // clients that were not known
	played atomic.Int64
}

// acquainted is how many clients of each class are known.
const acquainted = 20

// session plays session i, of a client that is known, or one that is not, by turns.
func (p *dnsTraffic) session(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
	defer p.played.Add(1)
	c, known := class(i%int(classes)), i/int(classes)%2 == 0
	n := i / (2 * int(classes)) % acquainted
	if !known {
		n = int(p.fresh.Add(1))
	}
	return p.playSession(ctx, c, known, n)
}

func (p *dnsTraffic) playSession(ctx context.Context, c class, known bool, n int) (mtatest.Verdict, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, at := c.client(known, n), phase(p.phase.Load())
	g, err := greet(ctx, p.addr, client)
	if err != nil {
		return mtatest.Unanswered, 0, err
	}
	defer g.Quit()
	if phase(p.phase.Load()) != at {
		at = turning
	}
	offer, hide := p.may(c, known, at)
	if !known && p.wire.delayOf(client.String()) >= dnsWait { // no client waits longer, even if all is well
		offer = true
	}
	offered := g.reply.Offers("STARTTLS")
	switch {
	case offered && !g.reply.Offers("DSN"):
		return mtatest.Backup, g.took, nil
	case offered && offer, !offered && hide:
		return mtatest.Right, g.took, nil
	}
	return mtatest.Wrong, g.took, fmt.Errorf("%v (class %d, known: %v, phase %d): %v", client, c, known, at, g.reply)
}

// acquaint makes those clients known that are to be.
func (p *dnsTraffic) acquaint(t *testing.T) {
	t.Helper()
	ctx := soon(t)
	for i := range acquainted * int(classes) {
		for verdict := mtatest.Wrong; verdict != mtatest.Right; {
			var err error
			if verdict, _, err = p.playSession(ctx, class(i%int(classes)), true, i/int(classes)); verdict == mtatest.Unanswered || ctx.Err() != nil {
				t.Fatalf("while all is well: %v", err)
			}
		}
	}
}

// start plays sessions until stop is called, which gives what came of them.
func (p *dnsTraffic) start() (stop func() mtatest.Tally) {
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan mtatest.Tally, 1)
	go func() { result <- mtatest.Load(ctx, 0, dnsAtATime(), p.session) }()
	return sync.OnceValue(func() mtatest.Tally { cancel(); return <-result })
}

// reach waits until so many more sessions have been played.
func (p *dnsTraffic) reach(t *testing.T, more int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := reach(ctx, &p.played, p.played.Load()+int64(more)); err != nil {
		t.Fatalf("%d sessions were played: %v", p.played.Load(), err)
	}
}
