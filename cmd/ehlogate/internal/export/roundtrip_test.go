package export

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
)

// What export writes for nft and Postfix, a list with that format reads, and decides alike.
func TestExportIsReadAgain(t *testing.T) {
	matched, not := 0, 0
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 77))
		p := newTestPolicy(t, lists.Offer, lists.Enforce, testList{action: lists.Offer, mode: lists.Enforce, text: randomList(r)}, testList{action: lists.Suppress, mode: lists.Enforce, text: randomList(r)})
		var script, table, flat bytes.Buffer
		set, err := nft.ParseSet("inet ehlogate deny")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WriteNFT(t.Context(), &script, lists.Suppress, set); err != nil {
			t.Fatal(err)
		}
		if err := cmp.Or(p.WritePostfixCIDR(t.Context(), &table), p.WritePostfixCIDRFlat(t.Context(), &flat)); err != nil {
			t.Fatal(err)
		}
		for text, format := range map[string]feed.Format{script.String(): feed.NFT, table.String(): feed.PostfixCIDR, flat.String(): feed.PostfixCIDR} {
			name := filepath.Join(t.TempDir(), "exported")
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			again, err := listfile.New(listfile.Spec{Patterns: []string{name}, Format: format, Rules: listfile.Rules{Action: lists.Suppress, AllowWide: true}}, time.Now).Load()
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for range 300 {
				c := lists.Client{Addr: randomAddr(r)}
				want := p.Policy.Decide(t.Context(), c).Action == lists.Suppress
				if got := again.Lookup(c).Status == lists.Matched; got != want {
					t.Fatalf("seed %d, %s: %s: matched %v, suppressed %v\n%s", seed, format, c.Addr, got, want, text)
				}
				if want {
					matched++
				} else {
					not++
				}
			}
			if n := again.Status().Skipped.Total; n > 0 && !strings.Contains(text, "::ffff:") {
				t.Errorf("%d lines skipped\n%s", n, text)
			}
		}
	}
	if matched < 250 || not < 250 {
		t.Errorf("%d matched, %d not", matched, not)
	}
}
