package nft

import (
	"context"
	"os"
	"slices"
	"testing"

	"ehlogate/lists/test/testenv"
)

// The ports to which rules redirect port 25, as a real kernel lists them.
func TestRedirects(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	example, err := os.ReadFile("../../../../examples/legacy-tls/legacy.nft")
	if err != nil {
		t.Fatal(err)
	}
	chain := func(rule string) string {
		return "table inet t { set s { type ipv4_addr; flags interval; }\n chain c { type nat hook prerouting priority dstnat; " + rule + "\n}\n}\n"
	}
	for rules, want := range map[string][]int{
		string(example): {10026}, "": nil,
		chain("ip saddr @s tcp dport 25 redirect to :10025"):           {10025},
		chain("tcp dport { 25, 587 } redirect to :10025"):              {10025},
		chain("tcp dport 20-30 redirect to :10025"):                    {10025},
		chain("tcp dport { 1-24, 26 } redirect to :10025"):             nil,
		chain("tcp dport 587 redirect to :10025"):                      nil,
		chain("udp dport 25 redirect to :10025"):                       nil,
		chain("tcp sport 25 redirect to :10025"):                       nil,
		chain("tcp dport 25 dnat ip to 192.0.2.9:10025"):               nil,
		chain("tcp dport 25 accept"):                                   nil,
		chain("tcp dport 25 dnat to :1\n tcp dport 25 redirect to :2"): {1, 2},
	} {
		within := newKernel(t, rules)
		within(func(ctx context.Context) error {
			text, err := ListRules(ctx)
			if err != nil {
				return err
			}
			got, err := Redirects(text, 25)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v\n%s", rules, got, want, text)
			}
			return err
		})
	}
}

func FuzzRedirects(f *testing.F) {
	f.Add([]byte(`{"nftables": [{"metainfo": {}}, {"rule": {"expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [25, {"range": [1, 2]}]}}}, {"redirect": {"port": 10026}}]}}]}`))
	f.Add([]byte(`{"nftables": [{"rule": {"expr": [{"match": {"left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 25}}, {"dnat": {"addr": "192.0.2.1", "port": 25}}]}}, {"rule": null}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		to, err := Redirects(text, 25)
		if err != nil && len(to) > 0 {
			t.Errorf("got %v and %v", to, err)
		}
	})
}
