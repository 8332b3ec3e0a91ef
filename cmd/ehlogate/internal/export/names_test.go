package export

import (
	"bytes"
	"context"
	"net/netip"
	"testing"

	"ehlogate/lists"
)

// google is reverse DNS that knows one name.
type google struct{}

func (google) Verify(context.Context, netip.Addr) (string, lists.Status) {
	return "mail.google.com", lists.Held
}

// The daemon finds out names (verify_names) and offers STARTTLS to this client; the
// exported backup must not hide it.
func TestWithoutNamesThatAreFoundOut(t *testing.T) {
	p := policy(t, lists.Suppress, lists.Enforce, list{lists.Offer, lists.Enforce, ".google.com\n192.0.2.1\n"})
	p.Policy.Names = google{}
	client := netip.MustParseAddr("8.8.8.8")
	if d := p.Policy.Decide(t.Context(), lists.Client{Addr: client}); d.Action != lists.Offer {
		t.Fatal(d.Action)
	}
	p.WithoutNames = true
	var out bytes.Buffer
	if err := p.PostfixCIDR(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got := lookup(t, out.String(), client); got == "chunking, starttls" {
		t.Errorf("the daemon offers to %s, the table says %q:\n%s", client, got, out.String())
	}
}
