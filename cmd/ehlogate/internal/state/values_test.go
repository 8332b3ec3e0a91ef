package state

import (
	"context"
	"strings"
	"sync"
	"testing"

	"ehlogate/lists/test/testenv"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
)

// A decision and what is made of it belong to one config.
func TestAnswerOfOneConfig(t *testing.T) {
	const (
		hides  = "default = \"suppress\"\nguard.off = true\nexplicit_offer = true\nalways_hide = [\"dsn\"]\n"
		offers = "default = \"offer\"\nexplicit_offer = true\nalways_hide = [\"etrn\"]\n"
	)
	d := newDir(t, hides)
	e := d.engine()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	defer cancel()
	reload := make(chan func())
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx, reload) })
	s := &memcache.Server{Backend: policyd.Backend{Decider: e, Values: e.Values, Fault: func(string, []byte) {}}}
	seen := map[string]int{}
	wg.Go(func() {
		for ctx.Err() == nil {
			_, out, _ := s.Answer(ctx, []byte("get starttls:192.0.2.1\r\n"), nil)
			seen[strings.Split(string(out), "\r\n")[1]]++
		}
	})
	for i := range 400 {
		d.write("c.toml", []string{offers, hides}[i%2])
		done := make(chan struct{})
		reload <- func() { close(done) }
		<-done
	}
	cancel()
	wg.Wait()
	for answer, n := range seen {
		if answer != "dsn, starttls" && answer != "etrn, silent-discard" {
			t.Errorf("%d times: %q, which neither config says", n, answer)
		}
	}
	if len(seen) < 2 {
		t.Errorf("answers were %v: that proves nothing", seen)
	}
}
