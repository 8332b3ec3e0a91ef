package mtatest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// flood asks about 50,000 addresses that are new to all servers, in ten seconds. No Postfix can play so many sessions, so they are asked
// about by memcache, as it does, while sessions go on beside.
func (r *dnsEnv) flood(t *testing.T, i int, hang bool) {
	addresses, within := pick(50_000, 1_000), pick(10*time.Second, time.Second)
	s, resolver := newStack(t, false, false)
	g := r.daemon(t, i, resolver, pick("", "max_lookups = 50\n"))
	p := &dnsTraffic{wire: r.wires[i], addr: r.Addr(rowService(i)), may: flooded}
	p.acquaint(t)
	before := mtatest.Load(t.Context(), pick(sessionsBefore, 60), dnsAtATime(), p.session)
	if before.Wrong > 0 || before.Unanswered > 0 {
		t.Fatalf("before it: %+v", before)
	}

	p.phase.Store(int32(turning))
	if hang {
		s.resolver.Pause(t)
	}
	stop := p.start()
	defer stop()
	f := &flood{daemon: g.memcache, n: addresses, every: within / time.Duration(addresses), start: time.Now()}
	over := make(chan error, 1)
	go func() { over <- f.runFlood(pick(1000, 100)) }()
	most := 0 // in flight
	for flying := true; flying; {
		select {
		case err := <-over:
			if flying = false; err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Millisecond):
			most = max(most, g.reputation(t).DNS.InFlight)
		}
	}
	name := fmt.Sprintf("%d new addresses in %.0f s", addresses, time.Since(f.start).Seconds())
	if hang {
		name += ", resolver drops everything"
	}
	during := stop()
	rep := g.reputation(t)
	t.Logf("%s: %d were told what the zones say, at least; at most %d questions in flight of %d, %d refused; %d entries in memory",
		name, f.byZones.Load(), most, rep.DNS.MaxLookups, rep.DNS.Rejected, rep.DNS.Entries)
	if most > rep.DNS.MaxLookups || rep.DNS.Entries > rep.DNS.MaxEntries || hang && rep.DNS.Rejected == 0 {
		t.Errorf("no bounds: at most %d in flight, %+v", most, rep.DNS)
	}
	r.finishRow(t, g, during, before, delay{fault: name, took: f.took, stale: rep.stale()})
	if hang {
		s.resolver.Resume(t)
	}
	g.awaitReputation(t, patience, "nothing in flight", func(r *reputation) bool { return r.DNS.InFlight == 0 })
	g.awaitZones(t, time.Minute, "enabled", denyZone, allowZone)
}

// flooded reports an error unless a new client is answered by the zones, or is unknown.
func flooded(c class, known bool, p phase) (offer, hide bool) {
	offer, hide = asListed(c, known, p)
	return offer || !known && p != healthy, hide
}

// apart is where addresses begin from which no session comes.
const apart = 40_000

// flood asks an ehlogate about addresses, each once, at a rate.
type flood struct {
	daemon string
	n      int
	every  time.Duration
	start  time.Time

	next, byZones atomic.Int64
	mu            sync.Mutex
	took          []time.Duration
}

// runFlood asks on so many connections, so that a slow answer does not delay others.
func (f *flood) runFlood(conns int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { errs[i] = f.sendQuestion(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(f.took) != f.n {
		return fmt.Errorf("%d answers to %d questions", len(f.took), f.n)
	}
	return nil
}

func (f *flood) sendQuestion(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.daemon)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReader(conn)
	for {
		i := int(f.next.Add(1)) - 1
		if i >= f.n {
			return nil
		}
		if wait := time.Until(f.start.Add(time.Duration(i) * f.every)); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c := class(i % int(classes))
		addr := c.client(false, apart+i/int(classes))
		asked := time.Now()
		if _, err := fmt.Fprintf(conn, "get starttls:%v\r\n", addr); err != nil {
			return err
		}
		var said string
		for said = ""; !strings.HasSuffix(said, "END\r\n"); {
			line, err := in.ReadString('\n')
			if err != nil {
				return fmt.Errorf("about %v: %w", addr, err)
			}
			said += line
		}
		took := time.Since(asked)
		offered := strings.Contains(said, "silent-discard")
		if c == good && !offered || offered == strings.Contains(said, "\r\nstarttls\r\n") {
			return fmt.Errorf("about %v: %q", addr, said)
		}
		if c != good && !offered {
			f.byZones.Add(1)
		}
		f.mu.Lock()
		f.took = append(f.took, took)
		f.mu.Unlock()
	}
}
