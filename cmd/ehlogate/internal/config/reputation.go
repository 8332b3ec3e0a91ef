package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/feed"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

type rawDNS struct {
	Resolvers    []string `toml:"resolvers"`
	Wait         *string  `toml:"wait"`
	Timeout      *string  `toml:"timeout"`
	VerifyNames  bool     `toml:"verify_names"`
	MaxLookups   *int     `toml:"max_lookups"`
	CacheEntries *int     `toml:"cache_entries"`
	MinTTL       *string  `toml:"min_ttl"`
	MaxTTL       *string  `toml:"max_ttl"`
	Stale        *string  `toml:"stale"`
}

type rawLimit struct {
	OffersPerSecond *float64 `toml:"offers_per_second"`
	Keep            *string  `toml:"keep"`
}

type rawGuard struct {
	Domains []string `toml:"domains"`
	Off     bool     `toml:"off"`
	State   *string  `toml:"state"`
}

type rawZone struct {
	Zone        *string `toml:"zone"`
	By          *string `toml:"by"`
	Answer      *string `toml:"answer"`
	Weight      *int    `toml:"weight"`
	HealthCheck *bool   `toml:"health_check"`
}

// theDefault reads default and [limit].
func (p *parser) parseDefault(r *raw, c *Config) {
	isShed := r.Default != nil && *r.Default == "limit"
	switch {
	case isShed:
		c.Limit = &ratelimit.Rate{Keep: 5 * time.Minute}
	case r.Default != nil:
		if *r.Default == "require" || c.Default.UnmarshalText([]byte(*r.Default)) != nil {
			p.addProblem("default", fmt.Sprintf("%q is no default", *r.Default), `write "offer", "suppress" or "limit"`)
		}
	}
	if r.Limit == nil {
		if isShed {
			p.addProblem("default", `default = "limit" without a rate`, "write [limit] with offers_per_second = N: the handshakes with unknown clients that the server can afford")
		}
		return
	}
	s := c.Limit
	if s == nil {
		s = new(ratelimit.Rate) // what is wrong is wrong also while it is not in use
	}
	if n := r.Limit.OffersPerSecond; n == nil {
		p.addProblem("limit", "[limit] without offers_per_second", "write the number of handshakes with unknown clients that the server can afford in a second")
	} else if s.OffersPerSecond = *n; !(*n >= 0.001 && *n <= 1e6) {
		p.addProblem("limit.offers_per_second", fmt.Sprintf("%v offers a second", *n), `write a number from 0.001 to 1000000; for none at all write default = "suppress"`)
	}
	p.parseDuration(r.Limit.Keep, "limit.keep", time.Second, 24*time.Hour, &s.Keep)
}

// duration reads a time such as "300ms", "2h" or "7d", if there is one.
func (p *parser) parseDuration(s *string, path string, least, most time.Duration, into *time.Duration) {
	if s == nil {
		return
	}
	d, err := time.ParseDuration(*s)
	if days, ok := strings.CutSuffix(*s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * 24 * float64(time.Hour))
	}
	switch {
	case err != nil:
		p.addProblem(path, fmt.Sprintf("%q is no duration", *s), `write a number and its unit, as in "300ms", "10s", "5m", "2h" or "7d"`)
	case d < least || d > most:
		p.addProblem(path, fmt.Sprintf("%q is out of range", *s), fmt.Sprintf("write something from %s to %s", formatDuration(least), formatDuration(most)))
	}
	*into = d
}

// short is a duration without what is zero.
func formatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d > day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// count reads a number, if there is one.
func (p *parser) parseCount(n *int, path string, least int, into *int) {
	if n == nil {
		return
	}
	if *n < least {
		p.addProblem(path, fmt.Sprintf("%d is too little", *n), fmt.Sprintf("write at least %d, or leave it out for the default", least))
	}
	*into = *n
}

func (p *parser) parseDNS(r *rawDNS, d *DNS) {
	for i, s := range r.Resolvers {
		a, err := dnsclient.ParseServer(s)
		if err != nil {
			msg, hint, _ := strings.Cut(err.Error(), ": ")
			p.addProblem(fmt.Sprintf("dns.resolvers[%d]", i), msg, hint)
		}
		d.Resolvers = append(d.Resolvers, a)
	}
	d.VerifyNames = r.VerifyNames
	p.parseDuration(r.Wait, "dns.wait", 0, 10*time.Second, &d.Wait)
	p.parseDuration(r.Timeout, "dns.timeout", 50*time.Millisecond, 10*time.Second, &d.Timeout)
	p.parseCount(r.MaxLookups, "dns.max_lookups", 1, &d.Cache.MaxLookups)
	p.parseCount(r.CacheEntries, "dns.cache_entries", 100, &d.Cache.CacheEntries)
	p.parseDuration(r.MinTTL, "dns.min_ttl", 0, 24*time.Hour, &d.Cache.MinTTL)
	p.parseDuration(r.MaxTTL, "dns.max_ttl", time.Second, 7*24*time.Hour, &d.Cache.MaxTTL)
	p.parseDuration(r.Stale, "dns.stale", 0, 30*24*time.Hour, &d.Cache.Stale)
	if d.Cache.MinTTL > d.Cache.MaxTTL {
		p.addProblem("dns.min_ttl", fmt.Sprintf("min_ttl (%s) is above max_ttl (%s)", formatDuration(d.Cache.MinTTL), formatDuration(d.Cache.MaxTTL)), "set both")
	}
}

// guard reads [guard], and demands it of those who suppress what they did not
// write.
func (p *parser) parseGuard(r *rawGuard, c *Config) {
	c.Guard.Off = r.Off
	for i, d := range r.Domains {
		if err := tlspolicy.CheckDomain(d); err != nil {
			p.addProblem(fmt.Sprintf("guard.domains[%d]", i), err.Error(), "name the domains for which this server receives mail")
			continue
		}
		c.Guard.Domains = append(c.Guard.Domains, lists.NormalizeName(d))
	}
	if r.State != nil {
		if c.Guard.State = *r.State; c.Guard.State != "" && !filepath.IsAbs(c.Guard.State) {
			p.addProblem("guard.state", fmt.Sprintf("%q is no absolute path", *r.State), fmt.Sprintf("write a path such as %q, or \"\" to remember nothing", DefaultState))
		}
	}
	switch {
	case r.Off && len(r.Domains) > 0:
		p.addProblem("guard.off", "[guard] has domains and is off", "take out one of the two")
	case r.Off || len(r.Domains) > 0:
	default:
		p.requireGuard(c)
	}
}

// unguarded refuses to suppress clients on the word of others, or for being
// unknown, as long as nobody said which domains might have promised STARTTLS.
func (p *parser) requireGuard(c *Config) {
	const hint = `name the domains that are served here in [guard] domains = [...]: if one of them promised STARTTLS (MTA-STS, DANE), senders that rely on it would bounce; or write off = true there`
	if c.Mode == lists.Observe {
		return
	}
	if c.suppressesUnknown() {
		p.addProblem("default", "this default needs [guard]", hint)
	}
	for i := range c.Lists {
		if l := &c.Lists[i]; l.suppressesExternal() {
			p.addProblem(fmt.Sprintf("list[%d].action", i), fmt.Sprintf("list %q suppresses on the word of others, which needs [guard]", l.Name), hint)
		}
	}
}

// feed reads what a list of another format says of itself.
func (p *parser) parseFeed(r *rawList, path string, l *List) {
	if s := r.Format; s != nil && *s != "list" {
		f, err := feed.ParseFormat(*s)
		if err != nil {
			p.addProblem(path+".format", fmt.Sprintf("%q is no format", *s), `write "list" or one of `+strings.Join(feed.Formats(), ", "))
		}
		l.Spec.Format = f
	}
	p.parseCount(r.MinEntries, path+".min_entries", 1, &l.Spec.MinEntries)
	p.parseDuration(r.ExpireAfter, path+".expire_after", time.Minute, 366*24*time.Hour, &l.Spec.ExpireAfter)
}

// zones reads what a list by DNS is made of.
func (p *parser) parseZones(r *rawList, path string, l *List) {
	for _, k := range []struct {
		key   string
		there bool
	}{{"files", len(r.Files) > 0}, {"allow_wide", r.AllowWide}, {"format", r.Format != nil}, {"min_entries", r.MinEntries != nil}, {"expire_after", r.ExpireAfter != nil}} {
		if k.there {
			p.addProblem(path+"."+k.key, k.key+" in a list by DNS", "a list has either zones or files; make two lists of it")
		}
	}
	l.Zones.Threshold = 1
	if r.Threshold != nil {
		l.Zones.Threshold = *r.Threshold
	}
	most, before := 0, p.problems.Total
	for i := range r.Zones {
		z := p.parseZone(&r.Zones[i], fmt.Sprintf("%s.zones[%d]", path, i), l)
		most += z.Highest()
		l.Zones.Zones = append(l.Zones.Zones, z)
	}
	if most < l.Zones.Threshold && p.problems.Total == before {
		p.addProblem(path+".threshold", fmt.Sprintf("the threshold of %d is never reached: all zones together give at most %d", l.Zones.Threshold, most), "lower it, or raise a weight")
	}
}

func (p *parser) parseZone(r *rawZone, path string, l *List) dnsbl.Zone {
	z := dnsbl.Zone{Weight: 1}
	if r.Zone == nil {
		p.addProblem(path, "a zone without its name", `write {zone = "DOMAIN"}`)
	} else if z.Name = lists.NormalizeName(*r.Zone); tlspolicy.CheckDomain(z.Name) != nil {
		p.addProblem(path+".zone", fmt.Sprintf("%q is no domain", *r.Zone), `write the domain of the list, as in "list.dnswl.org"`)
	}
	if r.By != nil {
		switch *r.By {
		case "address":
		case "name":
			if z.ByName = true; l.Action == lists.Require {
				p.addProblem(path+".by", `a zone asked by name in a list with action "require"`, "require lists hold addresses only, since a mail server asks about EHLO by address")
			}
		default:
			p.addProblem(path+".by", fmt.Sprintf("a zone is not asked by %q", *r.By), `write "address" or "name" (the verified host name)`)
		}
	}
	if r.Answer != nil {
		var err error
		if z.Answer, err = dnsbl.ParseFilter(*r.Answer); err != nil {
			p.addProblem(path+".answer", err.Error(), `write it as in "127.0.0.[2..11]", "127.0.[0..255].[1;3]" or, for a score, "127.0.4.N"`)
		}
	}
	if r.Weight != nil {
		if z.Weight = *r.Weight; z.Weight == 0 || z.Weight < -1000 || z.Weight > 1000 {
			p.addProblem(path+".weight", fmt.Sprintf("a weight of %d", z.Weight), "write a number from -1000 to 1000 that is not 0")
		}
	}
	z.NoHealthCheck = r.HealthCheck != nil && !*r.HealthCheck
	return z
}
