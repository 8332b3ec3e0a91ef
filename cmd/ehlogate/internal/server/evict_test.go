package server

import (
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// A connection with a request that was not read yet is not closed for its file descriptor, however long it was idle before.
func TestRequestWaits(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", t.TempDir() + "/socket"} {
		client, c := newConnPair(t, addr)
		c.lastRead.Store(1)
		s := &Server{conns: map[*conn]struct{}{c: {}}, epoch: time.Now().Add(-time.Minute), OnFault: func(string) {}, Grace: time.Minute}
		_, err := client.Write([]byte("get x\r\n"))
		must(t, err)
		testenv.Eventually(t, "the request is there", c.hasRequest)
		if s.evictIdle(); c.closeTimer != nil {
			t.Errorf("%s: its request is lost", addr)
		}
		_, err = c.Conn.Read(make([]byte, 100))
		must(t, err)
		if s.evictIdle(); c.closeTimer == nil {
			t.Errorf("%s: an idle connection keeps its file descriptor", addr)
		} else {
			c.closeTimer.Stop()
		}
	}
}
