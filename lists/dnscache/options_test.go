package dnscache

import (
	"testing"
	"time"
)

// No TTL is less than a second, or less than the least.
func TestTTLsAreBounded(t *testing.T) {
	for _, tc := range []struct{ given, want Options }{
		{Defaults(), Defaults()},
		{Options{MaxTTL: time.Millisecond}, Options{MinTTL: time.Second, MaxTTL: time.Second}},
		{Options{MinTTL: time.Hour, MaxTTL: time.Minute}, Options{MinTTL: time.Hour, MaxTTL: time.Hour}},
	} {
		if got := New(tc.given, time.Now, nil).options; got != tc.want {
			t.Errorf("%+v became %+v", tc.given, got)
		}
	}
}
