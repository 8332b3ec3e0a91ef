package benchmarks

import (
	"context"
	"fmt"
	"net"
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

// tabled is a Postfix with a smtpd for each way to have what a list says, "plain" for none, and three postscreens.
type tabled struct {
	*postfix
	list *exported
	dir  string // of the tables
}

// tableKinds are the ways, by the name of the smtpd.
var tableKinds = []struct{ name, format, kind string }{
	{"cidr", "postfix-cidr", "cidr"}, {"lmdb", "postfix-addresses", "lmdb"}, {"cdb", "postfix-addresses", "cdb"}, {"hash", "postfix-addresses", "hash"},
}

func newTabled(t *testing.T, n int) *tabled {
	t.Helper()
	list := listtest.Format(listtest.Hosts(n))
	for i := 0; i < 200; i += 2 {
		list += source(i) + "\n"
	}
	p := &tabled{postfix: &postfix{}, list: exportList(t, list), dir: newPostmap(t).dir}
	p.daemon = p.list.daemon
	const option = "smtpd_discard_ehlo_keyword_address_maps"
	services := []mtatest.Service{{Name: "plain"}}
	for _, k := range tableKinds {
		table := p.list.write(t, p.dir, k.format, k.kind)
		services = append(services, mtatest.Service{Name: k.name, Options: map[string]string{option: table}})
		if k.kind == "cidr" {
			services = append(services, mtatest.Service{Name: "proxy", Options: map[string]string{option: "proxy:" + table}},
				mtatest.Service{Name: "silent", Options: map[string]string{option: p.list.silently(t).write(t, p.dir, "postfix-cidr", "cidr")}})
			flat := p.list.write(t, p.dir, "postfix-cidr-flat", "cidr")
			for name, screened := range map[string]string{"screen": table, "screenflat": flat, "screenplain": ""} {
				services = append(services, mtatest.Service{Name: name, Command: "postscreen", Options: map[string]string{
					"postscreen_discard_ehlo_keyword_address_maps": screened, option: "",
					"postscreen_greet_wait": "1s", "postscreen_pipelining_enable": "yes", "postscreen_pre_queue_limit": "10000",
				}})
			}
		}
	}
	dir := tempDir(t)
	services = append(services, mtatest.Service{Name: "daemon", Options: map[string]string{option: "memcache:" + mtatest.LayoutOf(dir).Config + "/daemon.cf"}})
	var err error
	p.Postfix, err = mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir: dir, Services: services,
		Main: `max_use = 1000000
max_idle = 3600s
default_process_limit = 200
smtpd_client_connection_count_limit = 0
smtpd_authorized_xclient_hosts =
proxy_read_maps = proxy:cidr:` + p.dir + "/ehlogate-postfix-cidr-cidr\n",
		Files: map[string]string{"daemon.cf": "memcache = unix:" + p.daemon.socket("memcache") + "\nkey_format = starttls:%s\nmax_try = 1\ntimeout = 1\nbackup = cidr:/dev/null\n"},
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
	return p
}

// silently is the same list, with a config by which smtpd does not log what it hides.
func (e *exported) silently(t *testing.T) *exported {
	t.Helper()
	text, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	silent := *e
	silent.config = filepath.Join(e.dir, "silent.toml")
	write(t, silent.config, "always_hide = [\"silent-discard\"]\n"+string(text))
	return &silent
}

// TestTableSessions compares what a session of a real Postfix costs with each kind of table, the memory of its processes, and
// the time until a change of the list takes effect.
func TestTableSessions(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	n := pick(120_000, 2_000)
	p := newTabled(t, n)
	group := fmt.Sprintf("Postfix, %d addresses", n)
	for _, name := range []string{"plain", "cidr", "silent", "daemon", "lmdb"} {
		p.populate(t, name)
	}
	sessions := pick(200, 10)
	side := func(name, service string, asked int) *played {
		return p.newSide(t, name, sessions, asked, p.short(service))
	}
	const what = "EHLO and QUIT, half suppressed: "
	p.compare(t, what+"postfix-cidr", 1.05, 31, side("postfix-cidr", "cidr", 0), side("no map", "plain", 0))
	p.compare(t, what+"postfix-cidr, always_hide = [\"silent-discard\"]", 1.05, 31, side("postfix-cidr", "silent", 0), side("no map", "plain", 0))
	p.compare(t, "EHLO and QUIT, none suppressed: postfix-cidr", 1.05, 31, p.newSide(t, "postfix-cidr", sessions, 0, p.unlisted("cidr")),
		p.newSide(t, "no map", sessions, 0, p.unlisted("plain")))
	p.compare(t, what+"lmdb", 0, 31, side("lmdb", "lmdb", 0), side("no map", "plain", 0))
	p.compare(t, what+"postfix-cidr", 0, 31, side("postfix-cidr", "cidr", 0), side("the daemon, memcache over a unix socket", "daemon", p.daemon.Pid()))
	// Not before: a session takes more where there are more processes.
	p.measureMemory(t, group, pick(100, clients+2))
	p.measureEffect(t, group)
}

// measureMemory has Postfix start so many smtpd for each kind of table, and adds up what they take of the memory: pages that
// several processes share count once.
func (p *tabled) measureMemory(t *testing.T, group string, processes int) {
	t.Helper()
	var none float64
	for _, name := range []string{"plain", "cidr", "lmdb", "cdb", "hash", "proxy", "daemon"} {
		var clients []*mtatest.SMTP
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // each smtpd reads the table first
		for i := range processes {
			c, err := mtatest.Dial(ctx, p.Addr(name), source(i))
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		for i, c := range clients {
			if _, err := c.Banner(); err != nil {
				t.Fatal(err)
			}
			if err := ehlo(map[bool][]string{true: p.hidden, false: p.offered}[i%2 == 0 && name != "plain"])(c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		pids := p.serving(t, "smtpd", name)
		if len(pids) != processes {
			t.Fatalf("%d smtpd for %d clients of %s", len(pids), processes, name)
		}
		switch name {
		case "proxy":
			pids = append(pids, p.serving(t, "proxymap", "")...)
		case "daemon":
			pids = append(pids, p.daemon.Pid())
		}
		sum := 0.0
		for _, pid := range pids {
			sum += proportionalSet(t, pid)
		}
		for _, c := range clients {
			c.Close()
		}
		cancel()
		if name == "plain" {
			none = sum
		}
		addRow(t, row{group: group, what: fmt.Sprintf("memory of %d smtpd, and of what they ask: %s", processes, name), unit: "MiB", peer: "no map",
			ours: []float64{sum}, theirs: []float64{none}, ratios: []float64{sum / none}})
	}
}

// proportionalSet returns the memory of a process in MiB: of pages that n processes share, the nth part.
func proportionalSet(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Fatalf("no Pss of process %d", pid)
	return 0
}

// measureEffect edits the list, does what each kind of table needs, and waits for the first session that sees it.
func (p *tabled) measureEffect(t *testing.T, group string) {
	t.Helper()
	for i, k := range append(slices.Clone(tableKinds[:3]), struct{ name, format, kind string }{name: "daemon"}) {
		client := fmt.Sprintf("127.0.3.%d", 1+i)
		f, err := os.OpenFile(p.daemon.list, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(f, client)
		f.Close()
		begun := time.Now()
		if k.kind != "" {
			p.list.write(t, p.dir, k.format, k.kind)
		}
		if k.kind == "cidr" {
			if err := p.Reload(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		err = testenv.Await(soon(t), func() (bool, error) {
			r, err := mtatest.Session(soon(t), p.Addr(k.name), client, "client.example")
			return err == nil && !r.Reply.Offers("STARTTLS"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		single(t, group, "from the edit of a list to the first session that sees it: "+k.name, "ms", float64(time.Since(begun).Milliseconds()), 0, "")
	}
}

// TestTablePostscreen plays 1,000 connections a second, which each say EHLO to postscreen itself, for ten seconds.
func TestTablePostscreen(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	n := pick(1_000_000, 2_000)
	p, group := newTabled(t, n), fmt.Sprintf("postscreen, %d addresses", n)
	seconds, rate := pick(10, 1), pick(1000, 20)
	floor, ours := p.flood(t, "screenplain", seconds*rate, rate), p.flood(t, "screen", seconds*rate, rate)
	addFlood(t, group, seconds, rate, "postfix-cidr", ours, "no map", floor)
	// A flat table cannot answer so many.
	seconds, rate = pick(5, 1), 20
	ours, flat := p.flood(t, "screen", seconds*rate, rate), p.flood(t, "screenflat", seconds*rate, rate)
	addFlood(t, group, seconds, rate, "postfix-cidr-flat", flat, "postfix-cidr", ours)
}

// addFlood adds the rows about two floods.
func addFlood(t *testing.T, group string, seconds, rate int, table string, ours floodResult, peer string, theirs floodResult) {
	t.Helper()
	for _, r := range []struct {
		what, unit   string
		ours, theirs float64
	}{
		{"sessions with EHLO answered", "/s", ours.answered() / float64(seconds), theirs.answered() / float64(seconds)},
		{"reply to EHLO, median", "ms", ours.percentile(50), theirs.percentile(50)},
		{"reply to EHLO, p99", "ms", ours.percentile(99), theirs.percentile(99)},
		{"a session with EHLO", "µs CPU", ours.cpu * 1e6 / ours.answered(), theirs.cpu * 1e6 / theirs.answered()},
	} {
		addRow(t, row{group: group, what: fmt.Sprintf("%s, of %d a second, %s", r.what, rate, table), unit: r.unit, peer: peer,
			ours: []float64{r.ours}, theirs: []float64{r.theirs}, ratios: []float64{r.ours / r.theirs}})
	}
}

// floodResult is what came of a flood: how long the replies to EHLO took, in order, and the CPU seconds of postscreen.
type floodResult struct {
	latencies []time.Duration
	cpu       float64
}

func (f floodResult) answered() float64 { return float64(len(f.latencies)) }

// percentile returns milliseconds.
func (f floodResult) percentile(n int) float64 {
	return float64(f.latencies[len(f.latencies)*n/100].Microseconds()) / 1000
}

// flood starts n sessions, so many in a second.
func (p *tabled) flood(t *testing.T, service string, n, rate int) (f floodResult) {
	t.Helper()
	if _, err := p.screened(t, service, 0); err != nil { // the first one starts it
		t.Fatal(err)
	}
	screens := p.serving(t, "postscreen", service)
	if len(screens) != 1 {
		t.Fatalf("%d processes serve %s", len(screens), service)
	}
	before := cpuTime(t, screens[0])
	var mu sync.Mutex
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range n {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		wg.Go(func() {
			took, err := p.screened(t, service, i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil { // else it was not answered in time
				f.latencies = append(f.latencies, took)
			}
		})
	}
	wg.Wait()
	if len(f.latencies) == 0 {
		t.Errorf("%s answered none of %d clients", service, n)
	}
	if t.Failed() {
		t.FailNow()
	}
	f.cpu = cpuTime(t, screens[0]) - before
	slices.Sort(f.latencies)
	return f
}

// screened plays a session, and returns how long the reply to EHLO took.
func (p *tabled) screened(t *testing.T, service string, i int) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := mtatest.Dial(ctx, p.Addr(service), source(i))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Banner(); err != nil {
		return 0, err
	}
	begun := time.Now()
	r, err := c.EHLO("client.example")
	took = time.Since(begun)
	if err == nil && r.Offers("STARTTLS") != (service == "screenplain" || i%2 == 1) {
		t.Errorf("client %d of %s: %v", i, service, r)
	}
	return took, err
}

// serving returns the processes of a daemon that serve a port; all of them if the name of the service is empty.
func (p *tabled) serving(t *testing.T, command, service string) (serving []int) {
	t.Helper()
	pids, err := p.Pids()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if commandName(pid) != command {
			continue
		}
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		if service != "" {
			_, port, _ := net.SplitHostPort(p.Addr(service))
			if !slices.Contains(strings.Split(string(args), "\x00"), port) {
				continue
			}
		}
		serving = append(serving, pid)
	}
	return serving
}
