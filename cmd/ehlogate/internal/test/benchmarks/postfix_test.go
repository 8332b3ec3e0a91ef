package benchmarks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// clients is how many sessions there are at a time.
const clients = 4

// postfix is one instance with a smtpd for each way to answer EHLO: "daemon" and "echo" ask a memcache map, "plain" asks no map.
type postfix struct {
	*mtatest.Postfix
	daemon          *daemon
	echo            *mtatest.Daemon
	offered, hidden []string // the reply to EHLO, with STARTTLS and without
}

func newPostfix(t *testing.T) *postfix {
	t.Helper()
	list := listtest.Format(listtest.Mixed(pick(1_000_000, 2_000)))
	for i := 0; i < 200; i += 2 {
		list += source(i) + "\n"
	}
	echo := filepath.Join(tempDir(t), "echo.sock")
	g := startDaemon(t, "", list)
	// As in examples/postfix/ehlogate.cf.
	memcacheCF := func(socket string) string {
		return "memcache = unix:" + socket + "\nkey_format = starttls:%s\nmax_try = 1\ntimeout = 1\nbackup = cidr:/dev/null\n"
	}
	p := &postfix{daemon: g, echo: startPeer(t, "postfix-memcache-echo", echo)}
	p.start(t, map[string]string{"daemon.cf": memcacheCF(g.socket("memcache")), "echo.cf": memcacheCF(echo)}, func(etc string) []mtatest.Service {
		asks := func(name string) mtatest.Service {
			return mtatest.Service{Name: name, Options: map[string]string{
				"smtpd_discard_ehlo_keyword_address_maps": "memcache:" + etc + "/" + name + ".cf",
			}}
		}
		return []mtatest.Service{asks("daemon"), asks("echo"), {Name: "plain"}}
	})
	return p
}

// start starts Postfix with the services that there are for its configuration directory, "plain" among them, and more files
// there.
func (p *postfix) start(t *testing.T, files map[string]string, servicesOf func(etc string) []mtatest.Service) {
	t.Helper()
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	services := servicesOf(etc)
	files["rsa.pem"] = rsaCert(t)
	var err error
	p.Postfix, err = mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir:      dir,
		Services: services,
		// No process ends within a round, none waits for the sake of the disk, and anvil counts our clients as it does
		// those from outside: Postfix would spare it its own network, and clients that may send XCLIENT.
		Main: `max_use = 1000000
max_idle = 3600s
in_flow_delay = 0
virtual_destination_concurrency_limit = 2
smtpd_client_connection_count_limit = 50
smtpd_client_event_limit_exceptions =
smtpd_authorized_xclient_hosts =
smtpd_tls_cert_file = ` + etc + `/rsa.pem
smtpd_tls_key_file = ` + etc + "/rsa.pem\n",
		Files: files,
	})
	if err != nil {
		t.Fatal(err)
	}
	startPostfix(t, p.Postfix)
	r, err := mtatest.Session(soon(t), p.Addr("plain"), source(1), "client.example")
	if err != nil || !r.Reply.Offers("STARTTLS") {
		t.Fatalf("without a map: %v, %v", r.Reply, err)
	}
	p.offered = r.Reply.Text
	p.hidden = slices.DeleteFunc(slices.Clone(p.offered), func(s string) bool { return s == "STARTTLS" })
	for _, service := range services {
		p.populate(t, service.Name)
	}
}

// populate has the master start more smtpd for a service than a round needs, as many for each service.
func (p *postfix) populate(t *testing.T, service string) {
	t.Helper()
	var arrived, done sync.WaitGroup
	arrived.Add(clients + 2)
	for i := range clients + 2 {
		done.Go(func() {
			here := sync.OnceFunc(arrived.Done)
			defer here()
			// All stay until all have their smtpd.
			if err := playSessions(soon(t), p.Addr(service), source(i), func(*mtatest.SMTP) error { here(); arrived.Wait(); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// played is a side that also knows which process used the CPU.
type played struct {
	side
	parts    map[string]float64 // CPU seconds by the name of the process, of all rounds
	sessions int                // of all rounds
}

// newSide plays n sessions a round. The figure is the CPU time of a session, in microseconds: that of all processes of Postfix
// and, unless it is 0, of the one that its map asks.
func (p *postfix) newSide(t *testing.T, name string, n, asked int, session one) *played {
	s := &played{parts: map[string]float64{}}
	s.side = side{name, func() float64 {
		for range 10 {
			before := p.cpuTimes(t, asked)
			tally := mtatest.Load(context.Background(), n, clients, func(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
				if err := session(ctx, i); err != nil {
					return mtatest.Wrong, 0, err
				}
				return mtatest.Right, 0, nil
			})
			if tally.Right != n {
				t.Fatalf("%s: %d of %d sessions were right: %s", name, tally.Right, n, strings.Join(tally.Errors, "\n"))
			}
			after := p.cpuTimes(t, asked)
			if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
				continue // what a process used that has come or gone is not known
			}
			sum := 0.0
			for pid, used := range after {
				program := commandName(pid)
				if pid == asked {
					program = "the map"
				}
				s.parts[program] += used - before[pid]
				sum += used - before[pid]
			}
			s.sessions += n
			return sum * 1e6 / float64(n)
		}
		t.Fatalf("%s: the processes of Postfix change all the time", name)
		return 0
	}}
	return s
}

// split is what the CPU time of a session is made of on average, most first.
func (s *played) split() string {
	names := slices.SortedFunc(maps.Keys(s.parts), func(a, b string) int { return cmp.Compare(s.parts[b], s.parts[a]) })
	var parts []string
	for _, name := range names {
		if part := s.parts[name] * 1e6 / float64(s.sessions); part >= 1 {
			parts = append(parts, fmt.Sprintf("%s %.0f", name, part))
		}
	}
	return s.name + ": " + strings.Join(parts, ", ")
}

// cpuTimes tells the CPU time of each process so far, once there is nothing left to do: no mail waits, and no daemon runs.
func (p *postfix) cpuTimes(t *testing.T, asked int) map[int]float64 {
	t.Helper()
	var last map[int]float64
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		pids, err := p.Pids()
		if err != nil {
			t.Fatal(err)
		}
		if asked != 0 {
			pids = append(pids, asked)
		}
		now := map[int]float64{}
		for _, pid := range pids {
			now[pid] = cpuTime(t, pid)
		}
		waiting := 0
		for _, queue := range []string{"incoming", "active"} {
			files, err := os.ReadDir(filepath.Join(p.Queue, queue))
			if err != nil {
				t.Fatal(err)
			}
			waiting += len(files)
		}
		if waiting == 0 && maps.Equal(now, last) {
			return now
		}
		last = now
	}
	t.Fatal("Postfix does not come to rest")
	return nil
}

// compare is the function of that name, and logs what the figures are made of.
func (p *postfix) compare(t *testing.T, what string, goal float64, rounds int, ours, peer *played) {
	t.Helper()
	compare(t, "Postfix", what, "µs CPU", goal, pick(rounds, 1), ours.side, peer.side)
	t.Logf("%s\n%s", ours.split(), peer.split())
}

// TestPostfix compares many short rounds: others on the machine disturb two of them less that follow each other closely, and
// the median of many ratios holds still. ehlogate rests while the other side has its turn, so its log has a line for most of
// the suppressed sessions, as on a server that has fewer than 200 of them a second.
func TestPostfix(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	p := newPostfix(t)
	asking := func(n int) (ours, floor *played) {
		return p.newSide(t, "ehlogate", n, p.daemon.Pid(), p.short("daemon")), p.newSide(t, "an echo", n, p.echo.Pid(), p.short("echo"))
	}
	n := pick(200, 10)
	const short = "EHLO and QUIT, half suppressed, by a million entries"
	ours, floor := asking(n)
	p.compare(t, short, 1.05, 61, ours, floor)
	if full {
		_, one := asking(n)
		_, other := asking(n)
		p.compare(t, "noise: the echo, against itself", 0, 31, one, other)
	}
	ours, _ = asking(n)
	p.compare(t, short, 0, 31, ours, p.newSide(t, "no map", n, 0, p.short("plain")))
	const withTLS = "no map, TLS 1.3 and RSA-2048"
	p.compare(t, "EHLO and QUIT, suppressed, by a million entries", 0.25, 31,
		p.newSide(t, "ehlogate", n, p.daemon.Pid(), p.suppressed()), p.newSide(t, withTLS, n, 0, p.encrypted()))
	n = pick(100, 4)
	p.compare(t, "a message, suppressed, by a million entries", 0, 9,
		p.newSide(t, "ehlogate", n, p.daemon.Pid(), p.suppressed(deliver)), p.newSide(t, withTLS, n, 0, p.encrypted(deliver)))
}

// startPostfix starts a Postfix, which lives as long as the test.
func startPostfix(t *testing.T, p *mtatest.Postfix) {
	t.Helper()
	t.Cleanup(func() {
		if err := p.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Maillog().Tail(30))
		}
	})
	if err := p.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
}
