package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"ehlogate/lists/test/dnstest"
)

// A commitment is reported with its reason. A domain without a commitment is not reported.
func TestPromises(t *testing.T) {
	const tlsa = "3 1 1 0000000000000000000000000000000000000000000000000000000000000000"
	s := dnstest.StartServer(t, dnstest.NewZone(t, "promised.example", "@ MX 10 mx\nmx A 192.0.2.25\n_25._tcp.mx TLSA "+tlsa+"\n"),
		dnstest.NewZone(t, "free.example", "@ MX 10 mx\nmx A 192.0.2.25\n"), dnstest.NewZone(t, ".", "@ NS root-server.test.\n"))
	for domains, want := range map[string]string{
		`"free.example"`:                     "",
		`"free.example", "promised.example"`: "guard-active: promised.example is assumed to have committed to STARTTLS: its MX host mx.promised.example has TLSA records",
	} {
		cfg := asks(t, []netip.AddrPort{s.Addr}, "[guard]\nstate = \"\"\ndomains = ["+domains+"]\n")
		cfg.Default = 1 // suppress
		got := strings.Join(texts(Examine(t.Context(), askingHost(), cfg, nil, nil, nil)), "\n")
		if want == "" && got != "" || !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want %q", domains, got, want)
		}
	}
}
