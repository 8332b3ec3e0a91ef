package benchmarks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

const (
	pressureTarget = 0.4
	// Clients of the flood come again and again, each time from another address, after a pause.
	floodPause = 150 * time.Millisecond
	// goodRate is how many messages a second known-good clients deliver over TLS, whatever the server does.
	goodRate = 10
	// settleTime is how long the limit may take to come to rest; figures are of the time after it.
	settleTime = 5
)

// phases of a side, in seconds.
func floodPhases() (calm, flood, after int) { return pick(5, 1), pick(25, 1), pick(8, 1) }

// moment is a second of a side.
type moment struct {
	pressure   float64 // of the processes of Postfix
	handshakes int     // with unknown clients
	refused    int     // unknown clients that were not offered STARTTLS
	delivered  int     // messages of known-good clients, that began in this second
	latency    float64 // of these, the median, in seconds
	slowest    float64
}

// TestPressure has a flood of unknown clients come to a real Postfix, each of which does a whole TLS handshake if it is offered
// STARTTLS: once with cpu_pressure, and once without a limit. The pressure is that of a cgroup with the processes of Postfix,
// so that what the flood itself costs here is not in it.
func TestPressure(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	p := newFlooded(t)
	calm, flood, after := floodPhases()
	limited := p.playFlood(t, "limited", calm, flood, after) // first: there is no limit yet
	open := p.playFlood(t, "open", calm, flood, after)
	during := func(m []moment) []moment { return m[calm+min(settleTime, flood-1) : calm+flood] }
	add := func(what, unit string, goal float64, of func(moment) float64, note string) {
		figures := func(m []moment) (v []float64) {
			for _, s := range during(m) {
				v = append(v, of(s))
			}
			return v
		}
		ours, theirs := figures(limited), figures(open)
		_, us, _ := quartiles(ours)
		_, them, _ := quartiles(theirs)
		addRow(t, row{group: "limit", what: what, unit: unit, peer: "no limit", ours: ours, theirs: theirs, ratios: []float64{us / max(them, 1e-9)}, goal: goal, note: note})
	}
	sum := 0
	for _, m := range limited {
		sum += m.delivered
	}
	const in = "a flood of handshakes on a real Postfix, by cpu_pressure: "
	add(in+"time to deliver a message of known-good clients", "s", 0.5, func(m moment) float64 { return m.latency }, fmt.Sprintf("%d messages over TLS, all of them delivered", sum))
	add(in+"slowest of a second", "s", 0.5, func(m moment) float64 { return m.slowest }, "")
	add(in+"CPU pressure of Postfix", "%", 0, func(m moment) float64 { return 100 * m.pressure }, fmt.Sprintf("cpu_pressure = %.0f%%", 100*pressureTarget))
	add(in+"handshakes with unknown clients", "/s", 0, func(m moment) float64 { return float64(m.handshakes) }, "")
	table.Lock()
	table.appendix = append(table.appendix, floodTable(open, limited))
	table.Unlock()
	if path := os.Getenv("EHLOGATE_TEST_PLOT"); path != "" {
		write(t, filepath.Join(filepath.Dir(path), "pressure.svg"), floodPlot(open, limited, calm, calm+flood))
	}
	faultless(t, p.daemon)
}

// newGroup makes a cgroup, and returns its directory. A test in small makes its own pressure, which is none.
func newGroup(t *testing.T) string {
	t.Helper()
	if !full {
		return filepath.Dir(mtatest.StartPressure(t, tempDir(t)).File)
	}
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		root = filepath.Join(root, "unified") // beside cgroups of version 1
	}
	dir := filepath.Join(root, fmt.Sprintf("ehlogate-bench-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		testenv.Eventually(t, "the cgroup is empty", func() bool { return os.Remove(dir) == nil })
	})
	return dir
}

// flooded is a Postfix with a service that asks ehlogate, and one that offers STARTTLS to all.
type flooded struct {
	*mtatest.Postfix
	daemon *daemon
	group  string
}

// good is the address from which known-good clients come.
const good = "127.250.0.1"

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	group := newGroup(t)
	allow := filepath.Join(tempDir(t), "allow.list")
	write(t, allow, good+"\n")
	p := &flooded{group: group, daemon: startDaemon(t, fmt.Sprintf(`default = "limit"
[limit]
cpu_pressure = "%.0f%%"
pressure_file = %q
[guard]
off = true
[[list]]
name = "allow"
action = "offer"
files = [%q]
`, 100*pressureTarget, filepath.Join(group, "cpu.pressure"), allow), "")}
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	var err error
	p.Postfix, err = mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir:      dir,
		Services: []mtatest.Service{{Name: "open"}, {Name: "limited", Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": "memcache:" + etc + "/map.cf"}}},
		Main:     "max_idle = 3600s\nin_flow_delay = 0\nsmtpd_tls_cert_file = " + etc + "/rsa.pem\nsmtpd_tls_key_file = " + etc + "/rsa.pem\n",
		Files: map[string]string{"rsa.pem": rsaCertOf(t, pick(4096, 2048)), // large, as many are: a handshake costs five times as much
			"map.cf": "memcache = unix:" + p.daemon.socket("memcache") + "\nkey_format = starttls:%s\nmax_try = 1\ntimeout = 1\nbackup = cidr:/dev/null\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	startPostfix(t, p.Postfix)
	pids, err := p.Pids()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids { // others that the master starts later are in it, too
		write(t, filepath.Join(group, "cgroup.procs"), fmt.Sprint(pid))
	}
	return p
}

// playFlood has known-good clients come to a service, and for a while a flood.
func (p *flooded) playFlood(t *testing.T, service string, calm, flood, after int) []moment {
	t.Helper()
	moments := make([]moment, calm+flood+after)
	begun := time.Now()
	latencies := make([][]float64, len(moments))
	var mu sync.Mutex
	var clients sync.WaitGroup
	playGood := func(due time.Duration) {
		err := playSessions(context.Background(), p.Addr(service), good, sees("STARTTLS"), encrypts, sees("SIZE"), deliver)
		took := (time.Since(begun) - due).Seconds()
		if err != nil {
			t.Errorf("a known-good client: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		second := int(due / time.Second)
		latencies[second] = append(latencies[second], took)
	}
	clients.Go(func() {
		for n := range goodRate * len(moments) {
			due := time.Duration(n) * time.Second / goodRate
			time.Sleep(time.Until(begun.Add(due)))
			clients.Go(func() { playGood(due) })
		}
	})
	var bots *mtatest.Daemon
	waited := p.waited(t)
	for i := range moments {
		switch i {
		case calm:
			bots = p.startBots(t, service)
		case calm + flood:
			if err := bots.Kill(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(begun.Add(time.Duration(i+1) * time.Second)))
		now := p.waited(t)
		moments[i].pressure, waited = min((now-waited).Seconds(), 1), now
	}
	clients.Wait()
	if t.Failed() {
		t.FailNow()
	}
	p.addBots(t, bots, begun, moments)
	for i, v := range latencies {
		slices.Sort(v)
		moments[i].delivered, moments[i].latency, moments[i].slowest = len(v), v[len(v)/2], v[len(v)-1]
	}
	return moments
}

// waited returns for how long processes of Postfix have waited for a processor.
func (p *flooded) waited(t *testing.T) time.Duration {
	t.Helper()
	total, _, err := cpupressure.Measure(filepath.Join(p.group, "cpu.pressure"))
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// sees expects a reply to EHLO that has a keyword.
func sees(keyword string) session {
	return func(c *mtatest.SMTP) error {
		r, err := c.EHLO("client.example")
		if err == nil && !r.Offers(keyword) {
			err = fmt.Errorf("reply to EHLO: %v, expected %s", r, keyword)
		}
		return err
	}
}

// encrypts makes a whole handshake.
func encrypts(c *mtatest.SMTP) error {
	r, state, err := c.STARTTLS()
	if err == nil && (r.Code != 220 || state.DidResume) {
		err = fmt.Errorf("STARTTLS: %v, resumed %t", r, state.DidResume)
	}
	return err
}

func init() { peers["smtp-flood"] = floodSMTP }

// startBots starts the flood, in a process of its own.
func (p *flooded) startBots(t *testing.T, service string) *mtatest.Daemon {
	t.Helper()
	return startPeer(t, "smtp-flood", filepath.Join(tempDir(t), "ready"), p.Addr(service), strconv.Itoa(pick(90, 4)))
}

// floodSMTP is that process, with so many clients at a time. It prints what happened in each second: its time, and how many sessions had a handshake, were not
// offered STARTTLS, and failed.
func floodSMTP(args []string) error {
	var mu sync.Mutex
	var handshakes, refused, failed int
	clients, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for i := range clients {
		go func() {
			for n := 0; ; n++ {
				from := i + n*clients
				shook, err := playBot(args[1], fmt.Sprintf("127.%d.%d.%d", 16+from/250/250%200, from/250%250, 1+from%250))
				mu.Lock()
				switch {
				case err != nil:
					failed++
				case shook:
					handshakes++
				default:
					refused++
				}
				mu.Unlock()
				time.Sleep(floodPause)
			}
		}()
	}
	l, err := listenReady(args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	for now := range time.Tick(time.Second) {
		mu.Lock()
		fmt.Printf("second %d %d %d %d\n", now.UnixMilli(), handshakes, refused, failed)
		handshakes, refused, failed = 0, 0, 0
		mu.Unlock()
	}
	return nil
}

// playBot plays a session with TLS, if that is offered.
func playBot(addr, source string) (shook bool, err error) {
	err = playSessions(context.Background(), addr, source, func(c *mtatest.SMTP) error {
		r, err := c.EHLO("bot.example")
		if err != nil || !r.Offers("STARTTLS") {
			return err
		}
		shook = true
		if _, _, err := c.STARTTLS(); err != nil {
			return err
		}
		_, err = c.EHLO("bot.example")
		return err
	})
	return shook, err
}

// addBots adds what the flood printed.
func (p *flooded) addBots(t *testing.T, bots *mtatest.Daemon, begun time.Time, moments []moment) {
	t.Helper()
	text, err := os.ReadFile(bots.Log.Path())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var at int64
		var handshakes, refused, failed int
		if n, _ := fmt.Sscanf(line, "second %d %d %d %d", &at, &handshakes, &refused, &failed); n < 4 {
			continue
		}
		if i := int(time.UnixMilli(at).Sub(begun)/time.Second) - 1; i >= 0 && i < len(moments) {
			moments[i].handshakes, moments[i].refused = handshakes, refused
		}
	}
}
