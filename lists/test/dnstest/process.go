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
)

const (
	unpacked = "/var/cache/ehlogate-test" // where .ci/deps puts programs
	patience = 20 * time.Second           // for what takes a moment
	every    = 5 * time.Millisecond       // while waiting
)

// process is a DNS server that is a program. Its methods are for one goroutine
// at a time.
type process struct {
	Addr netip.AddrPort // where it answers, by UDP; unbound by TCP too

	name  string // below unpacked, and of the program
	dir   string // its own, which every user may read
	args  func() []string
	ready func() error // nil: it is this very process that answers

	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// newProcess prepares a program that lasts no longer than the test.
func newProcess(t testing.TB, name string) *process {
	t.Helper()
	p := &process{name: name}
	if _, err := os.Stat(p.path()); err != nil {
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
			t.Logf("%s said:\n%s", name, p.Log())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *process) path() string { return filepath.Join(unpacked, p.name, "usr/sbin", p.name) }

func (p *process) file(name string) string { return filepath.Join(p.dir, name) }

// write replaces a file whole.
func (p *process) write(t testing.TB, name, text string) {
	t.Helper()
	err := os.WriteFile(p.file(name+".new"), []byte(text), 0o644)
	if err == nil {
		err = os.Rename(p.file(name+".new"), p.file(name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// first starts the program on a free port.
func (p *process) first(t testing.TB) {
	t.Helper()
	p.start(t, func() {
		pc, l := listen(t)
		p.Addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
		pc.Close()
		l.Close()
	})
}

// Start starts the program again, where it was before, after Stop. It returns
// when the program answers.
func (p *process) Start(t testing.TB) {
	t.Helper()
	p.start(t, func() {})
}

// start tries more than once, because somebody else may take the port.
func (p *process) start(t testing.TB, place func()) {
	t.Helper()
	if p.cmd != nil {
		t.Fatalf("%s runs already", p.name)
	}
	for end := time.Now().Add(patience); ; time.Sleep(every) {
		place()
		err := p.try(end)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("starting %s: %v\n%s", p.name, err, p.Log())
		}
	}
}

func (p *process) try(end time.Time) error {
	log, err := os.OpenFile(p.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path(), p.args()...)
	cmd.Stdout, cmd.Stderr = log, log
	// The libraries that were unpacked with it.
	libs, _ := filepath.Glob(filepath.Join(unpacked, p.name, "usr/lib/*-linux-gnu"))
	more, _ := filepath.Glob(filepath.Join(unpacked, p.name, "lib/*-linux-gnu"))
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
		case <-time.After(every):
		}
		if time.Now().After(end) {
			return errors.Join(err, p.stop(syscall.SIGKILL))
		}
	}
	return nil
}

// Stop ends the program; what is asked afterwards finds nobody there.
func (p *process) Stop(t testing.TB) {
	t.Helper()
	if err := p.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stopping %s: %v", p.name, err)
	}
}

func (p *process) stop(sig syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	defer func() { p.cmd = nil }()
	p.cmd.Process.Signal(syscall.SIGCONT) // it may have been paused
	p.cmd.Process.Signal(sig)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("it had to be killed %s after %v", patience, sig)
	}
}

// Pause makes the program hang: it keeps its port and says nothing.
func (p *process) Pause(t testing.TB) { t.Helper(); p.signal(t, syscall.SIGSTOP) }

// Resume ends Pause. What was asked meanwhile may be answered late.
func (p *process) Resume(t testing.TB) { t.Helper(); p.signal(t, syscall.SIGCONT) }

func (p *process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if p.cmd == nil {
		t.Fatalf("%s is not running", p.name)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// Pid is the process id, 0 if it is not running.
func (p *process) Pid() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log is what the program said, and its end if it is long.
func (p *process) Log() string {
	text, _ := os.ReadFile(p.file("log"))
	return string(text[max(0, len(text)-10_000):])
}

// says asks for a TXT record at once, and fails unless it says so. A program
// that only we could have told what it says is the one that was started.
func (p *process) says(name, want string) error {
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

// marker is a name that our programs answer for, so that it shows that it is
// them.
const marker = "marker.invalid."

// Upstream is a zone and who answers for it.
type Upstream struct {
	Zone   string
	Addr   netip.AddrPort
	Anchor string // its DS record; empty: the zone is not signed
}

// listen opens the same port of loopback for UDP and TCP.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 50 { // somebody may have the port for TCP only
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
