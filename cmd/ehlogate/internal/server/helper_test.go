package server

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"ehlogate/lists/test/testenv"
)

// childEnv names the part that a re-executed test binary plays, see child.
const childEnv = "LISTEN_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "owner":
		ownerChild()
	case "shortage":
		shortageChild()
	default:
		goleak.VerifyTestMain(m)
	}
}

// process is the test binary, run once more to play a part. It is told to go on by a line on its standard input, says by a
// line on its standard output how far it has come, and ends when its standard input does.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func child(t *testing.T, part string, args ...string) *process {
	t.Helper()
	cmd := testenv.Self(args...)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	})
	return &process{t, cmd, in, out}
}

func (p *process) line() string {
	p.t.Helper()
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		_, err := p.out.Read(b)
		must(p.t, err)
		if b[0] == '\n' {
			return string(line)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

func echo(_ context.Context, c net.Conn) {
	for buf := make([]byte, 64); ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// running is a server under test, with what its hooks were told.
type running struct {
	*Server
	stop context.CancelFunc
	done chan struct{} // closed when every Serve has returned

	mu     sync.Mutex
	open   int
	faults map[string]int
	err    error // what Serve returned last
}

// serve runs s on the listeners until the test ends.
func serve(t *testing.T, s *Server, lns ...net.Listener) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Server: s, stop: cancel, done: make(chan struct{}), faults: map[string]int{}}
	if s.Log == nil {
		s.Log = quiet()
	}
	s.OnConns = func(delta int) { r.mu.Lock(); r.open += delta; r.mu.Unlock() }
	s.OnFault = func(reason string) { r.mu.Lock(); r.faults[reason]++; r.mu.Unlock() }
	s.once.Do(s.setDefaults) // the test may look inside before Serve gets to run
	var wg sync.WaitGroup
	for _, ln := range lns {
		wg.Go(func() {
			err := s.Serve(ctx, ln)
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
		})
	}
	go func() { wg.Wait(); close(r.done) }()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (r *running) fault(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults[reason]
}

func (r *running) conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// waiting says how many connections that stay are waiting for their clients.
func (r *running) waiting() (n int) {
	r.Server.mu.Lock()
	defer r.Server.mu.Unlock()
	for c := range r.Server.conns {
		if c.closeTimer == nil && c.lastRead.Load() > 0 {
			n++
		}
	}
	return n
}

func local(t *testing.T) net.Listener {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", SocketOptions{})
	must(t, err)
	return ln
}

func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends one request and expects it back.
func ask(c net.Conn, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len(request)))
	return err
}

// expectEnd expects the server to close c without another word.
func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("got %q, %v before the end", b, err)
	}
}

// pipes is a listener without a network, for tests that fake the time. It can be made to fail.
type pipes struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.errs:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial(t *testing.T) net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	t.Cleanup(func() { client.Close() })
	return client
}
