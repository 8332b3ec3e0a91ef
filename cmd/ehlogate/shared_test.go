package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const limitConfig = "default = \"limit\"\nguard.off = true\nlimit.offers_per_second = 1000000\n" + `
[[list]]
name = "own"
action = "offer"
files = ["own.list"]
[[list]]
name = "bogons"
action = "suppress"
files = ["bogons.list"]
`

// sharedWindows is enough sessions for a full window of samples: one in 16 is sampled, and 64 are a window.
const sharedWindows = 4 * 16 * 64

// greetFrom sends lookups for a session each. address returns the address of session i.
func (d *daemon) greetFrom(address func(i int) string) {
	d.t.Helper()
	c := d.connect("memcache")
	defer c.Close()
	for i := range sharedWindows {
		if _, err := queryMemcache(c, "starttls:"+address(i)); err != nil {
			d.t.Fatal(err)
		}
	}
}

// greetAs sends policy requests for sessions of a client that claims so many HELO names.
func (d *daemon) greetAs(addr string, names int) {
	d.t.Helper()
	for i := range names {
		d.exchange("policy", fmt.Sprintf("request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=%s\nhelo_name=mail%d.example\nserver_port=25\n\n", addr, i), "\n\n")
	}
}

// TestSharedNames has clients with many HELO names come from one address, which few sessions come from.
func TestSharedNames(t *testing.T) {
	d := startDaemon(t, limitConfig, map[string]string{"own.list": "10.9.9.9\n", "bogons.list": "169.254.0.0/16\n"})
	const metric = "ehlogate_shared_address_names"
	d.greetAs("10.1.1.1", 5)   // a host with some names
	d.greetAs("10.9.9.9", 30)  // a relay of one's own on an offer list
	d.greetAs("192.0.2.1", 20) // a bot
	if _, health := d.getHTTP("/healthz"); strings.Contains(health, "shared_address") || d.scrape()[metric] != "0" {
		t.Errorf("%s", health)
	}
	d.greetAs("172.17.0.1", 30)
	_, health := d.getHTTP("/healthz")
	_, decision := d.getHTTP("/api/v1/decision?addr=172.17.0.1")
	_, status := d.getHTTP("/api/v1/status")
	for _, body := range []string{health, status} {
		if !containsAll(body, `"shared_address": {`, `"addr": "172.17.0.1"`, `"names": `) {
			t.Errorf("%s", body)
		}
	}
	if !containsAll(decision, `"shared": {`, `"names": `) {
		t.Errorf("%s", decision)
	}
	d.waitUntil(metric, func() bool { return d.scrape()[metric] != "0" })
	d.waitUntil("a warning", func() bool {
		return strings.Contains(d.log.String(), "HELO names came from one private address, and share one decision")
	})
	// A public address may be that of one client. It is shown, and raises no alarm.
	d.greetAs("192.0.2.2", 90)
	if _, health := d.getHTTP("/healthz"); !strings.Contains(health, `"addr": "192.0.2.2"`) {
		t.Errorf("%s", health)
	}
	d.waitUntil(metric+" is 0", func() bool { return d.scrape()[metric] == "0" })
}

// TestSharedAddress has a real daemon see the traffic of several machines.
func TestSharedAddress(t *testing.T) {
	publicAddr := func(i int) string { return fmt.Sprintf("8.%d.%d.1", i>>8, i&255) }
	mix := func(share int, addr string) func(i int) string {
		return func(i int) string {
			if i%100 < share {
				return addr
			}
			return publicAddr(i)
		}
	}
	d := startDaemon(t, limitConfig, map[string]string{"own.list": "10.9.9.9\n", "bogons.list": "169.254.0.0/16\n"})
	for _, tc := range []struct {
		name    string
		address func(i int) string
		shared  string // "": none
	}{
		{"public clients", publicAddr, ""},
		{"all behind the bridge of a container", mix(100, "172.17.0.1"), "172.17.0.1"},
		{"clients of many private addresses", func(i int) string { return fmt.Sprintf("10.1.%d.%d", i>>8, i&255) }, ""},
		{"IPv6 behind a proxy of the container", mix(55, "fd00::1"), "fd00::1"},
		{"monitored from loopback", mix(50, "127.0.0.1"), ""},
		{"a proxy on loopback", mix(100, "::1"), "::1"},
		{"a link-local address on a deny list", mix(50, "169.254.1.1"), "169.254.1.1"},
		{"a relay of one's own on an offer list", mix(100, "10.9.9.9"), ""},
		{"three proxies", func(i int) string { return fmt.Sprintf("100.64.0.%d", i%3) }, "100.64.0."},
		{"a host with a few sessions", mix(3, "192.168.1.1"), ""},
		{"one public client", mix(100, "8.8.8.8"), ""},
	} {
		d.greetFrom(tc.address)
		metric := d.scrape()["ehlogate_shared_address_ratio"]
		_, reputation := d.getHTTP("/api/v1/reputation")
		_, health := d.getHTTP("/healthz")
		want := `"addr": "` + tc.shared
		if tc.shared == "" {
			if metric != "0" || !strings.Contains(reputation, `"shared_address": null`) || strings.Contains(health, "shared_address") {
				t.Errorf("%s: %s, %s", tc.name, metric, reputation)
			}
		} else if metric == "0" || !strings.Contains(reputation, want) || !strings.Contains(health, want) {
			t.Errorf("%s: %s, %s", tc.name, metric, reputation)
		}
		if tc.name == "all behind the bridge of a container" {
			_, body := d.getHTTP("/api/v1/decision?addr=172.17.0.1")
			if metric != "1" || !strings.Contains(body, `"share": 1`) {
				t.Errorf("the decision does not say that clients share it: %s, %s", metric, body)
			}
		}
	}
	if n := strings.Count(d.log.String(), "came from one private address"); n != 1 {
		t.Errorf("%d warnings, want one in an hour", n)
	}
	// Without the daemon, only the address shows it.
	d.stop()
	<-d.done
	for addr, note := range map[string]bool{"172.17.0.1": true, "169.254.1.1": true, "10.9.9.9": false, "8.8.8.8": false} {
		var out, errs bytes.Buffer
		run(context.Background(), []string{"explain", "-c", filepath.Join(d.dir, "c.toml"), addr}, &out, &errs)
		if got := strings.Contains(out.String(), "shared    a private address"); got != note {
			t.Errorf("explain %s: %s%s", addr, &out, &errs)
		}
	}
}
