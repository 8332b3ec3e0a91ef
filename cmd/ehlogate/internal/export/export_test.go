package export

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/file"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type list struct {
	action lists.Action
	mode   lists.Mode
	text   string
}

func policy(t *testing.T, def lists.Action, mode lists.Mode, ls ...list) *Policy {
	t.Helper()
	p := &Policy{Config: config.Defaults(), Policy: &lists.Policy{Default: def, Mode: mode}, Now: now}
	p.Config.AlwaysHide = []string{"chunking"}
	for i, l := range ls {
		name := filepath.Join(t.TempDir(), fmt.Sprintf("%d.list", i))
		if err := os.WriteFile(name, []byte("#\n"+l.text), 0o644); err != nil {
			t.Fatal(err)
		}
		s := file.New(file.Spec{Patterns: []string{name}, Rules: file.Rules{AllowWide: true, Action: l.action}}, func() time.Time { return now })
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		p.Sources = append(p.Sources, s)
		p.Policy.Lists = append(p.Policy.Lists, &lists.List{Name: fmt.Sprint(i), Action: l.action, Mode: l.mode, Source: s})
	}
	return p
}

// lookup reads a cidr table as Postfix does: the first match counts.
func lookup(t *testing.T, table string, a netip.Addr) string {
	t.Helper()
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		pattern, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		prefix, err := netip.ParsePrefix(pattern)
		if err != nil || prefix != prefix.Masked() {
			t.Fatalf("line %q: %v", line, err)
		}
		if prefix.Contains(a) {
			return value
		}
	}
	return ""
}

func randomList(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(30) {
		a, z := randomAddr(r), randomAddr(r)
		entry := a.String()
		switch r.IntN(3) {
		case 0:
			p, _ := a.Prefix(a.BitLen() - r.IntN(10))
			entry = p.String()
		case 1:
			if a.Is4() == z.Is4() {
				if z.Less(a) {
					a, z = z, a
				}
				entry = a.String() + "-" + z.String()
			}
		}
		if r.IntN(4) == 0 {
			b.WriteByte('!')
		}
		b.WriteString(entry)
		if r.IntN(4) == 0 {
			b.WriteString(" until=" + now.Add(time.Duration(r.IntN(5)-2)*time.Hour).Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// randomAddr keeps to the ends of both address spaces.
func randomAddr(r *rand.Rand) netip.Addr {
	end := byte(255 * r.IntN(2))
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{end, end, end, byte(r.IntN(256))})
	}
	var a [16]byte
	for i := range 15 {
		a[i] = end
	}
	a[15] = byte(r.IntN(256))
	return netip.AddrFrom16(a)
}

// The table decides as Decide does, on random policies.
func TestIdenticalDecisions(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		var ls []list
		for range r.IntN(4) {
			ls = append(ls, list{lists.Action(r.IntN(3)), lists.Mode(r.IntN(5) / 4), randomList(r)})
		}
		p := policy(t, lists.Action(r.IntN(2)), lists.Mode(r.IntN(8)/7), ls...)
		var b bytes.Buffer
		if err := p.PostfixCIDR(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			a := randomAddr(r)
			suppressed := p.Policy.Decide(t.Context(), lists.Client{Addr: a}).Action == lists.Suppress
			got := lookup(t, b.String(), a)
			if suppressed != (got == "chunking, starttls") || !suppressed && got != "" && got != "chunking, silent-discard" {
				t.Fatalf("seed %d, %s: table %q, suppressed %v\n%s", seed, a, got, suppressed, b.String())
			}
		}
	}
}

func TestHeader(t *testing.T) {
	p := policy(t, lists.Offer, lists.Enforce, list{action: lists.Suppress, text: "192.0.2.1 until=2026-01-05\n192.0.2.2 until=2026-01-03\n192.0.2.3 until=2025-01-01\n"})
	var b bytes.Buffer
	if err := p.PostfixCIDR(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "# exact until 2026-01-04T00:00:00Z") || !strings.Contains(b.String(), "192.0.2.1/32\tchunking, starttls\n192.0.2.2/32\t") || strings.Contains(b.String(), "192.0.2.3") {
		t.Errorf("got %s", &b)
	}
}

func TestRefusals(t *testing.T) {
	named := list{action: lists.Suppress, text: "192.0.2.1\n.example.net\nhelo:x\n"}
	p := policy(t, lists.Offer, lists.Enforce, named)
	var b bytes.Buffer
	var ps *file.Problems
	if err := p.PostfixCIDR(t.Context(), &b); !errors.As(err, &ps) || ps.Total != 2 || ps.First[0].Line != 3 || b.Len() > 0 {
		t.Errorf("names: %v, wrote %q", err, &b)
	}
	p.WithoutNames = true
	if err := p.PostfixCIDR(t.Context(), &b); err != nil || !strings.Contains(b.String(), "192.0.2.1/32") {
		t.Errorf("without names: %v, wrote %q", err, &b)
	}
	named.mode = lists.Observe // has no effect, so is not in the way
	if err := policy(t, lists.Offer, lists.Enforce, named).PostfixCIDR(t.Context(), &b); err != nil {
		t.Error(err)
	}
	b.Reset()
	p.Sources[0] = file.New(p.Sources[0].Spec(), time.Now)
	p.Policy.Lists[0].Source = p.Sources[0]
	if err := p.PostfixCIDR(t.Context(), &b); err == nil || !strings.Contains(err.Error(), "not loaded") || b.Len() > 0 {
		t.Errorf("unloaded: %v, wrote %q", err, &b)
	}
}
