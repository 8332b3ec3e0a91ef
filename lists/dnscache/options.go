package dnscache

import "time"

// Options bounds a Cache.
type Options struct {
	// MaxLookups is how many queries about clients are in flight at most. A slow upstream gets no more of them than it leaves to
	// all others.
	MaxLookups int
	// CacheEntries is how many answers are cached at most, of all upstreams; about 170 bytes each.
	CacheEntries int
	// MinTTL and MaxTTL are for how long an answer counts at least and at most, whatever its own TTL. Less than a second counts
	// as a second.
	MinTTL, MaxTTL time.Duration
	// Stale is for how long an expired answer counts where it cannot be renewed (RFC 8767); 0: not at all.
	Stale time.Duration
	// CheckInterval is the pause between health checks of a zone, and FirstRetry the first one of an upstream that is
	// disabled; 0: 30 s and 1 s.
	CheckInterval, FirstRetry time.Duration
}

// Defaults returns 1000 lookups, which is more than a resolver with a cold cache likes, 100,000 entries (17 MB), TTLs from
// 30 s to an hour (a client that was taken off a list does not match much longer), and a day for what is stale.
func Defaults() Options {
	return Options{MaxLookups: 1000, CacheEntries: 100_000, MinTTL: 30 * time.Second, MaxTTL: time.Hour, Stale: 24 * time.Hour}
}
