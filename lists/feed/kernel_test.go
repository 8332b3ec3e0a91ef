package feed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// runInNetwork runs a shell script in a network namespace of its own, with a text as its input.
func runInNetwork(t *testing.T, script, input string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// setProbes are addresses that tests look up in sets.
var setProbes = []string{"192.0.2.0", "192.0.2.1", "192.0.2.5", "192.0.2.9", "192.0.2.255", "198.18.5.5", "10.0.0.1", "203.0.113.1", "203.0.113.2", "2001:db8::5", "2001:db8::9", "2001:db9::1", "fe80::1"}

// queryIPSet restores a script and returns which of the probes are in a set; ok is false if ipset refused the script.
func queryIPSet(t *testing.T, text string) (found []string, ok bool) {
	t.Helper()
	out := runInNetwork(t, `ipset restore >/dev/null 2>&1 || { echo refused; exit 0; }
for set in $(ipset list -n); do
	for addr in `+strings.Join(setProbes, " ")+`; do
		if ipset -q test $set $addr; then echo $addr; fi
	done
done`, text)
	if out == "refused\n" {
		return nil, false
	}
	return strings.Fields(out), true
}

// compareSets loads a file for a program that has found some of the probes in it, or refused it. It reports whether it
// was loaded.
func compareSets(t *testing.T, f Format, text string, found []string, ok bool) bool {
	t.Helper()
	list, err := loadFeed(t, f, lists.Suppress, text)
	if err != nil {
		return false
	}
	if !ok {
		t.Errorf("loaded, and the program refuses it:\n%s", text)
	}
	for _, probe := range setProbes {
		if got, want := isMatch(list, lists.Client{Addr: netip.MustParseAddr(probe)}), slices.Contains(found, probe); ok && got != want {
			t.Errorf("%s: matched %v, in a set %v\n%s", probe, got, want, text)
		}
	}
	return true
}

// Scripts that fill sets are to ehlogate what they are to ipset; a member that is all clients, or a typing mistake near to
// it, too.
func TestAgainstIPSet(t *testing.T) {
	testenv.Needs(t, "root", "ipset")
	for script, isLoaded := range map[string]bool{
		"create -exist x hash:net family inet hashsize 1024 maxelem 65536\nadd -exist x 192.0.2.0/24\nadd -exist x 192.0.2.0/24\n":         true,
		"create x hash:net -!\nadd -! x 192.0.2.1\ncreate y hash:net\nswap x y\ndestroy x\n":                                               true,
		"-! create x hash:net\n-exist add x 192.0.2.1\n-A x 203.0.113.1\n-N y iphash\na y 203.0.113.2\nCOMMIT\n":                           true,
		"create -exist old hash:net\ncreate tmp hash:net\nflush tmp\nadd tmp 192.0.2.0/24\nswap tmp old\ndestroy tmp\nrename old new\n":    true,
		"n x hash:ip\nflush\nadd x 192.0.2.0/29\nadd x 203.0.113.1-203.0.113.2\n":                                                          true,
		"create x hash:net\nadd x 192.0.2.0-192.0.2.9\nadd x 192.0.2.5 nomatch\nadd x 192.0.2.8/29 nomatch\n":                              true,
		"create x hash:ip netmask 24\nadd x 192.0.2.0\n":                                                                                   true,
		"create x bitmap:ip range 192.0.2.0/24\nadd x 192.0.2.4-192.0.2.6\n":                                                               true,
		"create x hash:net family inet6\nadd x ::ffff:0:0/96\nadd x 2001:db8::/64\n":                                                       true,
		"create x hash:net timeout 0 comment counters\nadd x 192.0.2.0/24 timeout 600 comment \"a b\" packets 1 bytes 2 -exist\n# end\n\n": true,
		"create x hash:net\nadd x 192.0.2.5/29\nadd x 2001:db8::5/64 -exist\n":                                                             false,
		"create x hash:net\nadd x 192.0.2.5/29\nadd x 10.0.0.1/30\n":                                                                       true,
		"create x hash:net family inet6\nadd x 2001:db8::5/64\n":                                                                           true,
		"create x hash:ip netmask 24\nadd x 192.0.2.5\nadd x 203.0.113.1-203.0.114.2\n":                                                    true,
		"create -exist x hash:net\nadd x 192.0.2.0/28\nadd x 192.0.2.5\nadd x 192.0.2.5 nomatch -exist\n":                                  true,
		"create -exist x hash:net\nadd x 192.0.2.0/28\nadd x 192.0.2.5 nomatch\nadd x 192.0.2.5/32 -exist\n":                               false,
		"create x hash:net\ncreate x hash:net -exist\nadd x 192.0.2.1\ndel x 203.0.113.1 -exist\n":                                         false,
		"create x hash:net\nadd x 192.0.2.1\ndel x 192.0.2.1\n":                                                                            false,
		"create x hash:net\nadd x 192.0.2.1\nflush x\n":                                                                                    false,
		"create x hash:net\nipset add x 192.0.2.1\n":                                                                                       false,
		"create x hash:ip\nadd x 192.0.2.1 nomatch\n":                                                                                      false,
		"add x 192.0.2.1\n": false,
	} {
		found, ok := queryIPSet(t, script)
		if loaded := compareSets(t, IPSet, script, found, ok); loaded != isLoaded {
			t.Errorf("loaded %v, want %v\n%s", loaded, isLoaded, script)
		}
	}
	for _, member := range []string{"0.0.0.0/0", "0/0", "192.0.2.5/0", "0.0.0.0/1", "0.0.0.0/00", "0.0.0.0/33", "0.0.0.0-255.255.255.255", "192.0.2.0/255.255.255.0", "::/0", "::/1", "::ffff:0:0/96",
		"::ffff:192.0.2.5", "0.0.0.0", "192.0.2.5/24", "192.0.2", "192.0.2.01", "2001:db8::/32"} {
		for _, family := range []string{"inet", "inet6"} {
			text := fmt.Sprintf("create x hash:net family %s\nadd x %s\n", family, member)
			found, ok := queryIPSet(t, text)
			compareSets(t, IPSet, text, found, ok)
		}
	}
}

// Random networks with exceptions are to ehlogate what they are to ipset.
func TestNomatchAgainstIPSet(t *testing.T) {
	testenv.Needs(t, "root", "ipset")
	loaded := false
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 11))
		text := "create -exist x hash:net\n"
		for range 1 + r.IntN(12) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))}), pick(r, 22, 24, 28, 30, 31, 32)).Masked()
			text += fmt.Sprintf("add x %s -exist%s\n", p, pick(r, "", "", " nomatch"))
		}
		found, ok := queryIPSet(t, text)
		loaded = compareSets(t, IPSet, text, found, ok) || loaded
	}
	if !loaded {
		t.Error("no script was loaded")
	}
}

// queryNFT loads a script and returns which of the probes are in one of the sets; ok is false if nft refused the script.
func queryNFT(t *testing.T, text string, sets ...string) (found []string, ok bool) {
	t.Helper()
	out := runInNetwork(t, `nft add table inet t; nft add set inet t s4 '{ type ipv4_addr; flags interval; }'; nft add set inet t s6 '{ type ipv6_addr; flags interval; }'
nft -f - >/dev/null 2>&1 || { echo refused; exit 0; }
for set in `+strings.Join(sets, " ")+`; do
	for addr in `+strings.Join(setProbes, " ")+`; do
		if nft get element inet t $set "{ $addr }" >/dev/null 2>&1; then echo $addr; fi
	done
done`, text)
	if out == "refused\n" {
		return nil, false
	}
	return strings.Fields(out), true
}

// Scripts that add elements are to ehlogate what they are to nft.
func TestAgainstNFT(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	for script, isLoaded := range map[string]bool{
		"add element inet t s4 { 192.0.2.0/24 }\n": true,
		"add element inet t s4 { 192.0.2.0-192.0.2.6, 203.0.113.1 comment \"x\" }; add element inet t s6 { 2001:db8::/64 }\n":                             true,
		"flush set inet t s4\nadd element inet t s4 {\n\t192.0.2.0/29,\n\t203.0.113.1,\n}\nflush set inet t s6\n":                                         true,
		"create element inet t s4 {\n192.0.2.1\n,\n192.0.2.5 }\n":                                                                                         true,
		"add table inet t\nadd set inet t new { type ipv4_addr; flags interval; elements = { 192.0.2.9 } }\nadd element inet t s4 { 10.0.0.1 }\n":         true,
		"table inet t {\n\tset s4 {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { 192.0.2.1 }\n\t}\n}\nadd element inet t s4 { 192.0.2.5 }\n": true,
		"add element inet t s4 { 192.0.2.1 }\nflush set inet t s6\n":                                                                                      true,
		"add element inet t s4 { 192.0.2.1 }\nflush set inet t s4\n":                                                                                      false,
		"add element inet t s4 { 192.0.2.1 }\ndelete element inet t s4 { 192.0.2.1 }\n":                                                                   false,
		"add element inet t s4 { 192.0.2.1, 2001:db8::5 }\n":                                                                                              false,
		"add element inet t s4 { 192.0.2.1\n":                                                                                                             false,
		"add element inet t s4 192.0.2.1\n":                                                                                                               false,
		"flush ruleset\nadd table inet t\n":                                                                                                               true,
	} {
		found, ok := queryNFT(t, script, "s4", "s6", "new")
		if strings.HasPrefix(script, "flush ruleset") {
			found = nil
		}
		if loaded := compareSets(t, NFT, script, found, ok); loaded != isLoaded {
			t.Errorf("loaded %v, want %v\n%s", loaded, isLoaded, script)
		}
	}
	for _, element := range []string{"0.0.0.0/0", "0/0", "192.0.2.5/0", "0.0.0.0/1", "0.0.0.0/00", "0.0.0.0/33", "0.0.0.0-255.255.255.255", "192.0.2.0/255.255.255.0", "::/0", "::/1", "::ffff:0:0/96",
		"::ffff:192.0.2.5", "0.0.0.0", "192.0.2.5/24", "192.0.2", "192.0.2.01", "2001:db8::/32", "*"} {
		for _, set := range []string{"s4", "s6"} {
			text := fmt.Sprintf("table inet t {\n\tset %s {\n\t\ttype ipv%s_addr\n\t\tflags interval\n\t\telements = { %s }\n\t}\n}\n", set, set[1:], element)
			found, ok := queryNFT(t, text, set)
			compareSets(t, NFT, text, found, ok)
		}
	}
}
