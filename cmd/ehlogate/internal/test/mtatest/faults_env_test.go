package mtatest_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/stresstest"
)

const (
	// sessionsBefore are played in peace, to compare with.
	sessionsBefore = 1000
	// sessionsDuring are played through each fault, at least; fewer where no table is made of it (pick).
	sessionsDuring = 5000
	// sessionsAt is how many are played at a time.
	sessionsAt = 8
	// faultEvery is how many sessions are played between one disturbance and the next.
	faultEvery = 250
)

// clientPause is how long a client waits from one session to the next where no table is made of it: without a pause eight
// clients use both processors of a small machine, and what waits for a timeout costs as much as what does something.
const clientPause = 10 * time.Millisecond

// mostConns is how many connections each socket of ehlogate has here.
var mostConns = pick(1000, 200)

// nobody is the user that ehlogate runs as here: files that this user may not read cannot be read.
const nobody = 65534

// env is a Postfix with smtpds that ask one ehlogate, which is kept running as systemd does.
type env struct {
	*mtatest.Postfix
	*mtatest.Holder
	dir    string            // config and lists
	at     map[string]string // where it listens itself, by protocol
	table  *faultTable
	denied func(last int, from, to time.Time) (yes, no bool) // what the lists may say between two points in time
	others []farClient                                       // each plays every eighth session
}

// The smtpds of a env. Postfix is never told that anything has happened to ehlogate.
const (
	own       = "memcache"                                  // on a socket that ehlogate opens itself
	held      = "memcache, inherited socket"                // on one that outlives it
	socketmap = "socketmap, inherited socket"               // likewise, and there is no backup
	both      = "memcache and socketmap, inherited sockets" // in turn
)

// fault is one row: something that is done again and again while sessions are played.
type fault struct {
	name    string
	through string
	// do does it and, where it must be undone, undoes it. Sessions are played all the time.
	do func(ctx context.Context, r *env) error
	// backup: the map's backup may answer, while no process does.
	backup bool
	// every is how many sessions are played between one time and the next, by default faultEvery.
	every int64
}

// playBesideOthers lets a test run beside others, unless a table is made of it.
func playBesideOthers(t *testing.T) {
	if !full {
		t.Parallel()
	}
}

// newEnv starts both. config is the text of the config but for [listen], files are lists; tune changes the holder before
// it starts.
func newEnv(t *testing.T, table *faultTable, config string, files map[string]string, tune func(*mtatest.Holder)) *env {
	t.Helper()
	ports, err := mtatest.FreePorts(len(stresstest.Protocols))
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	r := &env{table: table, at: map[string]string{}}
	listen := fmt.Sprintf("[listen]\nmax_connections = %d\n", mostConns)
	for i, protocol := range stresstest.Protocols {
		r.at[protocol] = fmt.Sprintf("127.0.0.1:%d", ports[i])
		listen += fmt.Sprintf("%s = [%q]\n", protocol, r.at[protocol])
	}
	r.denied = func(last int, _, _ time.Time) (yes, no bool) { return last%2 == 0, last%2 != 0 }
	r.Holder, r.dir = newHolder(t, "explicit_offer = true\n"+config+listen, files)
	r.User, r.Watchdog = nobody, 5*time.Second
	if tune != nil {
		tune(r.Holder)
	}
	listenFor(t, r.Holder, "memcache", filepath.Join(r.dir, "memcache"))
	listenFor(t, r.Holder, "socketmap", filepath.Join(r.dir, "socketmap"))
	listenFor(t, r.Holder, "http", r.at["http"])
	if err := r.Holder.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	service := func(name, table string) mtatest.Service {
		return mtatest.Service{Name: name, Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": table}}
	}
	backup := "cidr:" + etc + "/backup.cidr"
	r.Postfix = startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Services: []mtatest.Service{
			service("own", "memcache:"+etc+"/own.cf"), service("held", "memcache:"+etc+"/held.cf"),
			service("socketmap", "socketmap:unix:"+r.dir+"/socketmap:starttls"),
		},
		Files: map[string]string{
			"own.cf":      memcacheCF("inet:"+r.at["memcache"], "starttls:%s", 1, backup),
			"held.cf":     memcacheCF("unix:"+r.dir+"/memcache", "starttls:%s", 1, backup),
			"backup.cidr": "0.0.0.0/0 dsn\n",
		},
	})
	return r
}

// session plays session i: from one of 200 addresses, of which the lists deny the even ones. It is right if the lists
// answered, or the backup while no process did.
func (r *env) session(ctx context.Context, i int, f *fault) (mtatest.Verdict, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	service := map[string]string{own: "own", held: "held", socketmap: "socketmap", both: []string{"held", "socketmap"}[i%2]}[f.through]
	last := 10 + i/2%200
	client := netip.AddrFrom4([4]byte{127, 0, 0, byte(last)})
	denied := func(from, to time.Time) (yes, no bool) { return r.denied(last, from, to) }
	if n := i / 2 % 8; n < len(r.others) {
		client, denied = r.others[n].addr, r.others[n].denied
	}
	from := time.Now()
	got, err := playClient(ctx, r.Addr(service), client)
	to := time.Now()
	if err != nil {
		return mtatest.Unanswered, 0, fmt.Errorf("%s: %w", service, err)
	}
	yes, no := denied(from, to)
	verdict := mtatest.Wrong
	for denied, may := range map[bool]bool{true: yes, false: no} {
		if v := judge(got.Reply, denied, true); may && v != mtatest.Wrong {
			verdict = v
		}
	}
	isLate := to.Sub(from) >= mapTimeout
	if verdict == mtatest.Backup && !isLate && !(f.backup && r.Outage(from.Add(-outageSlack), to)) {
		verdict = mtatest.Wrong
	}
	if verdict == mtatest.Wrong {
		err = fmt.Errorf("%s, from %v: %v", service, client, got.Reply)
	}
	return verdict, got.EHLO, err
}

// mapTimeout is how long Postfix waits for an answer before it takes that of the backup. On a busy machine a process may
// not run for so long.
const mapTimeout = time.Second

// outageSlack is how long after its end a process may still be thought to run.
const outageSlack = 100 * time.Millisecond

// playFault plays a row.
func (r *env) playFault(t *testing.T, f fault) {
	t.Helper()
	var played atomic.Int64
	play := func(running context.Context, i int) (mtatest.Verdict, time.Duration, error) {
		defer played.Add(1)
		time.Sleep(pick(0, clientPause))
		return r.session(running, i, &f)
	}
	before := mtatest.Load(context.Background(), pick(sessionsBefore, 100), sessionsAt, play)
	if !inTime(before) {
		t.Fatalf("%s: before it: %+v", f.name, before)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	peak := watchRSS(ctx, r.Holder)
	loading, enough := context.WithCancel(ctx)
	result := make(chan mtatest.Tally)
	played.Store(0)
	go func() { result <- mtatest.Load(loading, 0, sessionsAt, play) }()
	times, err := 0, error(nil)
	for enough := int64(pick(sessionsDuring, 750)); err == nil && played.Load() < enough; {
		if err = f.do(ctx, r); err == nil {
			times++
			err = reach(ctx, &played, played.Load()+cmp.Or(f.every, faultEvery))
		}
	}
	enough()
	during := <-result
	if err != nil {
		t.Fatalf("%s, time %d: %v; until then %+v\n%s", f.name, times+1, err, during, r.Log.Tail(30))
	}
	r.table.add(faultRow{f.name, f.through, times, during, before.P99, peak()})
	if during.Wrong > 0 || during.Unanswered > 0 {
		t.Errorf("%s, %s: want an answer for each session, by the lists, or by the backup while no process answers: %+v", f.name, f.through, during)
	} else if !f.backup && !inTime(during) {
		t.Errorf("%s, %s: want answers within %v, but for one in a hundred: %+v", f.name, f.through, mapTimeout, during)
	}
	after := mtatest.Load(context.Background(), pick(200, 100), sessionsAt, play)
	if !inTime(after) {
		t.Errorf("%s: after it: %+v", f.name, after)
	}
}

// inTime reports whether the lists answered all sessions, but for one in a hundred for which they were too late: a busy machine
// is no fault.
func inTime(t mtatest.Tally) bool { return t.Wrong+t.Unanswered == 0 && t.Backup*100 <= t.Sessions }

// reach waits until so many sessions have been played.
func reach(ctx context.Context, played *atomic.Int64, n int64) error {
	for played.Load() < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// watchRSS looks at how much memory a program takes, whatever its process, until the function that it returns is called;
// that gives the most that was seen, in MiB.
func watchRSS(ctx context.Context, h *mtatest.Holder) (peak func() float64) {
	ctx, cancel := context.WithCancel(ctx)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", h.Pid()), []byte("5"), 0) // forget the peak so far
	result := make(chan float64)
	go func() {
		most := 0.0
		for {
			most = max(most, peakRSS(h.Pid()))
			select {
			case <-ctx.Done():
				result <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() float64 { cancel(); return <-result }
}

// peakRSS gives the largest resident set that a process had, in MiB; 0 if it is gone.
func peakRSS(pid int) (mib float64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// write replaces a file in the config directory, as an editor does.
func (r *env) write(name, text string) error {
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// again waits until another process has taken over.
func (r *env) again(ctx context.Context, signal syscall.Signal) error {
	ready := r.CountStates("READY=1")
	if err := r.Signal(signal); err != nil {
		return err
	}
	return r.AwaitReady(ctx, ready+1)
}

// evenDenied is a list of the even addresses, and of more.
func evenDenied(more ...string) string {
	var b strings.Builder
	for i := 10; i < 210; i += 2 {
		fmt.Fprintf(&b, "127.0.0.%d\n", i)
	}
	return b.String() + strings.Join(slices.Concat(more, []string{""}), "\n")
}
