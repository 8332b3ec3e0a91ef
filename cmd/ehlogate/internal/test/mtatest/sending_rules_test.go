package mtatest_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// checkRules returns the path of the script in examples/sending-network that tries rules before they are loaded.
func checkRules(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(examples, "sending-network/check-rules"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// gatewayInterfaces makes a machine between two networks. The other ends of its interfaces are not used.
const gatewayInterfaces = `link add name inside0 type veth peer name p1
link add name outside0 type veth peer name p2
link add name down0 type veth peer name p3
link set inside0 up
link set outside0 up
link set p1 up
link set p2 up
addr add 10.0.0.1/8 dev down0
`

const (
	inside4      = "addr add 192.0.2.1/24 dev inside0\n"
	inside6      = "addr add 2001:db8:1::1/64 dev inside0 nodad\n"
	outside4     = "addr add 198.51.100.2/24 dev outside0\nroute add default via 198.51.100.1\n"
	outside6     = "addr add 2001:db8:2::2/64 dev outside0 nodad\nroute add ::/0 via 2001:db8:2::1\n"
	bothFamilies = inside4 + inside6 + outside4 + outside6
)

// Rules, and what the script prints about them.
const (
	intercepts  = "table inet e { chain p { type nat hook prerouting priority dstnat; iifname \"inside0\" tcp dport 25 redirect to :10025\n}\n}\n"
	catchesOwn  = "table inet e { chain o { type nat hook output priority -100; ip daddr != 127.0.0.0/8 tcp dport 25 redirect to :10025\n}\n}\n"
	butForRelay = "table inet e { chain p { type nat hook prerouting priority dstnat; iifname \"inside0\" ip saddr != 192.0.2.25 tcp dport 25 redirect to :10025\n" +
		"iifname \"inside0\" meta nfproto ipv6 tcp dport 25 redirect to :10025\n}\n}\n"
	intercepted  = "intercepted: mail from 192.0.2.2 through inside0\n"
	intercepted6 = "intercepted: mail from 2001:db8:1::2 through inside0\n"
	noIPv6       = "not tried: IPv6, which has no default route\n"
	noNeighbour  = "warning: mail of no neighbour is intercepted\n"
)

// rulesTests are rules in a file, the machine they are tried on, and what the script then prints. FILE stands for the name
// of the file, UID for the user of Postfix.
var rulesTests = map[string]struct {
	machine string // lines for ip
	before  string // the rules of the machine
	rules   string
	relays  []string
	want    string
	refused bool
}{
	"as it should be": {machine: bothFamilies, rules: intercepts, want: intercepted + intercepted6},
	"nothing":         {machine: bothFamilies, rules: "\n", want: noNeighbour},
	"own mail": {machine: inside4 + outside4, rules: intercepts + catchesOwn, refused: true, want: noIPv6 +
		"hazard: a loop: mail that 192.0.2.1 delivers to 192.31.196.25:25 is intercepted\n" +
		"hazard: a loop: mail that 198.51.100.2 delivers to 192.31.196.25:25 is intercepted\n" + intercepted +
		"FILE is refused. Rules that redirect:\n" +
		"    inet e p: iifname \"inside0\" tcp dport 25 redirect to :10025\n" +
		"    inet e o: ip daddr != 127.0.0.0/8 tcp dport 25 redirect to :10025\n"},
	"own mail, over IPv6, from one address": {machine: bothFamilies, refused: true,
		rules: "table ip6 e { chain o { type nat hook output priority -100; ip6 saddr 2001:db8:2::2 tcp dport 25 redirect to :10025\n}\n}\n",
		want: "hazard: a loop: mail that 2001:db8:2::2 delivers to 2620:4f:8000::25:25 is intercepted\n" +
			"FILE is refused. Rules that redirect:\n    ip6 e o: ip6 saddr 2001:db8:2::2 tcp dport 25 redirect to :10025\n"},
	"own mail, to another machine, in one chain of many": {machine: inside4 + outside4, refused: true,
		rules: "flush ruleset\ntable ip filter { chain f { type filter hook output priority 0; tcp dport 22 drop\n}\n}\n" +
			"table ip e { chain o { type nat hook output priority -100; ip daddr != 127.0.0.0/8 ip saddr 192.0.2.1 jump mail\n}\n chain mail { tcp dport 25 dnat to 192.0.2.9:25\n}\n}\n",
		want: noIPv6 + "hazard: a loop: mail that 192.0.2.1 delivers to 192.31.196.25:25 is intercepted\n" +
			"FILE is refused. Rules that redirect:\n    ip e mail: tcp dport 25 dnat to 192.0.2.9:25\n"},
	"only Postfix's own": {machine: inside4 + outside4, refused: true,
		rules: "table inet e { chain o { type nat hook output priority -100; meta skuid postfix tcp dport 25 redirect to :10025\n}\n}\n",
		want: noIPv6 + "hazard: a loop: mail that 192.0.2.1 delivers to 192.31.196.25:25 is intercepted\n" +
			"hazard: a loop: mail that 198.51.100.2 delivers to 192.31.196.25:25 is intercepted\n" +
			"FILE is refused. Rules that redirect:\n    inet e o: meta skuid UID tcp dport 25 redirect to :10025\n"},
	"all but Postfix's own": {machine: inside4 + outside4, want: noIPv6 + noNeighbour,
		rules: "table inet e { chain o { type nat hook output priority -100; meta skuid != postfix tcp dport 25 redirect to :10025\n}\n}\n"},
	"an address on loopback, and no other": {refused: true, rules: catchesOwn,
		machine: inside4 + "addr add 203.0.113.9/32 dev lo\nroute add default dev outside0 src 203.0.113.9\n",
		want: noIPv6 + "hazard: a loop: mail that 203.0.113.9 delivers to 192.31.196.25:25 is intercepted\n" +
			"hazard: a loop: mail that 192.0.2.1 delivers to 192.31.196.25:25 is intercepted\n" +
			"FILE is refused. Rules that redirect:\n    inet e o: ip daddr != 127.0.0.0/8 tcp dport 25 redirect to :10025\n"},
	"a relay": {machine: bothFamilies, rules: butForRelay, relays: []string{"192.0.2.25"}, want: intercepted + intercepted6},
	"a relay that is intercepted": {machine: bothFamilies, rules: butForRelay, relays: []string{"192.0.2.25", "2001:db8:1::25"}, refused: true,
		want: "hazard: a loop: mail that 2001:db8:1::25 delivers to 2620:4f:8000::25:25 is intercepted\n" + intercepted + intercepted6 +
			"FILE is refused. Rules that redirect:\n" +
			"    inet e p: iifname \"inside0\" ip saddr != 192.0.2.25 tcp dport 25 redirect to :10025\n" +
			"    inet e p: iifname \"inside0\" meta nfproto ipv6 tcp dport 25 redirect to :10025\n"},
	"a relay that is not there": {machine: inside4 + outside4, rules: intercepts, relays: []string{"10.9.9.9", "::9"}, refused: true,
		want: noIPv6 + "not tried: mail of the relay 10.9.9.9, which is outside, behind outside0\ncheck-rules: the relay ::9 is in no network of this machine\n"},
	"too much": {machine: inside4 + outside4, refused: true,
		rules: "table inet e { chain p { type nat hook prerouting priority dstnat; tcp dport { 25, 587 } redirect to :10025\n}\n}\n",
		want: noIPv6 + intercepted + "hazard: submission from 192.0.2.2 through inside0, port 587, is intercepted\n" +
			"hazard: mail from outside, through outside0 to 192.0.2.2, is intercepted\n" +
			"FILE is refused. Rules that redirect:\n    inet e p: tcp dport { 25, 587 } redirect to :10025\n"},
	"a wall": {machine: inside4 + outside4, want: noIPv6 + "warning: mail that 192.0.2.1 delivers to 192.31.196.25:25 does not leave\n" + noNeighbour,
		rules: "table inet e { chain f { type filter hook forward priority 0; tcp dport { 25, 587 } reject with tcp reset\n}\n" +
			" chain o { type filter hook output priority 0; policy drop; ip saddr 198.51.100.2 accept\n}\n}\n"},
	"a wall around everything": {machine: inside4 + outside4, refused: true, rules: "table inet e { chain o { type filter hook output priority 0; policy drop\n}\n}\n",
		want: noIPv6 + "warning: mail that 192.0.2.1 delivers to 192.31.196.25:25 does not leave\n" +
			"warning: mail that 198.51.100.2 delivers to 192.31.196.25:25 does not leave\nhazard: no mail of this machine leaves\n" +
			"FILE is refused. Rules that redirect:\n\n"},
	"words that look like rules": {machine: inside4 + outside4, want: noIPv6 + noNeighbour,
		rules: "table inet a-redirect { chain a-dnat { type filter hook output priority 0; tcp dport 25 accept comment \"drop or redirect\"\n}\n}\n"},
	"a firewall in the way": {machine: inside4 + outside4, rules: intercepts, refused: true,
		before: "table inet filter { chain i { type filter hook input priority 0; policy drop; ct state established accept\n}\n}\n",
		want: noIPv6 + "hazard: mail from 192.0.2.2 through inside0 is redirected to a port that other rules of this machine close\n" +
			"FILE is refused. Rules that redirect:\n    inet e p: iifname \"inside0\" tcp dport 25 redirect to :10025\n"},
	"a firewall that lets it through": {machine: inside4 + outside4, rules: intercepts, want: noIPv6 + intercepted,
		before: "table inet filter { chain i { type filter hook input priority 0; policy drop; ct state established accept\ntcp dport 10025 ct status dnat accept\n}\n}\n"},
	"rules for an interface that is down": {machine: inside4 + outside4, rules: intercepts,
		before: "table inet filter { chain i { type filter hook input priority 0; iif \"down0\" accept\n}\n}\n",
		want:   noIPv6 + "warning: the rules of this machine cannot be loaded twice: FILE is tried without them\n" + intercepted},
	"no way out": {machine: inside4, rules: intercepts, refused: true, want: "not tried: IPv4, which has no default route\n" + noIPv6 +
		"check-rules: this machine has no default route: try the rules where they will be loaded, with its network up\n"},
}

// TestSendingRules tries rules on machines of all kinds.
func TestSendingRules(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	t.Parallel()
	postfix, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range rulesTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := netns.New()
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			file := filepath.Join(t.TempDir(), "rules.nft")
			if err := os.WriteFile(file, []byte(tc.rules), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Pipe(t.Context(), gatewayInterfaces+tc.machine, "ip", "-batch", "-"); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Pipe(t.Context(), tc.before, "nft", "-f", "-"); err != nil {
				t.Fatal(err)
			}
			before, err := n.Run(t.Context(), "nft", "list", "ruleset")
			if err != nil {
				t.Fatal(err)
			}
			out, err := n.Run(soon(t), checkRules(t), append([]string{file}, tc.relays...)...)
			if got := strings.NewReplacer(file, "FILE", "skuid "+postfix.Uid, "skuid UID").Replace(out); got != tc.want || (err != nil) != tc.refused {
				t.Errorf("refused: got %v, want %v; got\n%swant\n%s", err, tc.refused, got, tc.want)
			}
			if after, err := n.Run(t.Context(), "nft", "list", "ruleset"); err != nil || after != before {
				t.Errorf("the rules of the machine were\n%s, and are\n%s, %v", before, after, err)
			}
		})
	}
}

// TestSendingRulesUnreadable has nft refuse a file, in its own words, and the script one that does not exist.
func TestSendingRulesUnreadable(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	t.Parallel()
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := n.Pipe(t.Context(), gatewayInterfaces+bothFamilies, "ip", "-batch", "-"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.nft")
	refuses := func(wants ...string) {
		t.Helper()
		out, err := n.Run(soon(t), checkRules(t), file)
		for _, want := range wants {
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("got %v\n%swant %q", err, out, want)
			}
		}
	}
	refuses(`check-rules: cannot read "` + file + `": write check-rules FILE [RELAY...]`)
	if err := os.WriteFile(file, []byte("table inet e { chain p { tcp dport 25 redirekt\n}\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(file+":1:", "Error: syntax error", "check-rules: nft refuses "+file)
}
