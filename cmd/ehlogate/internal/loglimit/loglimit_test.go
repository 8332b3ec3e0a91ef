package loglimit

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := test.NewNullLogger()
		log.SetOutput(io.Discard)
		var l Limiter
		for range 25 { // a second each
			l.Warn(logrus.NewEntry(log), "fault", nil)
			time.Sleep(time.Second)
		}
		got := lines.AllEntries()
		if len(got) != 3 {
			t.Fatalf("got %d lines in 25 s, want 3", len(got))
		}
		for i, want := range []any{nil, int64(9), int64(9)} {
			if n := got[i].Data["not_logged"]; n != want || got[i].Message != "fault" {
				t.Errorf("line %d: got %q with not_logged=%v, want %v", i, got[i].Message, n, want)
			}
		}
	})
}
