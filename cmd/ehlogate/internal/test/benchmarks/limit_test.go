package benchmarks

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// offerLimit is how often a second unknown clients are offered STARTTLS.
	offerLimit = 200
	// They come ten times as often, and known-good ones as often as the limit.
	unknownRate = 10 * offerLimit
	knownRate   = offerLimit
)

// TestLimit has far more unknown clients come than are offered STARTTLS, at
// random times and in real time. Each of them comes from anywhere among many, so
// that some come again and keep their answer. All is counted from the start of
// the server, when a part of the offers of a second may be made at once.
func TestLimit(t *testing.T) {
	known, unknown := strangers(200, 1), strangers(pick(100_000, 5_000), 1)
	unknown = slices.DeleteFunc(unknown, func(c client) bool { return slices.Contains(known, c) })
	var allow strings.Builder
	for _, c := range known {
		fmt.Fprintln(&allow, c.addr)
	}
	list := filepath.Join(tempDir(t), "allow.list")
	write(t, list, allow.String())
	g := startDaemon(t, fmt.Sprintf(`default = "limit"
[limit]
offers_per_second = %d
[guard]
off = true
[[list]]
name = "allow"
action = "offer"
files = [%q]
`, offerLimit, list), "")

	length := pick(30*time.Second, time.Second)
	const conns = 8
	var out [conns]*visits
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range out {
		v := &visits{r: rand.New(rand.NewPCG(3, uint64(i))), offers: make([]int, length/time.Second+1)}
		out[i] = v
		wg.Go(func() {
			if err := v.startVisits(g.socket("memcache"), begun, length, conns, known, unknown); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	sum := visits{offers: make([]int, len(out[0].offers))}
	for _, v := range out {
		sum.known, sum.knownOffered = sum.known+v.known, sum.knownOffered+v.knownOffered
		sum.unknown, sum.unknownOffered = sum.unknown+v.unknown, sum.unknownOffered+v.unknownOffered
		for second, n := range v.offers {
			sum.offers[second] += n
		}
		sum.late = max(sum.late, v.late)
	}
	for action, n := range map[string]int{"offer": sum.unknownOffered, "suppress": sum.unknown - sum.unknownOffered} {
		if got := counted(t, g, fmt.Sprintf("ehlogate_limit_sessions_total{action=%q}", action)); got != float64(n) {
			t.Errorf("ehlogate counted %v sessions with %s, and there were %d", got, action, n)
		}
	}
	if sum.knownOffered < sum.known {
		t.Errorf("%d of %d sessions of known-good clients were not offered STARTTLS", sum.known-sum.knownOffered, sum.known)
	}

	const group = "limit"
	seconds := length.Seconds()
	whole := sum.offers[:len(sum.offers)-1]
	offered := float64(sum.unknownOffered) / seconds
	addRow(t, row{
		group: group, what: fmt.Sprintf("offers to unknown clients, in %v at ten times the limit", length), unit: "/s", peer: "the limit",
		ours: []float64{offered}, theirs: []float64{offerLimit}, ratios: []float64{offered / offerLimit}, least: 0.95, goal: 1.05,
		note: fmt.Sprintf("%.0f unknown and %.0f known-good sessions/s, late by up to %v; in one second %d to %d offers",
			float64(sum.unknown)/seconds, float64(sum.known)/seconds, sum.late.Round(time.Millisecond), slices.Min(whole), slices.Max(whole)),
	})
	addRow(t, row{
		group: group, what: "known-good clients that were offered STARTTLS meanwhile", unit: "%",
		ours: []float64{100 * float64(sum.knownOffered) / float64(sum.known)}, least: 100,
		note: fmt.Sprintf("%d sessions", sum.known),
	})
	faultless(t, g)
}

// visits are sessions of one connection, and how they were answered.
type visits struct {
	r                       *rand.Rand
	known, knownOffered     int
	unknown, unknownOffered int
	offers                  []int         // to unknown clients, by second
	late                    time.Duration // by which a session came, at most
}

// startVisits plays one of conns parts of all sessions. One that is late because the
// one before took long is played at once.
func (v *visits) startVisits(socket string, begun time.Time, length time.Duration, conns int, known, unknown []client) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(begun.Add(length + stalled)); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	rate := float64(unknownRate+knownRate) / float64(conns)
	for due := time.Duration(0); ; {
		due += time.Duration(v.r.ExpFloat64() / rate * float64(time.Second))
		if due >= length {
			return nil
		}
		time.Sleep(time.Until(begun.Add(due)))
		v.late = max(v.late, time.Since(begun)-due)
		isKnown := v.r.IntN(unknownRate+knownRate) < knownRate
		from := unknown
		if isKnown {
			from = known
		}
		offered, err := isOffered(conn, in, from[v.r.IntN(len(from))])
		if err != nil {
			return err
		}
		switch {
		case isKnown:
			v.known++
			if offered {
				v.knownOffered++
			}
		case offered:
			v.unknownOffered++
			v.offers[min(int(time.Since(begun)/time.Second), len(v.offers)-1)]++
			fallthrough
		default:
			v.unknown++
		}
	}
}

// isOffered asks about a client by memcache.
func isOffered(conn net.Conn, in *bufio.Reader, c client) (bool, error) {
	if _, err := fmt.Fprintf(conn, "get starttls:%s\r\n", c.addr); err != nil {
		return false, err
	}
	var reply string
	for !strings.HasSuffix(reply, "END\r\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			return false, fmt.Errorf("asking about %s: %q, and then: %w", c.addr, reply, err)
		}
		reply += line
	}
	switch reply {
	case "END\r\n":
		return true, nil
	case fmt.Sprintf("VALUE starttls:%s 0 8\r\nstarttls\r\nEND\r\n", c.addr):
		return false, nil
	}
	return false, fmt.Errorf("asking about %s: answered %q", c.addr, reply)
}
