package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/test/testenv"
)

const (
	programDir   = "/var/cache/ehlogate-test" // where .ci/deps puts programs
	waitTimeout  = 20 * time.Second           // for what takes a moment
	pollInterval = 5 * time.Millisecond       // while waiting
)

// process is a DNS server that is a program. Its methods are for one goroutine at a time.
type process struct {
	Addr netip.AddrPort // where it answers, by UDP; unbound by TCP too

	name  string // below unpacked, and of the program
	dir   string // its own, which every user may read
	args  func() []string
	ready func() error // returns nil if this very process answers

	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// newProcess prepares a program that ends with the test.
func newProcess(t testing.TB, name string) *process {
	t.Helper()
	testenv.Needs(t, name)
	p := &process{name: name}
	if _, err := os.Stat(p.programPath()); err != nil {
		t.Fatalf("%s is needed (run .ci/deps): %v", name, err)
	}
	// Short, for a socket may lie in it; and not t.TempDir, which only its owner may enter.
	dir, err := os.MkdirTemp("", name)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.dir = dir
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, p.Log())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *process) programPath() string { return filepath.Join(programDir, p.name, "usr/sbin", p.name) }

func (p *process) filePath(name string) string { return filepath.Join(p.dir, name) }

// writeFile replaces a file as a whole.
func (p *process) writeFile(t testing.TB, name, text string) {
	t.Helper()
	err := os.WriteFile(p.filePath(name+".new"), []byte(text), 0o644)
	if err == nil {
		err = os.Rename(p.filePath(name+".new"), p.filePath(name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startOnFreePort starts the program on a free port.
func (p *process) startOnFreePort(t testing.TB) {
	t.Helper()
	p.startOn(t, func() {
		pc, l := listen(t)
		p.Addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
		pc.Close()
		l.Close()
	})
}

// Start starts the program again after Stop, on the same port. It returns when the program answers.
func (p *process) Start(t testing.TB) {
	t.Helper()
	p.startOn(t, func() {})
}

// startOn tries more than once, because another process may take the port.
func (p *process) startOn(t testing.TB, place func()) {
	t.Helper()
	if p.cmd != nil {
		t.Fatalf("%s runs already", p.name)
	}
	for end := time.Now().Add(waitTimeout); ; time.Sleep(pollInterval) {
		place()
		err := p.startOnce(end)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("starting %s: %v\n%s", p.name, err, p.Log())
		}
	}
}

func (p *process) startOnce(end time.Time) error {
	log, err := os.OpenFile(p.filePath("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.programPath(), p.args()...)
	cmd.Stdout, cmd.Stderr = log, log
	// The libraries that were unpacked with it.
	libs, _ := filepath.Glob(filepath.Join(programDir, p.name, "usr/lib/*-linux-gnu"))
	more, _ := filepath.Glob(filepath.Join(programDir, p.name, "lib/*-linux-gnu"))
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(append(libs, more...), ":"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	p.cmd, p.done = cmd, done
	for err = p.ready(); err != nil; err = p.ready() {
		select {
		case <-done:
			p.cmd = nil
			return errors.New(cmd.ProcessState.String())
		case <-time.After(pollInterval):
		}
		if time.Now().After(end) {
			return errors.Join(err, p.terminate(syscall.SIGKILL))
		}
	}
	return nil
}

// Stop ends the program; its port refuses connections then.
func (p *process) Stop(t testing.TB) {
	t.Helper()
	if err := p.terminate(syscall.SIGTERM); err != nil {
		t.Errorf("stopping %s: %v", p.name, err)
	}
}

func (p *process) terminate(sig syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	defer func() { p.cmd = nil }()
	p.cmd.Process.Signal(syscall.SIGCONT) // it may have been paused
	p.cmd.Process.Signal(sig)
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("killed %s after %v", waitTimeout, sig)
	}
}

// Pause makes the program hang: it keeps its port and does not reply.
func (p *process) Pause(t testing.TB) { t.Helper(); p.sendSignal(t, syscall.SIGSTOP) }

// Resume ends Pause. Queries that came meanwhile may be answered late.
func (p *process) Resume(t testing.TB) { t.Helper(); p.sendSignal(t, syscall.SIGCONT) }

func (p *process) sendSignal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if p.cmd == nil {
		t.Fatalf("%s is not running", p.name)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// Pid returns the process id, 0 if the program is not running.
func (p *process) Pid() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log returns the output of the program, or the end of it.
func (p *process) Log() string {
	text, _ := os.ReadFile(p.filePath("log"))
	return string(text[max(0, len(text)-10_000):])
}

// checkMarker fails unless the program serves a TXT record with this text. A program with a text that only this process
// knows is the one that it started.
func (p *process) checkMarker(name, want string) error {
	c := dns.Client{Timeout: 100 * time.Millisecond}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), p.Addr.String())
	if err != nil {
		return err
	}
	for _, rr := range m.Answer {
		if txt, ok := rr.(*dns.TXT); ok && strings.Join(txt.Txt, "") == want {
			return nil
		}
	}
	return fmt.Errorf("no answer with %q yet, but %v", want, m)
}

// markerName is the name of that record.
const markerName = "marker.invalid."

// Upstream is a zone and the server that answers for it.
type Upstream struct {
	Zone   string
	Addr   netip.AddrPort
	Anchor string // its DS record; empty: the zone is not signed
}

// listen opens the same port of loopback for UDP and TCP.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 50 { // another process may have the port for TCP only
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			break
		}
		var l net.Listener
		if l, err = net.Listen("tcp4", pc.LocalAddr().String()); err == nil {
			return pc, l
		}
		pc.Close()
	}
	t.Fatal(err)
	return nil, nil
}
