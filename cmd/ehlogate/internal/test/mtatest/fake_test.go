package mtatest_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a map server that says what a test wants said, also what ehlogate must never say, and remembers what it was asked.
// It speaks memcache and socketmap, each on a port of its own.
type fake struct {
	memcache, socketmap string // host:port

	mu     sync.Mutex
	table  map[string]string          // memcache: key and value
	netstr string                     // socketmap: the reply to everything
	heard  []string                   // the request lines, "set" with its value
	conns  map[net.Conn]chan struct{} // closed when the conversation is over
}

// newFake starts a fake server that lives as long as the test.
func newFake(t *testing.T, table map[string]string, netstr string) *fake {
	f := &fake{table: table, netstr: netstr, conns: map[net.Conn]chan struct{}{}}
	f.memcache = f.listen(t, f.serveMemcache)
	f.socketmap = f.listen(t, f.serveSocketmap)
	return f
}

func (f *fake) listen(t *testing.T, serve func(*bufio.ReadWriter) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			over := make(chan struct{})
			f.mu.Lock()
			f.conns[conn] = over
			f.mu.Unlock()
			wg.Go(func() {
				defer close(over)
				defer conn.Close()
				rw := bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
				for serve(rw) == nil && rw.Flush() == nil {
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.dropConns()
		wg.Wait()
	})
	return l.Addr().String()
}

func (f *fake) serveMemcache(rw *bufio.ReadWriter) error {
	line, err := rw.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	heard := strings.TrimRight(line, "\r\n")
	f.mu.Lock()
	defer f.mu.Unlock()
	switch words[0] {
	case "set":
		value, err := rw.ReadString('\n')
		if err != nil {
			return err
		}
		heard += " " + strings.TrimRight(value, "\r\n")
		fmt.Fprint(rw, "STORED\r\n")
	case "get":
		if value, ok := f.table[words[1]]; ok {
			fmt.Fprintf(rw, "VALUE %s 0 %d\r\n%s\r\n", words[1], len(value), value)
		}
		fmt.Fprint(rw, "END\r\n")
	}
	f.heard = append(f.heard, heard)
	return nil
}

func (f *fake) serveSocketmap(rw *bufio.ReadWriter) error {
	var n int
	if _, err := fmt.Fscanf(rw, "%d:", &n); err != nil {
		return err
	}
	request := make([]byte, n+1)
	if _, err := io.ReadFull(rw, request); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, string(request[:n]))
	fmt.Fprintf(rw, "%d:%s,", len(f.netstr), f.netstr)
	return nil
}

// wasAsked reports whether a request was heard.
func (f *fake) wasAsked(request string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.heard, request)
}

// dropConns closes every connection, as a restart does; new ones are welcome at once.
func (f *fake) dropConns() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		conn.Close()
	}
	clear(f.conns)
}

// leave ends every connection, and returns when the peers have noticed.
func (f *fake) leave(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	conns := maps.Clone(f.conns)
	clear(f.conns)
	f.mu.Unlock()
	for conn, over := range conns {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-over:
		case <-soon(t).Done():
			t.Fatal("a peer keeps a connection that has ended")
		}
	}
}
