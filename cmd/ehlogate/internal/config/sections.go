package config

import (
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

func (p *parser) parseListen(r *rawListen, l *Listen) {
	given := map[string][]string{
		"memcache": r.Memcache, "socketmap": r.Socketmap, "tcp_table": r.TCPTable, "policy": r.Policy, "milter": r.Milter, "http": r.HTTP,
	}
	maps.DeleteFunc(given, func(_ string, addrs []string) bool { return len(addrs) == 0 })
	for _, protocol := range Protocols {
		p.checkAddresses(given[protocol], "listen."+protocol)
	}
	if len(given) == 1 && len(given["http"]) > 0 {
		p.addProblem("listen", "no address for mail servers", "add an address for memcache, socketmap, tcp_table, policy or milter, or remove all addresses for the defaults")
	}
	if len(given) > 0 {
		l.Addresses, l.Explicit = given, true
	}
	l.SocketGroup = r.SocketGroup
	if s := r.SocketMode; s != nil {
		mode, err := strconv.ParseUint(*s, 8, 9)
		if err != nil || mode == 0 {
			p.addProblem("listen.socket_mode", fmt.Sprintf("invalid file mode %q", *s), `write an octal mode such as "0660"`)
		}
		l.SocketMode = fs.FileMode(mode)
	}
	p.parseCount(r.MaxConnections, "listen.max_connections", 1, &l.MaxConnections)
}

func (p *parser) checkAddresses(addrs []string, path string) {
	for i, a := range addrs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := server.CheckAddress(a); err != nil {
			p.addProblem(at, fmt.Sprintf("%q: %v", a, err), `write an address such as "127.0.0.1:10046", "[::1]:10046" or "/run/ehlogate/memcache"`)
			continue
		}
		if i := slices.IndexFunc(p.sockets, func(s usedAddress) bool { return server.Conflict(s.addr, a) }); i >= 0 {
			used := p.sockets[i]
			p.addProblem(at, fmt.Sprintf("address %q is already used by %s (%q)", a, used.path, used.addr), "use another address for each protocol")
		}
		p.sockets = append(p.sockets, usedAddress{a, path})
	}
}

func (p *parser) parseHosts(r *rawHTTP, h *HTTP) {
	for i, name := range r.Hosts {
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			continue // always allowed
		}
		host, ok := lists.ParseHostName(name)
		if !ok {
			p.addProblem(fmt.Sprintf("http.hosts[%d]", i), fmt.Sprintf("invalid host name %q", name), `write a name such as "mx1.example.org", without a port; "*" is not possible`)
			continue
		}
		h.Hosts = append(h.Hosts, host)
	}
}

func (p *parser) parseDefault(r *raw, c *Config) {
	isLimit := r.Default != nil && *r.Default == "limit"
	switch {
	case isLimit:
		c.Limit = &Limit{Rate: ratelimit.Rate{Keep: 5 * time.Minute}}
	case r.Default != nil:
		if err := c.Default.UnmarshalText([]byte(*r.Default)); err != nil || c.Default != lists.Offer && c.Default != lists.Suppress {
			p.addProblem("default", fmt.Sprintf("unknown default %q", *r.Default), `write "offer", "suppress" or "limit"`)
		}
	}
	p.parseLimit(r.Limit, c)
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
	// Sessions that wait for one answer need those that they have to stay in the cache meanwhile.
	if least := 10 * d.Cache.MaxLookups; d.Cache.CacheEntries < least {
		p.addProblem("dns.cache_entries", fmt.Sprintf("cache_entries (%d) is too small for max_lookups (%d)", d.Cache.CacheEntries, d.Cache.MaxLookups),
			fmt.Sprintf("write at least %d, or a smaller max_lookups: answers would be evicted while a session waits for others", least))
	}
	p.parseDuration(r.MinTTL, "dns.min_ttl", 0, 24*time.Hour, &d.Cache.MinTTL)
	p.parseDuration(r.MaxTTL, "dns.max_ttl", time.Second, 7*24*time.Hour, &d.Cache.MaxTTL)
	p.parseDuration(r.Stale, "dns.stale", 0, 30*24*time.Hour, &d.Cache.Stale)
	if d.Cache.MinTTL > d.Cache.MaxTTL {
		p.addProblem("dns.min_ttl", fmt.Sprintf("min_ttl (%s) is greater than max_ttl (%s)", formatDuration(d.Cache.MinTTL), formatDuration(d.Cache.MaxTTL)), "set both, min_ttl to the smaller value")
	}
}

// parseGuard reads [guard], and requires it of configs that suppress unknown clients or by external lists.
func (p *parser) parseGuard(r *rawGuard, c *Config) {
	c.Guard.Off = r.Off
	for i, d := range r.Domains {
		if err := tlspolicy.CheckDomain(d); err != nil {
			p.addProblem(fmt.Sprintf("guard.domains[%d]", i), err.Error(), "list the domains for which this server receives mail")
			continue
		}
		c.Guard.Domains = append(c.Guard.Domains, lists.NormalizeName(d))
	}
	p.parseState(r.State, "guard.state", &c.Guard.State)
	switch {
	case r.Off && len(r.Domains) > 0:
		p.addProblem("guard.off", "off = true conflicts with domains", "remove one of the two")
	case r.Off || len(r.Domains) > 0:
	default:
		p.requireGuard(c)
	}
}

// parseState reads the path of a state file, if the key is set. into has the default.
func (p *parser) parseState(s *string, path string, into *string) {
	if s == nil {
		return
	}
	if *s != "" && !filepath.IsAbs(*s) {
		p.addProblem(path, fmt.Sprintf("%q is not an absolute path", *s), fmt.Sprintf("write a path such as %q, or \"\" for no state file", *into))
	}
	*into = *s
}

// madeBy returns what makes the entries of an external list.
func (l *List) madeBy() string {
	if l.IsLearned() {
		return "what it learned"
	}
	return "a feed or a DNS list"
}

// requireGuard refuses a config that suppresses unknown clients, or clients on external lists, until the operator says for
// which domains this server receives mail: a domain with MTA-STS or DANE would lose mail.
func (p *parser) requireGuard(c *Config) {
	const hint = `list the domains for which this server receives mail in [guard] domains = [...], since mail to a domain with MTA-STS or DANE bounces without STARTTLS; or write [guard] off = true`
	if c.Mode == lists.Observe {
		return
	}
	if c.suppressesUnknown() {
		p.addProblem("default", "this default needs [guard] domains", hint)
	}
	for i := range c.Lists {
		if l := &c.Lists[i]; l.suppressesExternal() {
			p.addProblem(fmt.Sprintf("list[%d].action", i), fmt.Sprintf("list %q suppresses by %s, which needs [guard] domains", l.Name, l.madeBy()), hint)
		}
	}
}
