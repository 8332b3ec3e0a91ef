package rehearse

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// gateway is a machine between two networks.
var gateway = Machine{
	Interfaces: []Interface{
		{"inside0", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}},
		{"outside0", []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("2001:db8:2::2/64")}},
	},
	Out4: "outside0",
	Out6: "outside0",
}

func try(t *testing.T, m Machine, rules string) (Result, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return Try(ctx, m, file)
}

// show is a line a trial.
func show(trials []Trial) string {
	var b strings.Builder
	for _, t := range trials {
		in := t.In
		if in == "" {
			in = "own"
		}
		fmt.Fprintf(&b, "%s %s %s %s%s\n", in, t.From, t.To, [...]string{"passed", "caught", "lost"}[t.Outcome],
			strings.TrimSuffix(" by "+t.Rule, " by ")+strings.TrimSuffix(", blocked by "+t.Blocked, ", blocked by "))
	}
	return b.String()
}

const nothing = `own 198.51.100.2 192.31.196.25:25 passed
own 2001:db8:2::2 [2620:4f:8000::25]:25 passed
own 192.0.2.1 192.31.196.25:25 passed
own 2001:db8:1::1 [2620:4f:8000::25]:25 passed
inside0 192.0.2.2 192.31.196.25:25 passed
inside0 192.0.2.2 192.31.196.25:465 passed
inside0 192.0.2.2 192.31.196.25:587 passed
outside0 192.31.196.25 192.0.2.2:25 passed
inside0 2001:db8:1::2 [2620:4f:8000::25]:25 passed
inside0 2001:db8:1::2 [2620:4f:8000::25]:465 passed
inside0 2001:db8:1::2 [2620:4f:8000::25]:587 passed
outside0 2620:4f:8000::25 [2001:db8:1::2]:25 passed
`

func TestTry(t *testing.T) {
	for name, tc := range map[string]struct {
		rules   string
		instead map[string]string // lines of nothing, and what is seen in their place
	}{
		"nothing": {rules: "\n"},
		"as it should be": {
			rules: "table inet e { chain p { type nat hook prerouting priority dstnat; iifname \"inside0\" tcp dport 25 redirect to :10025\n}\n}\n",
			instead: map[string]string{
				"inside0 192.0.2.2 192.31.196.25:25 passed":          `inside0 192.0.2.2 192.31.196.25:25 caught by inet e p: rule iifname "inside0" tcp dport 25 redirect to :10025`,
				"inside0 2001:db8:1::2 [2620:4f:8000::25]:25 passed": `inside0 2001:db8:1::2 [2620:4f:8000::25]:25 caught by inet e p: rule iifname "inside0" tcp dport 25 redirect to :10025`,
			},
		},
		"own mail, in a table of many": {
			rules: "flush ruleset\ntable ip filter { chain f { type filter hook output priority 0; tcp dport 22 drop\n}\n}\ntable ip e { chain o { type nat hook output priority -100; ip daddr != 127.0.0.0/8 jump mail\n}\n chain mail { tcp dport 25 dnat to 192.0.2.1:10025\n}\n}\n",
			instead: map[string]string{
				"own 192.0.2.1 192.31.196.25:25 passed":    "own 192.0.2.1 192.31.196.25:25 caught by ip e mail: rule tcp dport 25 dnat to 192.0.2.1:10025",
				"own 198.51.100.2 192.31.196.25:25 passed": "own 198.51.100.2 192.31.196.25:25 caught by ip e mail: rule tcp dport 25 dnat to 192.0.2.1:10025",
			},
		},
		"words that look like rules": {
			rules: "table inet a-redirect { chain a-dnat { type filter hook output priority 0; tcp dport 25 accept comment \"drop or redirect\"\n}\n chain a-drop { type filter hook output priority 1; ip saddr 198.51.100.2 reject with tcp reset\n}\n}\n",
			instead: map[string]string{
				"own 198.51.100.2 192.31.196.25:25 passed": "own 198.51.100.2 192.31.196.25:25 lost by inet a-redirect a-drop: rule meta l4proto tcp ip saddr 198.51.100.2 reject with tcp reset",
			},
		},
		"a wall": {
			rules: "table inet e { chain f { type filter hook forward priority 0; tcp dport { 25, 587 } reject with tcp reset\n}\n chain o { type filter hook output priority 0; policy drop; ip saddr 198.51.100.2 accept; meta nfproto ipv6 accept\n}\n}\n",
			instead: map[string]string{
				"own 192.0.2.1 192.31.196.25:25 passed":               "own 192.0.2.1 192.31.196.25:25 lost by inet e o: policy drop",
				"inside0 192.0.2.2 192.31.196.25:25 passed":           "inside0 192.0.2.2 192.31.196.25:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"inside0 192.0.2.2 192.31.196.25:587 passed":          "inside0 192.0.2.2 192.31.196.25:587 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"outside0 192.31.196.25 192.0.2.2:25 passed":          "outside0 192.31.196.25 192.0.2.2:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"inside0 2001:db8:1::2 [2620:4f:8000::25]:25 passed":  "inside0 2001:db8:1::2 [2620:4f:8000::25]:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"inside0 2001:db8:1::2 [2620:4f:8000::25]:587 passed": "inside0 2001:db8:1::2 [2620:4f:8000::25]:587 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"outside0 2620:4f:8000::25 [2001:db8:1::2]:25 passed": "outside0 2620:4f:8000::25 [2001:db8:1::2]:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := try(t, gateway, tc.rules)
			if err != nil || len(r.Untried) > 0 {
				t.Fatal(err, r.Untried)
			}
			want := nothing
			for line, instead := range tc.instead {
				if strings.Count(want, line+"\n") != 1 {
					t.Fatalf("no line %q", line)
				}
				want = strings.Replace(want, line+"\n", instead+"\n", 1)
			}
			if got := show(r.Trials); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// A relay beside the gateway has its mail caught by a rule that knows nobody by name.
func TestRelay(t *testing.T) {
	m := gateway
	m.Relays = []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8:1::25")}
	const rule = "iifname \"inside0\" ip saddr != 192.0.2.25 tcp dport 25 redirect to :10025"
	r, err := try(t, m, "table inet e { chain p { type nat hook prerouting priority dstnat; "+rule+"\niifname \"inside0\" meta nfproto ipv6 tcp dport 25 redirect to :10025\n}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]Outcome{}
	for _, trial := range r.Trials {
		if trial.Own && trial.In != "" {
			outcomes[trial.From.String()] = trial.Outcome
		}
	}
	if len(outcomes) != 2 || outcomes["192.0.2.25"] != Passed || outcomes["2001:db8:1::25"] != Caught {
		t.Errorf("%v", outcomes)
	}
	m.Relays = []netip.Addr{netip.MustParseAddr("10.9.9.9")}
	if _, err := try(t, m, "\n"); err == nil || !strings.Contains(err.Error(), "the relay 10.9.9.9 is in no network") {
		t.Errorf("%v", err)
	}
}

// Rules that nft does not take are refused in its words, and with the name of the file.
func TestRefused(t *testing.T) {
	_, err := try(t, gateway, "table inet e { chain p { tcp dport 25 redirekt\n}\n}\n")
	if err == nil || !strings.Contains(err.Error(), "nft does not take") || !strings.Contains(err.Error(), "rules.nft:1:47") {
		t.Errorf("%v", err)
	}
}

// The machine that we are in is seen as it is.
func TestThisMachine(t *testing.T) {
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, line := range []string{
		"link add name inside0 type veth peer name a", "link add name outside0 type veth peer name b", "link add name down0 type veth peer name c",
		"link set inside0 up", "link set outside0 up", "link set dev a up", "link set dev b up",
		"addr add 192.0.2.1/24 dev inside0", "addr add 2001:db8:1::1/64 dev inside0 nodad", "addr add 198.51.100.2/24 dev outside0",
		"addr add 2001:db8:2::2/64 dev outside0 nodad", "addr add 10.0.0.1/8 dev down0",
		"addr add 203.0.113.9/32 dev lo", "route add default via 198.51.100.1 src 203.0.113.9", "route add ::/0 via 2001:db8:2::1",
	} {
		if _, err := n.Run(t.Context(), "ip", strings.Fields(line)...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Run(t.Context(), "nft", "add table inet before"); err != nil {
		t.Fatal(err)
	}
	var m Machine
	var inside string
	err = n.Do(func() (err error) {
		if m, err = ThisMachine(t.Context()); err == nil {
			inside = m.Via(netip.MustParseAddr("192.0.2.77"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside != "inside0" || !strings.Contains(m.Rules, "table inet before") {
		t.Errorf("to an inside address through %q; rules %q", inside, m.Rules)
	}
	m.Via, m.Rules = nil, ""
	want := gateway
	want.Own = []netip.Addr{netip.MustParseAddr("203.0.113.9")}
	if got, want := fmt.Sprint(m), fmt.Sprint(want); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What the rules are about may be nobody but who is in a set; what the machine has for rules may be in the way; and a machine
// may reach others through an interface without an address, or by one that is on loopback.
func TestTryMore(t *testing.T) {
	const inside = "table inet e { set s4 { type ipv4_addr; flags interval; elements = { 192.0.2.64/28, 10.5.5.5, 192.0.2.1, 203.0.113.77 }\n}\n chain p { type nat hook prerouting priority dstnat; "
	routed := gateway
	routed.Via = func(a netip.Addr) string {
		return map[bool]string{true: "inside0"}[a == netip.MustParseAddr("10.5.5.5")]
	}
	walled := gateway
	walled.Rules = "table inet filter { chain i { type filter hook input priority 0; policy drop; ct state established accept\n}\n}\n"
	strange := gateway
	strange.Rules = "table inet filter { chain i { nonsense\n}\n}\n"
	bare := Machine{Interfaces: []Interface{gateway.Interfaces[0], {Name: "outside0"}}, Out4: "outside0", Out6: "outside0",
		Own: []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:9::9")}}
	v4 := gateway
	v4.Out6 = ""
	own := "table inet e { chain o { type nat hook output priority -100; tcp dport 25 redirect to :10025\n}\n}\n"
	for name, tc := range map[string]struct {
		machine Machine
		rules   string
		want    []string // in what is shown
		untried string
	}{
		"a member of a set, and one behind a router": {routed, inside + "ip saddr @s4 tcp dport { 25, 587 } redirect to :10025\n}\n}\n",
			[]string{"inside0 192.0.2.64 192.31.196.25:587 caught", "inside0 10.5.5.5 192.31.196.25:587 caught", "inside0 192.0.2.2 192.31.196.25:587 passed"}, ""},
		"a firewall in the way": {walled, inside + "iifname inside0 tcp dport 25 redirect to :10025\n}\n}\n",
			[]string{"inside0 192.0.2.2 192.31.196.25:25 caught by inet e p: rule iifname \"inside0\" tcp dport 25 redirect to :10025, blocked by inet filter i: policy drop"}, ""},
		"rules that cannot be loaded": {strange, "\n", []string{"own 192.0.2.1 192.31.196.25:25 passed"}, "how these rules and those that the machine has work together"},
		"an interface without an address": {bare, own,
			[]string{"own 203.0.113.9 192.31.196.25:25 caught", "own 2001:db8:9::9 [2620:4f:8000::25]:25 caught", "own 2001:db8:1::1 [2620:4f:8000::25]:25 caught"}, ""},
		"no way out by IPv6": {v4, own, []string{"own 198.51.100.2 192.31.196.25:25 caught"}, "IPv6, by which this machine reaches nobody far away"},
		"only Postfix's own": {gateway, "table inet e { chain o { type nat hook output priority -100; meta skuid postfix tcp dport 25 redirect to :10025\n}\n}\n",
			[]string{"own 198.51.100.2 192.31.196.25:25 caught"}, ""},
		"all but Postfix's own": {gateway, "table inet e { chain o { type nat hook output priority -100; meta skuid != postfix tcp dport 25 redirect to :10025\n}\n}\n",
			[]string{"own 198.51.100.2 192.31.196.25:25 passed"}, ""},
	} {
		r, err := try(t, tc.machine, tc.rules)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tc.want {
			if got := show(r.Trials); !strings.Contains("\n"+got, "\n"+want) {
				t.Errorf("%s: want %q in\n%s", name, want, got)
			}
		}
		if untried := strings.Join(r.Untried, "; "); !strings.Contains(untried, tc.untried) || tc.untried == "" && untried != "" {
			t.Errorf("%s: untried %q, want %q", name, untried, tc.untried)
		}
	}
	nowhere := gateway
	nowhere.Out4, nowhere.Out6 = "", ""
	if _, err := try(t, nowhere, "\n"); err == nil || !strings.Contains(err.Error(), "no route to anybody far away") {
		t.Errorf("a machine that reaches nobody: %v", err)
	}
}

// Of a machine with very many interfaces and addresses some are left out, which is said; never those that lead out.
func TestBounded(t *testing.T) {
	var m Machine
	for i := range 40 {
		in := Interface{Name: fmt.Sprintf("veth%d", i)}
		for j := range 10 {
			in.Addrs = append(in.Addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 1}), 24))
		}
		m.Interfaces = append(m.Interfaces, in)
	}
	m.Out4 = "veth39"
	got, leftOut := m.bounded()
	if len(got.Interfaces) != maxInterfaces || got.Interfaces[0].Name != "veth39" || len(got.Interfaces[1].Addrs) != maxAddrs ||
		len(leftOut) != 40 || len(m.Interfaces) != 40 || m.Interfaces[0].Name != "veth0" {
		t.Errorf("%d interfaces, %q left out", len(got.Interfaces), leftOut)
	}
}
