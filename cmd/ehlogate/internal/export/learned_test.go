package export

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
)

// Sets that are kept up to date have what the daemon learned, in the place of its list; tables do not.
func TestLearned(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"own.list": "192.0.2.1\n", "offer.list": "192.0.2.2\n", "ehlogate.toml": `
[guard]
domains = ["example.org"]
[logs]
files = ["/var/log/mail.log"]
[[list]]
name = "first"
action = "offer"
files = ["offer.list"]
[[list]]
name = "old-tls"
learn = "fallback"
action = "legacy"
mode = "enforce"
[[list]]
name = "broken-tls"
learn = "fallback"
action = "suppress"
mode = "enforce"
[[list]]
name = "own"
action = "suppress"
files = ["own.list"]
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(edit func(*config.Config)) *Policy {
		cfg, err := config.Load(filepath.Join(dir, "ehlogate.toml"))
		if err != nil {
			t.Fatal(err)
		}
		edit(cfg)
		p, errs := Load(cfg, now)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return p
	}
	addrs := func(all ...string) (out []netip.Addr) {
		for _, text := range all {
			out = append(out, netip.MustParseAddr(text))
		}
		return out
	}
	nothing := func(*config.Config) {}
	for _, tc := range []struct {
		name    string
		action  lists.Action
		edit    func(*config.Config)
		learned []netip.Addr
		want    string
	}{
		{"old TLS", lists.Legacy, nothing, addrs("192.0.2.2", "192.0.2.3", "2001:db8::1", "255.255.255.255"),
			"[192.0.2.3-192.0.2.3 255.255.255.255-255.255.255.255 2001:db8::1-2001:db8::1]"},
		{"none yet", lists.Legacy, nothing, nil, "[]"},
		{"an observing list", lists.Legacy, func(c *config.Config) { c.Lists[1].Mode = lists.Observe }, addrs("192.0.2.3"), "[]"},
		{"a domain may publish a policy", lists.Suppress, nothing, addrs("192.0.2.4"), "[192.0.2.1-192.0.2.1]"},
		{"no guard", lists.Suppress, func(c *config.Config) { c.Guard.Domains = nil }, addrs("192.0.2.4"), "[192.0.2.1-192.0.2.1 192.0.2.4-192.0.2.4]"},
	} {
		p := load(tc.edit)
		p.SetLearned(tc.action, tc.learned)
		got, err := p.Addresses(t.Context(), tc.action)
		if text := formatRanges(got); tc.name != "an observing list" && err != nil || text != tc.want {
			t.Errorf("%s: %s, %v; want %s", tc.name, text, err, tc.want)
		}
	}
}

func formatRanges(all []netipx.IPRange) string { return fmt.Sprint(all) }
