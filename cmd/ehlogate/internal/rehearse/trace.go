package rehearse

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/nft"
)

// tracing has the kernel tell which rules the first packet of each trial meets.
// It comes before everything else.
const tracing = `table inet ehlogate_rehearsal {
	chain in { type filter hook prerouting priority -1000; tcp dport { 9, 25, 465, 587 } tcp flags syn meta nftrace set 1; }
	chain out { type filter hook output priority -1000; tcp dport { 9, 25, 465, 587 } tcp flags syn meta nftrace set 1; }
}
`

// trace is a running "nft monitor trace".
type trace struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	ports map[string]uint16 // by the trace's id
	met   map[uint16][]met  // by source port
	done  chan struct{}
}

// met is a rule, or the policy of a chain, that a packet met.
type met struct{ chain, text string }

// trace starts it, and returns when it sees what happens.
func (s *scene) trace(ctx context.Context) (*trace, error) {
	t := &trace{ports: map[string]uint16{}, met: map[uint16][]met{}, done: make(chan struct{})}
	var out io.ReadCloser
	err := s.gateway.Do(func() (err error) {
		if _, err := nft.Run(ctx, tracing, "-f", "-"); err != nil {
			return err
		}
		if t.cmd, err = nft.Command(ctx, "monitor", "trace"); err != nil {
			return err
		}
		t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if out, err = t.cmd.StdoutPipe(); err != nil {
			return err
		}
		return t.cmd.Start()
	})
	if err != nil {
		return nil, fmt.Errorf("watching which rules are met: %w", err)
	}
	go func() {
		defer close(t.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			t.line(lines.Text())
		}
	}()
	for i := 0; err == nil && !t.sees(firstKnock); i++ { // it takes a moment until it listens
		if i == 100 {
			err = errors.New("it shows nothing")
		} else {
			err = s.knock(ctx, t, firstKnock, 50*time.Millisecond)
		}
	}
	if err != nil {
		t.stop()
		return nil, fmt.Errorf("nft monitor trace: %w", err)
	}
	return t, nil
}

// Source ports of connections to nobody, which show how far the trace is.
const firstKnock, lastKnock, finalKnock = firstPort - 3, firstPort - 2, firstPort - 1

// knock makes such a connection, and waits for some time until it is in the
// trace: then what came before it is there, too.
func (s *scene) knock(ctx context.Context, t *trace, port uint16, patience time.Duration) error {
	local := net.IPv4(127, 0, 0, 1)
	err := s.gateway.Do(func() error {
		d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: local, Port: int(port)}}
		if c, err := d.DialContext(ctx, "tcp", "127.0.0.1:9"); err == nil {
			c.Close()
		}
		return ctx.Err()
	})
	for end := time.Now().Add(patience); err == nil && !t.sees(port) && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(2 * time.Millisecond): // polls a condition
		}
	}
	return err
}

// sees tells whether a connection is in the trace.
func (t *trace) sees(port uint16) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.met[port]) > 0
}

func (t *trace) stop() {
	t.cmd.Process.Kill()
	<-t.done
	t.cmd.Wait() // it was killed
}

var (
	packetLine = regexp.MustCompile(`^trace id (\S+) \S+ \S+ \S+ packet: .*\btcp sport (\d+) `)
	ruleLine   = regexp.MustCompile(`^trace id (\S+) (\S+ \S+) (\S+) (rule .*|verdict .*|policy .*)$`)
)

// line takes down one line of the output.
func (t *trace) line(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := packetLine.FindStringSubmatch(line); m != nil {
		port, err := strconv.ParseUint(m[2], 10, 16)
		if err == nil {
			t.ports[m[1]] = uint16(port)
		}
		return
	}
	m := ruleLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	if port, ok := t.ports[m[1]]; ok {
		t.met[port] = append(t.met[port], met{m[2] + " " + m[3], m[4]})
	}
}

var (
	elsewhere = regexp.MustCompile(`\b(redirect|dnat|tproxy|queue)\b`) // statements that have a packet go elsewhere (nft(8))
	nowhere   = regexp.MustCompile(`\b(reject|drop)\b`)
	quoted    = regexp.MustCompile(`"[^"]*"`) // comments, and names of interfaces
)

// decided finds the rule by which a connection did not arrive; there need not be
// one.
func (t *trace) decided(port uint16) (rule string, o Outcome) {
	if rule = t.first(port, elsewhere); rule != "" {
		return rule, Caught
	}
	return t.first(port, nowhere), Lost
}

// blocked finds the rule by which a connection that was sent elsewhere did not
// arrive there.
func (t *trace) blocked(port uint16) (rule string) { return t.first(port, nowhere) }

// first is the first rule that a connection met with such a statement.
func (t *trace) first(port uint16, statement *regexp.Regexp) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.met[port] {
		if statement.MatchString(quoted.ReplaceAllString(m.text, "")) {
			text, _, _ := strings.Cut(m.text, " (verdict")
			return m.chain + ": " + strings.TrimSpace(text)
		}
	}
	return ""
}
