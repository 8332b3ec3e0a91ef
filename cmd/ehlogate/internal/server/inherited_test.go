package server

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestHeldAt(t *testing.T) {
	dir := t.TempDir()
	link := t.TempDir() + "/link"
	must(t, os.Symlink(dir, link))
	for _, tc := range []struct {
		network, addr string
		at, not       []string
	}{
		{"tcp", "127.0.0.1:0", []string{"127.0.0.1:%", "[::ffff:127.0.0.1]:%"}, []string{"127.0.0.2:%", "127.0.0.1:1", ":%", "[::1]:%", "/%"}},
		{"tcp", ":0", []string{":%", "[::]:%"}, []string{"0.0.0.0:%", "127.0.0.1:%", ":1"}},
		{"tcp4", "0.0.0.0:0", []string{":%", "0.0.0.0:%"}, []string{"[::]:%", "127.0.0.1:%"}},
		{"unix", dir + "/memcache", []string{dir + "/memcache", dir + "//x/../memcache", link + "/memcache"}, []string{dir + "/socketmap", "127.0.0.1:1"}},
	} {
		ln, err := net.Listen(tc.network, tc.addr)
		must(t, err)
		defer ln.Close()
		h := InheritedSocket{Listener: ln}
		port := "0"
		if tc.network != "unix" {
			_, port, err = net.SplitHostPort(ln.Addr().String())
			must(t, err)
		}
		for want, addrs := range map[bool][]string{true: tc.at, false: tc.not} {
			for _, addr := range addrs {
				if addr[len(addr)-1] == '%' {
					addr = addr[:len(addr)-1] + port
				}
				if h.Matches(addr) != want {
					t.Errorf("%v at %s: want %v", ln.Addr(), addr, want)
				}
			}
		}
		if file := filepath.Base(tc.addr); tc.network == "unix" && h.BaseName() != file || tc.network != "unix" && h.BaseName() != "" {
			t.Errorf("%v: file %q", ln.Addr(), h.BaseName())
		}
	}
}
