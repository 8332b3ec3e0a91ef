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

	"ehlogate/cmd/ehlogate/internal/netns"
)

// gateway is a machine between two networks.
var gateway = Machine{
	Interfaces: []Interface{
		{"inside0", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}},
		{"outside0", []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("2001:db8:2::2/64")}},
	},
	Out4: netip.MustParseAddr("198.51.100.2"),
	Out6: netip.MustParseAddr("2001:db8:2::2"),
}

func try(t *testing.T, m Machine, rules string) ([]Trial, error) {
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
		fmt.Fprintf(&b, "%s %s %s %s%s\n", in, t.From, t.To, [...]string{"passed", "caught", "lost"}[t.Outcome], strings.TrimSuffix(" by "+t.Rule, " by "))
	}
	return b.String()
}

const nothing = `own 192.0.2.1 203.0.113.25:25 passed
inside0 192.0.2.2 203.0.113.25:25 passed
inside0 192.0.2.2 203.0.113.25:465 passed
inside0 192.0.2.2 203.0.113.25:587 passed
outside0 203.0.113.25 192.0.2.2:25 passed
own 2001:db8:1::1 [2001:db8:25::25]:25 passed
inside0 2001:db8:1::2 [2001:db8:25::25]:25 passed
inside0 2001:db8:1::2 [2001:db8:25::25]:465 passed
inside0 2001:db8:1::2 [2001:db8:25::25]:587 passed
outside0 2001:db8:25::25 [2001:db8:1::2]:25 passed
own 198.51.100.2 203.0.113.25:25 passed
own 2001:db8:2::2 [2001:db8:25::25]:25 passed
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
				"inside0 192.0.2.2 203.0.113.25:25 passed":          `inside0 192.0.2.2 203.0.113.25:25 caught by inet e p: rule iifname "inside0" tcp dport 25 redirect to :10025`,
				"inside0 2001:db8:1::2 [2001:db8:25::25]:25 passed": `inside0 2001:db8:1::2 [2001:db8:25::25]:25 caught by inet e p: rule iifname "inside0" tcp dport 25 redirect to :10025`,
			},
		},
		"own mail, in a table of many": {
			rules: "flush ruleset\ntable ip filter { chain f { type filter hook output priority 0; tcp dport 22 drop\n}\n}\ntable ip e { chain o { type nat hook output priority -100; ip daddr != 127.0.0.0/8 jump mail\n}\n chain mail { tcp dport 25 dnat to 192.0.2.1:10025\n}\n}\n",
			instead: map[string]string{
				"own 192.0.2.1 203.0.113.25:25 passed":    "own 192.0.2.1 203.0.113.25:25 caught by ip e mail: rule tcp dport 25 dnat to 192.0.2.1:10025",
				"own 198.51.100.2 203.0.113.25:25 passed": "own 198.51.100.2 203.0.113.25:25 caught by ip e mail: rule tcp dport 25 dnat to 192.0.2.1:10025",
			},
		},
		"words that look like rules": {
			rules: "table inet a-redirect { chain a-dnat { type filter hook output priority 0; tcp dport 25 accept comment \"drop or redirect\"\n}\n chain a-drop { type filter hook output priority 1; ip saddr 198.51.100.2 reject with tcp reset\n}\n}\n",
			instead: map[string]string{
				"own 198.51.100.2 203.0.113.25:25 passed": "own 198.51.100.2 203.0.113.25:25 lost by inet a-redirect a-drop: rule meta l4proto tcp ip saddr 198.51.100.2 reject with tcp reset",
			},
		},
		"a wall": {
			rules: "table inet e { chain f { type filter hook forward priority 0; tcp dport { 25, 587 } reject with tcp reset\n}\n chain o { type filter hook output priority 0; policy drop; ip saddr 198.51.100.2 accept; meta nfproto ipv6 accept\n}\n}\n",
			instead: map[string]string{
				"own 192.0.2.1 203.0.113.25:25 passed":               "own 192.0.2.1 203.0.113.25:25 lost by inet e o: policy drop",
				"inside0 192.0.2.2 203.0.113.25:25 passed":           "inside0 192.0.2.2 203.0.113.25:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"inside0 192.0.2.2 203.0.113.25:587 passed":          "inside0 192.0.2.2 203.0.113.25:587 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"outside0 203.0.113.25 192.0.2.2:25 passed":          "outside0 203.0.113.25 192.0.2.2:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"inside0 2001:db8:1::2 [2001:db8:25::25]:25 passed":  "inside0 2001:db8:1::2 [2001:db8:25::25]:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"inside0 2001:db8:1::2 [2001:db8:25::25]:587 passed": "inside0 2001:db8:1::2 [2001:db8:25::25]:587 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
				"outside0 2001:db8:25::25 [2001:db8:1::2]:25 passed": "outside0 2001:db8:25::25 [2001:db8:1::2]:25 lost by inet e f: rule tcp dport { 25, 587 } reject with tcp reset",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			trials, err := try(t, gateway, tc.rules)
			if err != nil {
				t.Fatal(err)
			}
			want := nothing
			for line, instead := range tc.instead {
				if strings.Count(want, line+"\n") != 1 {
					t.Fatalf("no line %q", line)
				}
				want = strings.Replace(want, line+"\n", instead+"\n", 1)
			}
			if got := show(trials); got != want {
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
	trials, err := try(t, m, "table inet e { chain p { type nat hook prerouting priority dstnat; "+rule+"\niifname \"inside0\" meta nfproto ipv6 tcp dport 25 redirect to :10025\n}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]Outcome{}
	for _, trial := range trials {
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
		"route add default via 198.51.100.1", "route add ::/0 via 2001:db8:2::1",
	} {
		if _, err := n.Run(t.Context(), "ip", strings.Fields(line)...); err != nil {
			t.Fatal(err)
		}
	}
	var m Machine
	if err := n.Do(func() (err error) { m, err = ThisMachine(); return err }); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(m), fmt.Sprint(gateway); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
