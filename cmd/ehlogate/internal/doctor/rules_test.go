package doctor

import (
	"net/netip"
	"slices"
	"testing"

	"ehlogate/cmd/ehlogate/internal/rehearse"
)

// What became of each connection, and what follows.
func TestRules(t *testing.T) {
	inside, own, far := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.25")
	good := []rehearse.Trial{
		{From: own, To: netip.AddrPortFrom(far, 25), Own: true},
		{From: inside, To: netip.AddrPortFrom(far, 25), In: "eth1", Outcome: rehearse.Caught, Rule: "inet e c: rule redirect"},
		{From: inside, To: netip.AddrPortFrom(far, 465), In: "eth1", Outcome: rehearse.Lost, Rule: "closed by somebody"},
		{From: far, To: netip.AddrPortFrom(inside, 25), In: "eth0", Inward: true},
	}
	for name, tc := range map[string]struct {
		also rehearse.Trial
		want string
	}{
		"good":        {good[0], ""},
		"loop":        {rehearse.Trial{From: own, To: netip.AddrPortFrom(far, 25), Own: true, Outcome: rehearse.Caught, Rule: "r"}, "hazard nft-loop"},
		"relay":       {rehearse.Trial{From: inside, In: "eth1", To: netip.AddrPortFrom(far, 25), Own: true, Outcome: rehearse.Caught, Rule: "r"}, "hazard nft-loop"},
		"own is lost": {rehearse.Trial{From: own, To: netip.AddrPortFrom(far, 25), Own: true, Outcome: rehearse.Lost}, "warning nft-own-lost"},
		"submission":  {rehearse.Trial{From: inside, In: "eth1", To: netip.AddrPortFrom(far, 587), Outcome: rehearse.Caught, Rule: "r"}, "hazard nft-submission"},
		"blocked":     {rehearse.Trial{From: inside, In: "eth1", To: netip.AddrPortFrom(far, 25), Outcome: rehearse.Caught, Rule: "r", Blocked: "b"}, "hazard nft-blocked"},
		"inward":      {rehearse.Trial{From: far, In: "eth0", To: netip.AddrPortFrom(inside, 25), Inward: true, Outcome: rehearse.Caught, Rule: "r"}, "hazard nft-inward"},
		"closed":      {rehearse.Trial{From: far, In: "eth0", To: netip.AddrPortFrom(inside, 25), Inward: true, Outcome: rehearse.Lost, Rule: "r"}, ""},
	} {
		r := Rules("rules.nft", rehearse.Result{Trials: append(slices.Clip(good), tc.also)})
		want := "note nft-intercepted: rules.nft\n"
		if tc.want != "" {
			want = tc.want + ": rules.nft"
			if tc.also.Rule != "" {
				want += ": rule"
			}
			want += "\nnote nft-intercepted: rules.nft\n"
		}
		if got := ids(r); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		for _, f := range r.Findings {
			if f.What == "" || f.Why == "" {
				t.Errorf("half a finding: %+v", f)
			}
		}
	}
	if got := ids(Rules("rules.nft", rehearse.Result{Trials: good, Untried: []string{"IPv6"}})); got != "warning nft-untried: rules.nft\nnote nft-intercepted: rules.nft\n" {
		t.Errorf("%q", got)
	}
	if got := ids(Rules("rules.nft", rehearse.Result{Trials: good[:1]})); got != "warning nft-nothing-intercepted: rules.nft\n" {
		t.Errorf("%q", got)
	}
}
