package feed

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/test/testenv"
)

// rbldnsd and ehlogate agree about random data sets.
func TestAgainstRbldnsd(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	var zones []zoneText
	makers := []func(*rand.Rand) zoneText{randomIP4Set, randomIP6Trie, randomDNSet}
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		zones = append(zones, makers[seed%3](r))
	}
	for _, f := range []Format{RbldnsdIP4Set, RbldnsdIP6, RbldnsdDNSet} {
		names, err := filepath.Glob(filepath.Join("testdata", string(f), "good*.rbl"))
		must(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			must(t, err)
			zones = append(zones, zoneText{f, strings.TrimPrefix(string(f), "rbldnsd-"), string(text)})
		}
	}
	lookUp, _ := startRbldnsd(t, zones, 0)
	yes, no := 0, 0
	for i, z := range zones {
		list, _ := load(t, z.format, z.text)
		r := rand.New(rand.NewPCG(uint64(i), 4))
		for _, c := range clientsNear(r, z) {
			listed := len(lookUp(questionOf(t, c, i))) > 0
			if got := isMatch(list, c); got != listed {
				t.Fatalf("zone %d: %+v: matched %v, listed %v\n%s", i, c, got, listed, z.text)
			}
			if listed {
				yes++
			} else {
				no++
			}
		}
	}
	if yes < 2000 || no < 2000 {
		t.Errorf("%d listed, %d not", yes, no)
	}
}

// clientsNear returns clients that are in a zone, and near its entries.
func clientsNear(r *rand.Rand, z zoneText) (out []lists.Client) {
	items, _ := parse(z.format, []byte(z.text), "x")
	for _, it := range items {
		if it.Kind == iptable.Name {
			name := strings.TrimPrefix(it.Name, ".")
			out = append(out, lists.Client{Name: name}, lists.Client{Name: "q." + name}, lists.Client{Name: "q.q." + name})
			continue
		}
		for _, a := range []netip.Addr{it.From, it.To, it.From.Prev(), it.To.Next()} {
			if a.IsValid() && len(out) < 300 {
				out = append(out, lists.Client{Addr: a})
			}
		}
	}
	for range 30 {
		switch z.format {
		case RbldnsdIP4Set:
			out = append(out, lists.Client{Addr: addr4(randomIPv4(r))})
		case RbldnsdIP6:
			out = append(out, lists.Client{Addr: randomIPv6(r)})
		default:
			out = append(out, lists.Client{Name: randomName(r)})
		}
	}
	return out
}

// randomIPv4 is near where the pieces of rbldnsd end.
func randomIPv4(r *rand.Rand) uint32 {
	edges := []uint32{10 << 24, 10<<24 | 1<<8, 10<<24 | 2<<8, 10<<24 | 1<<16, 10<<24 | 2<<16, 11 << 24, 12 << 24, 0, 1<<32 - 1, 10<<24 | 128}
	return pick(r, edges...) + uint32(r.IntN(5)) - 2
}

func randomIP4Set(r *rand.Rand) zoneText {
	var b strings.Builder
	for range 1 + r.IntN(16) {
		a, z := randomIPv4(r), randomIPv4(r)
		if z < a {
			a, z = z, a
		}
		bits := pick(r, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 31, 32)
		octets := strings.Split(addr4(a&^hostMask(bits)).String(), ".")
		entry := ""
		switch r.IntN(6) {
		case 0:
			entry = addr4(a).String()
		case 1:
			entry = fmt.Sprintf("%s-%s", addr4(a), addr4(z))
		case 2:
			entry = fmt.Sprintf("%s/%d", strings.Join(octets[:max(1, (bits+7)/8)], "."), bits)
		case 3:
			entry = strings.Join(octets[:2+r.IntN(3)], ".")
		case 4:
			n := 1 + r.IntN(4)
			from := strings.Split(addr4(a).String(), ".")
			to := strings.Split(addr4(z).String(), ".")
			entry = strings.Join(from[:n], ".") + "-" + strings.Join(to[:n], ".")
		case 5:
			n := 1 + r.IntN(4)
			from := strings.Split(addr4(a).String(), ".")
			entry = strings.Join(from[:n], ".") + "-" + pick(r, "255", from[n-1])
		}
		b.WriteString(pick(r, "", "", "", "!", "! ", " ") + entry + pick(r, "", " ", " # x", ";x", " :3:", " some text", " :127.0.0.9: $ x") + "\n")
		if r.IntN(8) == 0 {
			b.WriteString(pick(r, ":4:default", "$TTL 1h", "# x", "", ":7") + "\n")
		}
	}
	return zoneText{RbldnsdIP4Set, "ip4set", b.String()}
}

func randomIPv6(r *rand.Rand) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(r.IntN(2)), 7: byte(r.IntN(3)), 9: byte(r.IntN(2)), 15: byte(r.IntN(4))})
}

func randomIP6Trie(r *rand.Rand) zoneText {
	var b strings.Builder
	for range 1 + r.IntN(20) {
		p, _ := randomIPv6(r).Prefix(pick(r, 32, 48, 47, 64, 63, 65, 126, 127, 128, 128))
		entry := p.String()
		switch {
		case p.IsSingleIP() && r.IntN(2) == 0:
			entry = pick(r, p.Addr().String(), p.Addr().StringExpanded(), strings.ToUpper(p.Addr().String()))
		case p.Bits()%16 == 0:
			entry = strings.Join(strings.Split(p.Addr().StringExpanded(), ":")[:p.Bits()/16], ":")
		}
		b.WriteString(pick(r, "", "", "", "!", "! ", " ") + entry + pick(r, "", " ", " # x", ";x", " :3:", " some text", " :127.0.0.9: $ x") + "\n")
	}
	return zoneText{RbldnsdIP6, "ip6trie", b.String()}
}

func randomName(r *rand.Rand) string {
	return pick(r, "", "a.", "b.") + pick(r, "", "x.", "y.") + pick(r, "", "x.") + pick(r, "example", "test")
}

func randomDNSet(r *rand.Rand) zoneText {
	var b strings.Builder
	for range 1 + r.IntN(12) {
		name := pick(r, "", ".", "*.") + randomName(r)
		b.WriteString(pick(r, "", "", "!", "! ") + pick(r, name, strings.ToUpper(name)) + pick(r, "", ".", " ", " # x", " :3:", " some text") + "\n")
	}
	return zoneText{RbldnsdDNSet, "dnset", b.String()}
}

// A range that rbldnsd ignores is an error, and so is one that only list files know.
func TestRangesOfRbldnsd(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.0/24": "127.0.0.0-127.0.0.255", "127.0.0": "127.0.0.0-127.0.0.255", "127.0.0.0-127.0.0.255": "127.0.0.0-127.0.0.255", "127.0.0.1-255": "127.0.0.1-127.0.0.255",
		"127.16-127.31": "127.16.0.0-127.31.255.255", "127.16-31": "127.16.0.0-127.31.255.255", "127.16.0/12": "127.16.0.0-127.31.255.255", "127/8": "127.0.0.0-127.255.255.255",
		"127.16.0-31": "127.16.0.0-127.16.31.255", "1-2": "1.0.0.0-2.255.255.255", "0/1": "0.0.0.0-127.255.255.255", "0/0": "", "0.0.0.0/0": "", "10.0.0.0/0": "", "255.255.255.255": "255.255.255.255-255.255.255.255",
		"127-127.0.0": "", "127": "", "": "", "127.0.0.1.1": "", "127.0.0.1/": "", "1..2": "", "-": "", "1-": "", "127.0.0.010": "127.0.0.10-127.0.0.10", "+1.2.3.4": "", "127.0.0.0/+8": "",
	} {
		from, to, msg := parseIP4Range(text)
		if got := fmt.Sprintf("%s-%s", addr4(from), addr4(to)); (msg == "") != (want != "") || want != "" && got != want {
			t.Errorf("%q: %s, %q; want %q", text, got, msg, want)
		}
	}
}
