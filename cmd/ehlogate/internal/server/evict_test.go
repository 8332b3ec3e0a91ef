package server

import (
	"testing"

	"ehlogate/lists/test/testenv"
)

// A connection with a request that was not read yet is not idle, however long ago the one before it was.
func TestRequestWaits(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", t.TempDir() + "/socket"} {
		oldClient, old := newConnPair(t, addr)
		_, later := newConnPair(t, addr)
		s := &Server{conns: map[*conn]struct{}{old: {}, later: {}}}
		old.lastRead.Store(1)
		later.lastRead.Store(2)
		if got := s.longestIdle(); got != old {
			t.Errorf("%s: another than the one that has been idle longest", addr)
		}
		_, err := oldClient.Write([]byte("get x\r\n"))
		must(t, err)
		testenv.Eventually(t, "the request is there", old.hasRequest)
		if got := s.longestIdle(); got != later {
			t.Errorf("%s: another than the one without a request", addr)
		}
		oldClient.Close() // its request waits all the same
		if !old.hasRequest() {
			t.Errorf("%s: no request of a client that hung up", addr)
		}
		later.Close()
		if later.hasRequest() {
			t.Errorf("%s: a request on a closed connection", addr)
		}
	}
}
