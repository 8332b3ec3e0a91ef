package server

import (
	"net"
	"strings"
	"testing"
)

func TestOpenTCP(t *testing.T) {
	for _, tc := range []struct{ addr, reach string }{
		{"127.0.0.1:0", "127.0.0.1"},
		{"[::ffff:127.0.0.1]:0", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.1"},
		{"[::1]:0", "::1"},
		{"[::]:0", "::1"},
		{":0", "127.0.0.1"},
		{":0", "::1"},
	} {
		t.Run(tc.addr+" by "+tc.reach, func(t *testing.T) {
			ln, err := Listen(tc.addr, SocketOptions{})
			must(t, err)
			defer ln.Close()
			_, port, err := net.SplitHostPort(ln.Addr().String())
			must(t, err)
			c, err := net.Dial("tcp", net.JoinHostPort(tc.reach, port))
			must(t, err)
			c.Close()
		})
	}
}

func TestOpenTCPBothWildcards(t *testing.T) {
	four, err := Listen("0.0.0.0:0", SocketOptions{})
	must(t, err)
	defer four.Close()
	_, port, err := net.SplitHostPort(four.Addr().String())
	must(t, err)
	six, err := Listen("[::]:"+port, SocketOptions{})
	must(t, err)
	six.Close()
}

func TestOpenTCPErrors(t *testing.T) {
	taken := local(t)
	defer taken.Close()
	for _, tc := range []struct{ addr, want string }{
		{"localhost:10046", "(host names are not looked up): write 127.0.0.1:10046 or [::1]:10046"},
		{"10046", "must be IP:PORT"},
		{"::1:10046", "must be IP:PORT"},
		{"", "must be IP:PORT"},
		{"127.0.0.1:smtp", `invalid port "smtp": must be a number`},
		{"127.0.0.1:65536", `invalid port "65536": must be a number`},
		{"127.0.0.1:", `invalid port "": must be a number`},
		{"192.0.2.1:10046", "this host does not have this address"},
		{taken.Addr().String(), "another process listens there"},
	} {
		ln, err := Listen(tc.addr, SocketOptions{})
		if err == nil {
			ln.Close()
			t.Errorf("%q: no error", tc.addr)
		} else if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.addr) {
			t.Errorf("%q: got %q, want %q in it", tc.addr, err, tc.want)
		}
	}
}
