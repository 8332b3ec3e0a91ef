package rehearse

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
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

// ready is the source port of connections that are made until the first is seen.
const ready = firstPort - 1

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
	knock := Trial{From: netip.MustParseAddr("127.0.0.1"), To: netip.MustParseAddrPort("127.0.0.1:9"), source: s.gateway, port: ready}
	err = t.await(ctx, 5*time.Second, func() bool {
		if len(t.met[ready]) > 0 {
			return true
		}
		t.mu.Unlock()
		defer t.mu.Lock()
		_ = s.gateway.Do(func() error {
			d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(knock.From, ready))}
			c, err := d.DialContext(ctx, "tcp", knock.To.String())
			if err == nil {
				c.Close()
			}
			return nil // nobody is there
		})
		return false
	})
	if err != nil {
		t.stop()
		return nil, fmt.Errorf("nft monitor trace shows nothing: %w", err)
	}
	return t, nil
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

// await waits, for some time, until something was seen.
func (t *trace) await(ctx context.Context, d time.Duration, seen func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		t.mu.Lock()
		ok := seen()
		t.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

var (
	elsewhere = regexp.MustCompile(`\b(redirect|dnat|tproxy|queue)\b`) // statements that have a packet go elsewhere (nft(8))
	nowhere   = regexp.MustCompile(`\b(reject|drop)\b`)
	quoted    = regexp.MustCompile(`"[^"]*"`) // comments, and names of interfaces
)

// decided finds the rule by which a connection did not arrive.
func (t *trace) decided(ctx context.Context, port uint16) (rule string, o Outcome) {
	find := func(re *regexp.Regexp) string {
		for _, m := range t.met[port] {
			if re.MatchString(quoted.ReplaceAllString(m.text, "")) {
				text, _, _ := strings.Cut(m.text, " (verdict")
				return m.chain + ": " + strings.TrimSpace(text)
			}
		}
		return ""
	}
	_ = t.await(ctx, patience, func() bool { // there need not be such a rule
		if rule = find(elsewhere); rule != "" {
			o = Caught
		} else if rule = find(nowhere); rule != "" {
			o = Lost
		}
		return rule != ""
	})
	if rule == "" {
		return "", Lost
	}
	return rule, o
}
