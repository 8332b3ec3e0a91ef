package dnscache

import (
	"testing"
	"time"
)

// A config of nothing is one that works.
func TestConfig(t *testing.T) {
	for _, tc := range []struct{ given, want Options }{
		{Defaults(), Defaults()},
		{Options{}, Options{MaxLookups: 1000, CacheEntries: 100_000, MinTTL: time.Second, MaxTTL: time.Hour}},
		{Options{MaxLookups: -1, CacheEntries: 7, MinTTL: time.Hour, MaxTTL: time.Minute, Stale: -1},
			Options{MaxLookups: 1000, CacheEntries: 7, MinTTL: time.Hour, MaxTTL: time.Hour}},
	} {
		if got := tc.given.withDefaults(); got != tc.want {
			t.Errorf("%+v became %+v", tc.given, got)
		}
	}
}
