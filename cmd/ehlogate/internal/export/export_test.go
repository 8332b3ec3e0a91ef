package export

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
	"ehlogate/policyd"
	"ehlogate/policyd/socketmap"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type testList struct {
	action lists.Action
	mode   lists.Mode
	text   string

	hide     lists.Keywords
	services lists.Services
}

func newTestPolicy(t *testing.T, def lists.Action, mode lists.Mode, ls ...testList) *Policy {
	t.Helper()
	p := &Policy{Config: config.Defaults(), Policy: &lists.Policy{Default: def, Mode: mode}, Now: now}
	p.Config.AlwaysHide = []string{"chunking"}
	for i, l := range ls {
		name := filepath.Join(t.TempDir(), fmt.Sprintf("%d.list", i))
		if err := os.WriteFile(name, []byte("#\n"+l.text), 0o644); err != nil {
			t.Fatal(err)
		}
		s := listfile.New(listfile.Spec{Patterns: []string{name}, Rules: listfile.Rules{AllowWide: true, Action: l.action}}, func() time.Time { return now })
		s, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		p.Sources = append(p.Sources, s)
		p.Policy.Lists = append(p.Policy.Lists, &lists.List{Name: fmt.Sprint(i), Action: l.action, Mode: l.mode, Hide: l.hide, Services: l.services, Source: s})
	}
	return p
}

// cidrOf returns a cidr table that looks up as Postfix does.
func cidrOf(t *testing.T, text string) listtest.CIDRTable {
	t.Helper()
	table, err := listtest.ParseCIDR(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return table
}

func lookupCIDR(t *testing.T, text string, a netip.Addr) string {
	t.Helper()
	value, _ := cidrOf(t, text).Lookup(a)
	return value
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
			// Nearly all of IPv6 takes tens of thousands of lines where whole groups count.
			if a.Is4() == z.Is4() && (a.Is4() || a.AsSlice()[0] == z.AsSlice()[0] || r.IntN(20) == 0) {
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

// offeredByHosts reads a host list of Exim: the first item that matches counts, and one that begins with ! says no.
func offeredByHosts(t *testing.T, table string, a netip.Addr) (offered bool) {
	t.Helper()
	for line := range strings.Lines(table) {
		item, no := strings.CutPrefix(strings.TrimSpace(line), "!")
		switch prefix, err := netip.ParsePrefix(item); {
		case strings.HasPrefix(item, "#"):
		case item == "*":
			return !no
		case err != nil || prefix != prefix.Masked():
			t.Fatalf("line %q: %v", line, err)
		case prefix.Contains(a):
			return !no
		}
	}
	t.Fatal("the list has no end")
	return false
}

// access is lines of an access map by key.
type access map[string]string

func parseAccess(t *testing.T, table string) access {
	t.Helper()
	values := access{}
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if _, twice := values[key]; twice || !accessValue.MatchString(value) {
			t.Fatalf("line %q", line)
		}
		values[key] = value
	}
	return values
}

var accessValue = regexp.MustCompile(`^(s|[SADEP]( [ADEP])*)$`)

// lookup asks as the ruleset A of Sendmail does: the longest part of the address counts.
func (values access) lookup(a netip.Addr) string {
	sep, key := ".", a.String()
	if a.Is6() {
		sep, key = ":", "IPv6"
		for i, b := 0, a.As16(); i < 16; i += 2 {
			key += fmt.Sprintf(":%x", int(b[i])<<8|int(b[i+1]))
		}
	}
	for ; ; key = key[:strings.LastIndex(key, sep)] {
		if v, ok := values["Srv_Features:"+key]; ok {
			return strings.TrimPrefix(v, "s")
		}
		if !strings.Contains(key, sep) {
			return values["Srv_Features:"]
		}
	}
}

var (
	dsn, auth = lists.MustParseKeyword("dsn"), lists.MustParseKeyword("auth")
	values    = policyd.NewValues([]string{"chunking"}, true)
)

// Every table decides as Decide does, on random policies.
func TestIdenticalDecisions(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		var ls []testList
		for range r.IntN(4) {
			l := testList{action: lists.Action(r.IntN(3)), mode: lists.Mode(r.IntN(5) / 4), text: randomList(r)}
			if r.IntN(2) == 0 {
				l.hide = []lists.Keywords{dsn, auth, dsn | auth}[r.IntN(3)]
				l.services = lists.Services(r.IntN(4))
			}
			if l.hide != 0 && r.IntN(2) == 0 {
				l.action = lists.NoAction
			}
			ls = append(ls, l)
		}
		p := newTestPolicy(t, lists.Action(r.IntN(2)), lists.Mode(r.IntN(8)/7), ls...)
		submission, about := *p, *p
		submission.Service, about.Keyword = lists.Submission, dsn
		var postfix, postfixSubmission, exim, eximDSN, sendmail bytes.Buffer
		for _, err := range []error{p.WritePostfixCIDR(t.Context(), &postfix), submission.WritePostfixCIDR(t.Context(), &postfixSubmission),
			p.WriteEximHosts(t.Context(), &exim), about.WriteEximHosts(t.Context(), &eximDSN), p.WriteSendmailAccess(t.Context(), &sendmail)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		accessMap := parseAccess(t, sendmail.String())
		smtpTable, submissionTable := cidrOf(t, postfix.String()), cidrOf(t, postfixSubmission.String())
		var sets [3]*netipx.IPSet // by action
		for action := range sets {
			ranges, err := p.Addresses(t.Context(), lists.Action(action))
			fed := slices.ContainsFunc(ls, func(l testList) bool { return l.action == lists.Action(action) && l.mode == lists.Enforce })
			if !fed && action != int(p.Policy.Default) && err != nil || !fed && action == int(lists.Offer) && err != nil {
				continue // a set that nothing fills
			}
			if err != nil {
				t.Fatal(err)
			}
			var b netipx.IPSetBuilder
			for _, r := range ranges {
				b.AddRange(r)
			}
			if sets[action], err = b.IPSet(); err != nil || len(sets[action].Ranges()) != len(ranges) {
				t.Fatalf("seed %d: %v; these touch: %v", seed, err, ranges)
			}
		}
		for range 100 {
			a := randomAddr(r)
			d := p.Policy.Decide(t.Context(), lists.Client{Addr: a})
			suppressed := d.Action == lists.Suppress
			s := p.Policy.Decide(t.Context(), lists.Client{Addr: a, Service: lists.Submission})
			for service, of := range map[lists.Service]struct {
				table listtest.CIDRTable
				d     *lists.Decision
			}{lists.SMTP: {smtpTable, &d}, lists.Submission: {submissionTable, &s}} {
				got, _ := of.table.Lookup(a)
				got = cmp.Or(got, "chunking, silent-discard")
				if want := string(values.Append(nil, service, of.d)); got != want {
					t.Fatalf("seed %d, %s, %s: table %q, want %q\n%s%s", seed, a, service, got, want, &postfix, &postfixSubmission)
				}
			}
			if offeredByHosts(t, eximDSN.String(), a) == d.Hide().Has(dsn) {
				t.Fatalf("seed %d, %s: hidden %s\n%s", seed, a, d.Hide(), &eximDSN)
			}
			if offeredByHosts(t, exim.String(), a) == suppressed {
				t.Fatalf("seed %d, %s: suppressed %v\n%s", seed, a, suppressed, &exim)
			}
			if got, want := accessMap.lookup(a), string(socketmap.AppendFeatures(nil, lists.SMTP, &d)); got != want {
				t.Fatalf("seed %d, %s: letters %q, want %q\n%.1000s", seed, a, got, want, &sendmail)
			}
			for action, set := range sets {
				if set == nil {
					continue
				}
				want := d.Action == lists.Action(action) && (action != int(lists.Offer) || d.Reason == lists.ReasonListed)
				if set.Contains(a) != want {
					t.Fatalf("seed %d, %s: decided %v, %v; in the set of %v: %v", seed, a, d.Action, d.Reason, lists.Action(action), !want)
				}
			}
		}
	}
}

func TestHeader(t *testing.T) {
	p := newTestPolicy(t, lists.Offer, lists.Enforce, testList{action: lists.Suppress, text: "192.0.2.1 until=2026-01-05\n192.0.2.2 until=2026-01-03\n192.0.2.3 until=2025-01-01\n"})
	var b bytes.Buffer
	if err := p.WritePostfixCIDR(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "# exact until 2026-01-04T00:00:00Z") || !strings.Contains(b.String(), "192.0.2.1/32\tchunking, starttls\n192.0.2.2/32\t") || strings.Contains(b.String(), "192.0.2.3") {
		t.Errorf("got %s", &b)
	}
}

func TestRefusals(t *testing.T) {
	named := testList{action: lists.Suppress, text: "192.0.2.1\n.example.net\nhelo:x\n"}
	p := newTestPolicy(t, lists.Offer, lists.Enforce, named)
	var b bytes.Buffer
	var ps *diag.Problems
	if err := p.WritePostfixCIDR(t.Context(), &b); !errors.As(err, &ps) || ps.Total != 2 || ps.First[0].Line != 3 || b.Len() > 0 {
		t.Errorf("names: %v, wrote %q", err, &b)
	}
	p.WithoutNames = true
	if err := p.WritePostfixCIDR(t.Context(), &b); err != nil || !strings.Contains(b.String(), "192.0.2.1/32") {
		t.Errorf("without names: %v, wrote %q", err, &b)
	}
	named.mode = lists.Observe // has no effect, so is not in the way
	if err := newTestPolicy(t, lists.Offer, lists.Enforce, named).WritePostfixCIDR(t.Context(), &b); err != nil {
		t.Error(err)
	}
	b.Reset()
	p.Sources[0] = listfile.New(p.Sources[0].Spec(), time.Now)
	p.Policy.Lists[0].Source = p.Sources[0]
	if err := p.WritePostfixCIDR(t.Context(), &b); err == nil || !strings.Contains(err.Error(), "unavailable: list 0") || b.Len() > 0 {
		t.Errorf("unavailable: %v, wrote %q", err, &b)
	}
}

// A set that would be empty by mistake is refused. A list that holds only a comment makes an empty set.
func TestEmptySet(t *testing.T) {
	trusted := testList{action: lists.Offer, text: "192.0.2.1\n"}
	for name, tc := range map[string]struct {
		list    testList
		pattern string
		want    string
	}{
		"full":       {list: trusted},
		"comments":   {list: testList{action: lists.Offer, text: "# none\n"}},
		"observes":   {list: testList{action: lists.Offer, mode: lists.Observe, text: "192.0.2.1\n"}, want: `no list that is enforced has action = "offer"`},
		"another":    {list: testList{action: lists.Suppress, text: "192.0.2.1\n"}, want: `no list that is enforced has action = "offer"`},
		"files gone": {list: trusted, pattern: "*.nothing", want: `unavailable: list 0`},
	} {
		p := newTestPolicy(t, lists.Offer, lists.Enforce, tc.list)
		if tc.pattern != "" {
			s, err := listfile.New(listfile.Spec{Patterns: []string{filepath.Join(t.TempDir(), tc.pattern)}}, time.Now).Load()
			if err == nil || !strings.Contains(err.Error(), "no file matches this pattern") {
				t.Errorf("%s: %v", name, err)
			}
			p.Sources[0], p.Policy.Lists[0].Source = s, s
		}
		if _, err := p.Addresses(t.Context(), lists.Offer); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// A set that would lack the entries of a list, because a DNS list before it ends the walk, is refused.
func TestSetBehindDNS(t *testing.T) {
	for action, good := range map[lists.Action]bool{lists.Suppress: true, lists.Offer: false, lists.Require: false} {
		p := newTestPolicy(t, lists.Offer, lists.Enforce, testList{action: lists.Offer, text: "192.0.2.1\n"})
		zone := &lists.List{Name: "zone", Action: action, External: true, Source: dnsbl.New(unreachableDNS(t), unreachable{}).List(dnsbl.Spec{Zones: []dnsbl.Zone{{Domain: dnsbl.NewDomain("list.example", ""), Weight: 1}}, Threshold: 1})}
		p.Sources = append([]*listfile.List{nil}, p.Sources...)
		p.Policy.Lists = append([]*lists.List{zone}, p.Policy.Lists...)
		p.WithoutDNS = true
		ranges, err := p.Addresses(t.Context(), lists.Offer)
		if (err == nil) != good || good && len(ranges) != 1 || !good && !strings.Contains(err.Error(), `put "0" before it`) {
			t.Errorf("behind a DNS list with action %v: %v, %v", action, ranges, err)
		}
		// So is a set that would be empty without the DNS list.
		p.Policy.Lists, p.Sources = p.Policy.Lists[:1], p.Sources[:1]
		if ranges, err := p.Addresses(t.Context(), action); err == nil || !strings.Contains(err.Error(), "the set would be empty") {
			t.Errorf("with only a DNS list with action %v: %v, %v", action, ranges, err)
		}
	}
}

// What takes more lines than a map should have is refused, with what to write; exceptions and wide networks take few.
func TestSendmailBorders(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8\n!10.1.2.3\n":       "Srv_Features:10\tS\nSrv_Features:10.1.2.3\ts\n",
		"2001:db8::/32\n!2001:db8::1\n": "Srv_Features:IPv6:2001:db8\tS\nSrv_Features:IPv6:2001:db8:0:0:0:0:0:1\ts\n",
		"192.0.2.0-192.0.2.253\n":       "Srv_Features:192.0.2\tS\nSrv_Features:192.0.2.254\ts\nSrv_Features:192.0.2.255\ts\n",
	} {
		p := newTestPolicy(t, lists.Offer, lists.Enforce, testList{action: lists.Suppress, text: text})
		var out bytes.Buffer
		if err := p.WriteSendmailAccess(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(out.String()[strings.LastIndex(out.String(), "\n#")+1:], "\n")
		if table != want {
			t.Errorf("%q: %q", text, table)
		}
	}
	var wide strings.Builder
	for i := range 40 {
		fmt.Fprintf(&wide, "2001:db8:%x::/49\n", i)
	}
	var out bytes.Buffer
	err := newTestPolicy(t, lists.Offer, lists.Enforce, testList{action: lists.Suppress, text: wide.String()}).WriteSendmailAccess(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "1310720 lines") || out.Len() > 0 {
		t.Errorf("%v, wrote %d bytes", err, out.Len())
	}
}
