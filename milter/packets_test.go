package milter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"ehlogate/lists"
)

// cut is what frames are to pass on of a stream of packets, told without a
// buffer or a state.
func splitPackets(in []byte) (out []byte, packets int) {
	for len(in) >= 5 {
		length, code := binary.BigEndian.Uint32(in), in[4]
		if length == 0 || length > maxPacket {
			break
		}
		keep, matters := length, strings.IndexByte("ODCH", code) >= 0
		switch {
		case matters && length > maxText:
			return out, packets
		case !matters:
			keep = min(length, maxKept)
		}
		data := in[4:min(len(in), 4+int(length))]
		have := data[:min(len(data), int(keep))]
		out = append(binary.BigEndian.AppendUint32(out, keep), have...)
		if code == 'D' && bytes.Count(out[len(out)-len(have)-4:], []byte{0}) > maxStrings {
			return out, -1 // ends somewhere within
		}
		packets++
		in = in[4+len(data):]
	}
	return out, packets
}

// pieces is a connection on which a stream arrives as its reader gives it.
type pieces struct {
	replay
	from io.Reader
	said []byte
}

func (p *pieces) Read(b []byte) (int, error) { return p.from.Read(b) }

func (p *pieces) Write(b []byte) (int, error) {
	p.said = append(p.said, b...)
	return len(b), nil
}

// passed reads a stream through frames as go-milter does.
func passed(from io.Reader) (out []byte, fault string) {
	f := &packetConn{Conn: &pieces{from: from}, fault: func(reason string) { fault = reason }}
	out, _ = io.ReadAll(f)
	return out, fault
}

// Whatever arrives, and in whatever pieces: what is passed on is the same
// packets, cut, and none is longer than it may be.
func FuzzFrames(f *testing.F) {
	f.Add(slices.Concat(packet('L', "Subject\x00"+strings.Repeat("x", 5000)+"\x00"), packet('N', ""), packet('H', "mx\x00")))
	f.Add(slices.Concat(packet('D', "C"+strings.Repeat("a\x00", 100)), packet('B', strings.Repeat("x", 2043)), packet('Q', "")))
	f.Add(packet('D', "C"+strings.Repeat("\x00", 300)))
	f.Add(packet('H', strings.Repeat("x", maxText)))
	f.Add(packet('M', strings.Repeat("x", maxText))[:3000])
	f.Add([]byte("\x00\x02\x00\x01L"))
	f.Fuzz(func(t *testing.T, in []byte) {
		want, packets := splitPackets(in)
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in)),
			"halves": iotest.HalfReader(bytes.NewReader(in))} {
			got, fault := passed(r)
			if packets < 0 {
				if !bytes.HasPrefix(want, got) || fault != "oversize" {
					t.Fatalf("%s: too many macros pass, fault %q: %.100q of %.100q", name, fault, got, in)
				}
			} else if !bytes.Equal(got, want) {
				t.Fatalf("%s: %.100q became %.100q, want %.100q", name, in, got, want)
			}
		}
	})
}

// A header is counted and answered, however long it is and wherever the buffer
// ends within it.
func TestLongPackets(t *testing.T) {
	cfg := config
	cfg.AddHeader = true
	in := packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	replies, own := "O", 0
	sizes := []int{1, maxKept - 12, maxKept, readAhead - 30, readAhead, readAhead + 1, 3 * readAhead, 102400, maxPacket - 100}
	var bytewise int // how much of it is sent byte by byte: all but the longest packets, of which that would take a minute
	for _, size := range sizes {
		if size == maxPacket-100 {
			bytewise = len(in)
		}
		value := strings.Repeat("x", size)
		in = slices.Concat(in, packet('L', Header+"\x00"+value+"\x00"), packet('L', value+"\x00y\x00"), packet('B', value), packet('M', value+"\x00"))
		in = slices.Concat(in, packet('L', Header+"\x00"+value+"\x00"), packet('E', ""))
		replies, own = replies+"cccccmhc", own+1
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(in),
		"bytes": io.MultiReader(iotest.OneByteReader(bytes.NewReader(in[:bytewise])), &chunks{bytes.NewReader(in[bytewise:]), 1021}),
	} {
		var rec record
		conn := &pieces{from: r}
		rec.server(cfg).Serve(t.Context(), conn)
		var got []byte
		for said := conn.said; len(said) > 0; {
			got = append(got, said[4])
			said = said[4+binary.BigEndian.Uint32(said):]
		}
		if string(got) != replies || len(rec.faults) > 0 {
			t.Errorf("%s: answered %s, faults %q; want %s", name, got, rec.faults, replies)
		}
	}
}

// chunks reads at most size bytes at a time.
type chunks struct {
	io.Reader
	size int
}

func (c *chunks) Read(p []byte) (int, error) { return c.Reader.Read(p[:min(len(p), c.size)]) }

// What is longer than any mail server sends it ends the connection.
func TestLimits(t *testing.T) {
	macros := func(n int) string { return "C" + strings.Repeat("{m}\x00v\x00", n) }
	for _, tc := range []struct {
		what  string
		in    []byte
		fault string
	}{
		{"a HELO name that fits", packet('H', strings.Repeat("x", maxText-1)), ""},
		{"one that does not", packet('H', strings.Repeat("x", maxText)), "oversize"},
		{"as many macros as Sendmail sends at most", packet('D', macros(50)), ""},
		{"too many macros", packet('D', macros(maxStrings/2+1)), "oversize"},
		{"macros without end, a few at a time", bytes.Repeat(packet('D', macros(100)), 100), ""},
	} {
		if _, fault := passed(bytes.NewReader(tc.in)); fault != tc.fault {
			t.Errorf("%s: fault %q, want %q", tc.what, fault, tc.fault)
		}
	}
}

// What a connection holds does not grow with what it has said: go-milter
// gathers headers, and a short part of a text keeps the whole.
func TestSessionHoldsLittle(t *testing.T) {
	const conns, bound = 20, 64 << 10 // go-milter holds one packet of macros, beside the one that it reads
	held := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	cfg := config
	cfg.AddHeader = true
	var r record
	s := r.server(cfg)
	before := held()
	done := make(chan struct{})
	var clients []net.Conn
	for range conns {
		client, server := net.Pipe()
		clients = append(clients, client)
		go func() { s.Serve(t.Context(), server); done <- struct{}{} }()
		ask := func(in []byte) {
			if _, err := client.Write(in); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
				t.Error(err)
			}
		}
		pad := strings.Repeat("x", maxText-100)
		for i, name := range []string{"client_addr", "_", "client_resolve", "daemon_port", "tls_version", "auth_type", "auth_authen"} {
			client.Write(packet('D', fmt.Sprintf("H{%s}\x00%s\x00", name, pad)))
			ask(packet('H', fmt.Sprint(i, pad)))
		}
		for i := range 2000 {
			ask(packet('L', fmt.Sprintf("X-%d\x00%s\x00", i, pad[:1000])))
		}
		client.Write(packet('D', "M"+strings.Repeat(strings.Repeat("x", 100)+"\x00", maxStrings/2)))
		client.Write(packet('H', pad)[:maxText-200])
	}
	if got := (held() - before) / conns; got > bound {
		t.Errorf("a connection holds %d bytes, more than %d", got, bound)
	} else {
		t.Logf("a connection holds %d bytes", got)
	}
	for _, c := range clients {
		c.Close()
		<-done
	}
}

// The address of the client is read as it stands in the packet, in whatever pieces that arrives, and is gone behind it.
func FuzzConnect(f *testing.F) {
	f.Add("mx.example", "6", "IPv6:2001:db8::1", true)
	f.Add("mx.example", "4", "192.0.2.1", true)
	f.Add("", "L", "/run/smtpd", false)
	f.Add(strings.Repeat("x", readAhead), "6", "::ffff:192.0.2.1%eth0", true)
	f.Add("\x00", "", "", false)
	f.Fuzz(func(t *testing.T, host, family, addr string, ends bool) {
		data := host + "\x00" + family + "\x12\x34" + addr
		if ends {
			data += "\x00"
		}
		host, rest, _ := strings.Cut(data, "\x00")
		var want netip.Addr
		if len(rest) >= 3 && strings.Contains("46", rest[:1]) && len(data) < maxText {
			text, _, _ := strings.Cut(rest[3:], "\x00")
			want, _ = lists.ParseAddr(text)
		}
		in := append(packet('C', data), packet('H', "mx\x00")...)
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in))} {
			f := &packetConn{Conn: &pieces{from: r}, fault: func(string) {}}
			io.CopyN(io.Discard, f, int64(4+1+len(data)))
			if got := f.clientAddr(); got != want {
				t.Fatalf("%s: host %.50q, %.50q: %v, want %v", name, host, rest, got, want)
			}
			io.Copy(io.Discard, f)
			if got := f.clientAddr(); got.IsValid() || f.connect != nil {
				t.Fatalf("%s: the packet is still there behind the next: %v", name, got)
			}
		}
	})
}
