package mtatest_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"
)

// queue is where the sockets for Postfix are.
const queue = "/var/spool/postfix/ehlogate/"

// query is a question to one of the sockets, and how the answer begins.
type query struct{ addr, question, answer string }

// queries asks each protocol about a client, on the sockets for Postfix and for HTTP.
func queries(client string, suppressed bool) []query {
	value, table := "VALUE starttls:"+client+" 0 8\r\nstarttls", "11:OK starttls,"
	policy := "action=INFO starttls=suppress"
	if !suppressed {
		value, table, policy = "END", "9:NOTFOUND ,", "action=DUNNO"
	}
	key := "starttls " + client
	return []query{
		{queue + "memcache", "get starttls:" + client + "\r\n", value},
		{queue + "socketmap", fmt.Sprintf("%d:%s,", len(key), key), table},
		{queue + "policy", "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=" + client + "\n\n", policy},
		{queue + "milter", "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff", "\x00\x00\x00\x7cO\x00\x00\x00\x06"},
		{"127.0.0.1:10045", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200"},
	}
}

// loopback asks on the sockets of ehlogate-loopback.socket.
func loopback(client string) []query {
	of := queries(client, true)
	for i, port := range []string{"10046", "10041", "10043", "10044"} {
		of[i].addr = "127.0.0.1:" + port
	}
	of[4] = query{"127.0.0.1:10042", "get " + client + "\n", "200 starttls"}
	return of
}

// sendQuestion asks a question; an error tells what went wrong, also with the answer.
func (m machine) sendQuestion(ctx context.Context, q query) error {
	network := "tcp"
	if strings.HasPrefix(q.addr, "/") {
		network = "unix"
	}
	conn, err := m.Dial(ctx, network, q.addr)
	if err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write([]byte(q.question)); err != nil {
		return fmt.Errorf("asking at %s: %w", q.addr, err)
	}
	buf := make([]byte, len(q.answer))
	for n := 0; n < len(buf); {
		more, err := conn.Read(buf[n:])
		if n += more; err != nil || !strings.HasPrefix(q.answer, string(buf[:n])) {
			return fmt.Errorf("%s: answered %q, want %q (%v)", q.addr, buf[:n], q.answer, err)
		}
	}
	return nil
}

// answers asks all questions at once, and wants each answered as it says.
func (m machine) answers(t *testing.T, queries []query) {
	t.Helper()
	var wg sync.WaitGroup
	for _, q := range queries {
		wg.Go(func() {
			if err := m.sendQuestion(soon(t), q); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// knocking connects to sockets in the machine, again and again, until the returned function is called, which tells how often.
// It fails the test if one attempt is refused; that no program answers for a while is fine.
func (m machine) knocking(t *testing.T, addrs ...string) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	counts := make([]int, len(addrs))
	for i, addr := range addrs {
		network := "tcp"
		if strings.HasPrefix(addr, "/") {
			network = "unix"
		}
		wg.Go(func() {
			for ; ctx.Err() == nil; counts[i]++ {
				conn, err := m.Dial(ctx, network, addr)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				conn.Close()
				time.Sleep(5 * time.Millisecond) // the backlog is finite
			}
		})
	}
	stop = sync.OnceValue(func() int {
		cancel()
		wg.Wait()
		n := 0
		for i, count := range counts {
			if count == 0 {
				t.Errorf("no client connected to %s", addrs[i])
			}
			n += count
		}
		return n
	})
	t.Cleanup(func() { stop() })
	return stop
}

// sockets returns the listening sockets in the machine, by address as /proc/net has it: the number of each, which another
// one on the same address would not have.
func (m machine) sockets(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, column := range map[string]struct{ addr, state, number int }{"unix": {7, 3, 6}, "tcp": {1, 3, 9}} {
		text, err := m.Files().ReadFile("proc/1/net/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > max(column.addr, column.number) && (f[column.state] == "00010000" || f[column.state] == "0A") {
				all[f[column.addr]] = f[column.number]
			}
		}
	}
	return all
}

// isOurSocket reports whether a listening socket is one of our units'.
func isOurSocket(addr string) bool {
	return strings.HasPrefix(addr, queue) || addr == "0100007F:273D" // 127.0.0.1:10045
}

// held are those of our units, in the form of sockets.
func (m machine) held(t *testing.T) map[string]string {
	t.Helper()
	all := m.sockets(t)
	maps.DeleteFunc(all, func(addr, _ string) bool { return !isOurSocket(addr) })
	if len(all) != 5 {
		t.Errorf("the sockets of our units: %v", all)
	}
	return all
}
