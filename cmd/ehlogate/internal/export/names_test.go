package export

import (
	"bytes"
	"net/netip"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/iprev"
)

// The daemon looks up names (verify_names) and may offer STARTTLS to this client; the exported backup must not hide it.
func TestWithoutNamesButReverseDNS(t *testing.T) {
	p := newTestPolicy(t, lists.Suppress, lists.Enforce, testList{action: lists.Offer, mode: lists.Enforce, text: ".google.com\n192.0.2.1\n"})
	p.Policy.Names = iprev.New(unreachableDNS(t), unreachable{})
	p.WithoutNames = true
	var out bytes.Buffer
	if err := p.WritePostfixCIDR(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for client, hidden := range map[string]bool{"8.8.8.8": false, "192.0.2.1": false, "10.0.0.1": false, "127.0.0.2": true, "fe80::1": true} {
		if got := lookupCIDR(t, out.String(), netip.MustParseAddr(client)); (got == "chunking, starttls") != hidden {
			t.Errorf("for %s the table says %q:\n%s", client, got, out.String())
		}
	}
}
