package policyd

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a protocol that echoes lines, up to 4,000 bytes each.
type lines struct{}

func (lines) MaxRequest() int { return 4000 }

func (lines) Answer(_ context.Context, in, out []byte) (int, []byte, error) {
	i := bytes.IndexByte(in, '\n')
	switch {
	case i < 0:
		return 0, out, nil
	case string(in[:i]) == "quit":
		return i + 1, out, ErrQuit
	case string(in[:i]) == "bad":
		return 0, append(out, "no\n"...), FrameError(FaultMalformed)
	}
	return i + 1, append(out, in[:i+1]...), nil
}

// script is a connection on which the pieces of a dialogue arrive one by one.
type script struct {
	net.Conn
	pieces [][]byte
	out    bytes.Buffer
	writes int

	largest int // write
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *script) Write(b []byte) (int, error) {
	s.writes++
	s.largest = max(s.largest, len(b))
	return s.out.Write(b)
}
func (s *script) SetReadDeadline(time.Time) error { return nil }

func TestServe(t *testing.T) {
	long := strings.Repeat("x", 3998) + "\n"
	for _, tc := range []struct {
		in, out string
		faults  []string
	}{
		{in: "one\ntwo\n", out: "one\ntwo\n"},
		{in: long + long, out: long + long},
		{in: "one\nquit\ntwo\n", out: "one\n"},
		{in: "one\nbad\ntwo\n", out: "one\nno\n", faults: []string{FaultMalformed}},
		{in: "one\ntw", out: "one\n", faults: []string{FaultTruncated}},
		{in: "one\n" + strings.Repeat("x", 4000), out: "one\n", faults: []string{FaultOversize}},
	} {
		for _, size := range []int{1, 100, len(tc.in)} {
			conn := &script{pieces: slices.Collect(slices.Chunk([]byte(tc.in), size))}
			var faults []string
			Serve(t.Context(), conn, lines{}, func(reason string, _ []byte) { faults = append(faults, reason) })
			if conn.out.String() != tc.out || !slices.Equal(faults, tc.faults) {
				t.Errorf("%.20q in pieces of %d: got %.40q, faults %q; want %.40q, %q", tc.in, size, &conn.out, faults, tc.out, tc.faults)
			}
		}
	}
}

// However requests are cut into pieces, the replies and faults are the same, and no more is held than a request.
func FuzzServe(f *testing.F) {
	for _, in := range []string{"one\ntwo\n", "one\nquit\ntwo\n", "bad\n", "half", "\n\x00\n", strings.Repeat("x", 1100) + "\n" + strings.Repeat("y", 3999) + "\n"} {
		f.Add([]byte(in), 7)
	}
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		var outs, faults []string
		for _, size := range []int{max(len(in), 1), 1, max(size, 1)} {
			conn := &script{pieces: slices.Collect(slices.Chunk(bytes.Clone(in), size))}
			fault := ""
			Serve(t.Context(), conn, lines{}, func(reason string, about []byte) {
				if fault = reason; len(about) > (lines{}).MaxRequest() {
					t.Errorf("%d bytes are held", len(about))
				}
			})
			outs, faults = append(outs, conn.out.String()), append(faults, fault)
		}
		for i := range outs {
			if outs[i] != outs[0] || faults[i] != faults[0] {
				t.Fatalf("%.200q, cut in way %d: %.200q, fault %q; whole: %.200q, %q", in, i, outs[i], faults[i], outs[0], faults[0])
			}
		}
	})
}

// The memcache client of Postfix has a timeout for every read.
func TestOneWrite(t *testing.T) {
	conn := &script{pieces: [][]byte{[]byte("one\ntwo\n"), []byte("three\nfo"), []byte("ur\n")}}
	Serve(t.Context(), conn, lines{}, nil)
	if conn.writes != 3 {
		t.Errorf("%d writes for three reads", conn.writes)
	}
}

// serve runs Serve on one end of a pipe and gives the other; faults come
// through the channel, which is closed when Serve returns.
func serve(ctx context.Context) (net.Conn, <-chan string) {
	client, server := net.Pipe()
	faults := make(chan string, 10)
	go func() {
		Serve(ctx, server, lines{}, func(reason string, _ []byte) { faults <- reason })
		server.Close()
		close(faults)
	}()
	return client, faults
}

func exchange(t *testing.T, conn net.Conn, in, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.WriteString(conn, in); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
}

// A connection may be idle for any time, also after a request that came in
// pieces, but a request has to arrive.
func TestFrameTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, faults := serve(t.Context())
		time.Sleep(240 * time.Hour)
		io.WriteString(client, "on")
		time.Sleep(FrameTimeout - time.Second)
		exchange(t, client, "e\n", "one\n")
		time.Sleep(240 * time.Hour)
		exchange(t, client, "two\n", "two\n")
		start := time.Now()
		for range 3 { // each byte is no new lease
			io.WriteString(client, "x")
			time.Sleep(time.Second)
		}
		if f := <-faults; f != FaultTimeout || time.Since(start) != FrameTimeout {
			t.Errorf("got %q after %s", f, time.Since(start))
		}
		client.Close()
	})
}

// A client that does not read its reply is given up.
func TestWriteTimeout(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	server.SetWriteDeadline(time.Unix(1, 0))
	go io.WriteString(client, "one\n")
	var faults []string
	Serve(t.Context(), server, lines{}, func(reason string, _ []byte) { faults = append(faults, reason) })
	if !slices.Equal(faults, []string{FaultTimeout}) {
		t.Errorf("faults %q", faults)
	}
}

// At the end of its context an idle connection that is woken by a deadline
// ends at once, and without a fault.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			Serve(ctx, server, lines{}, func(reason string, _ []byte) { t.Errorf("fault %s", reason) })
			close(done)
		}()
		exchange(t, client, "one\n", "one\n")
		cancel()
		server.SetReadDeadline(time.Unix(1, 0))
		<-done
		client.Close()
	})
}

// chatty answers each byte with 100.
type chatty struct{ lines }

func (chatty) Answer(_ context.Context, _, out []byte) (int, []byte, error) {
	return 1, append(out, bytes.Repeat([]byte("x"), 100)...), nil
}

// However long the replies to short requests, they do not pile up.
func TestRepliesDoNotPileUp(t *testing.T) {
	conn := &script{pieces: [][]byte{bytes.Repeat([]byte("a"), firstBuffer)}}
	Serve(t.Context(), conn, chatty{}, nil)
	if conn.out.Len() != 100*firstBuffer || conn.largest > keepReplies+100 {
		t.Errorf("%d bytes, up to %d in one write", conn.out.Len(), conn.largest)
	}
}
