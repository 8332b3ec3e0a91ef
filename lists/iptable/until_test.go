package iptable_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
)

// temporary makes most lines of a list expire, at one of few times, and repeats
// some of them with another time.
func temporary(r *rand.Rand, lines []string) string {
	var b strings.Builder
	write := func(line string) {
		b.WriteString(line)
		if r.IntN(4) > 0 {
			fmt.Fprintf(&b, " until=%s", epoch.Add(time.Duration(r.IntN(12))*time.Hour).Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	for _, line := range lines {
		line, _, _ = strings.Cut(line, " until=")
		if line == "" || line[0] == '#' {
			continue
		}
		for write(line); r.IntN(3) == 0; {
			write(line)
		}
	}
	return b.String()
}

func at(r *rand.Rand) time.Time { return epoch.Add(time.Duration(r.IntN(28)-2) * 30 * time.Minute) }

// Table and oracle agree where entries expire, overlap and are repeated.
func TestUntilAgainstOracle(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		text := temporary(r, strings.Split(listtest.Random(r, 1+r.IntN(50), epoch), "\n"))
		table, items := build(t, text, listfile.Rules{Action: lists.Suppress, AllowWide: true})
		for range 300 {
			compare(t, table, items, randomClient(r), at(r))
		}
	}
	entries := listtest.Mixed(3000)
	r := rand.New(rand.NewPCG(5, 5))
	table, items := build(t, temporary(r, strings.Split(strings.TrimSpace(listtest.Format(entries)), "\n")), listfile.Rules{Action: lists.Suppress, AllowWide: true})
	for _, a := range listtest.Clients(entries, 3000) {
		compare(t, table, items, lists.Client{Addr: a}, at(r))
	}
}

// However many temporary entries overlap, and however, they are taken, and soon.
func TestManyOverlap(t *testing.T) {
	const n = 12000
	until := func(i int) string { return " until=" + epoch.Add(time.Duration(i)*time.Second).Format(time.RFC3339) }
	for name, line := range map[string]func(i int) string{
		"one after another": func(i int) string {
			return addr4(10<<24+uint32(i)).String() + "-" + addr4(10<<24+1<<16+uint32(i)).String() + until(i)
		},
		"ending earlier": func(i int) string {
			return addr4(10<<24+uint32(i)).String() + "-" + addr4(10<<24+1<<16+uint32(i)).String() + until(n-i)
		},
		"nested": func(i int) string {
			return addr4(10<<24+uint32(i)).String() + "-" + addr4(10<<24+1<<16-uint32(i)).String() + until(n-i)
		},
		"the same":         func(i int) string { return "10.0.0.0/8" + until(i) },
		"the same, before": func(i int) string { return "10.0.0.0/8" + until(n-i) },
		"the same name":    func(i int) string { return "mail.example" + until(n-i) },
		"IPv6":             func(i int) string { return fmt.Sprintf("2001:db8::%x-2001:db8::1:%x", i, i) + until(n-i) },
		"over lasting ones": func(i int) string {
			if i%2 == 0 {
				return addr4(10<<24+uint32(i)).String() + "-" + addr4(10<<24+1<<16+uint32(i)).String()
			}
			return addr4(10<<24+uint32(i)).String() + "-" + addr4(10<<24+1<<16-uint32(i)).String() + until(n-i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for i := range n {
				b.WriteString(line(i) + "\n")
			}
			begun := time.Now()
			table, items := build(t, b.String(), listfile.Rules{AllowWide: true})
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("loaded in %v", took)
			}
			r := rand.New(rand.NewPCG(6, 6))
			for range 60 {
				c := lists.Client{Addr: addr4(10<<24 + r.Uint32N(1<<17)), Name: "mail.example"}
				if name == "IPv6" {
					c.Addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(r.IntN(2)), 14: byte(r.IntN(256)), 15: byte(r.IntN(256))})
				}
				compare(t, table, items, c, epoch.Add(time.Duration(r.IntN(n+2))*time.Second-time.Second/2))
			}
			if stored := table.StoredCandidates(); stored > n {
				t.Errorf("%d entries are stored for %d", stored, n)
			}
		})
	}
}

// An entry that is closer than all that expire decides at all times, and is not looked
// for among them.
func TestUntilCloserThanTemporary(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintln(&b, addr4(10<<24+uint32(i)*3))
	}
	b.WriteString("10.0.0.0/8 until=2026-01-02\n")
	table, _ := build(t, b.String(), listfile.Rules{})
	if n := table.Intervals4(); n != 1 || table.IsExpiring(addr4(10<<24+3)) {
		t.Errorf("%d spans are looked through", n)
	}
	table, _ = build(t, "10.0.0.0/8\n10.0.0.1 until=2026-01-02\n", listfile.Rules{})
	for _, a := range []netip.Addr{addr4(10 << 24), addr4(10<<24 + 1), addr4(10<<24 + 2)} {
		if expiring := table.IsExpiring(a); expiring != (a == addr4(10<<24+1)) {
			t.Errorf("%s: expiring %v", a, expiring)
		}
	}
}

// A list with more text than a table can hold is refused where it has too much.
func TestTooMuchText(t *testing.T) {
	defer iptable.LimitTexts(30)()
	for _, text := range []string{"192.0.2.1 # a note of twenty bytes\n192.0.2.2\n  192.0.2.3 # another one\n", "192.0.2.1-192.0.2.6\n192.0.2.9\n  2001:db8::1-2001:db8::7\n", "a.a-long-name.example\n\n  another.example\n"} {
		path := filepath.Join(t.TempDir(), "x.list")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := listfile.New(listfile.Spec{Patterns: []string{path}}, time.Now).Load()
		var ps *diag.Problems
		if !errors.As(err, &ps) || ps.Total != 1 || ps.First[0].Line != 3 || ps.First[0].Col != 3 || !strings.Contains(ps.First[0].Msg, "30 bytes") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Table and oracle agree about any list.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07"))
	f.Add([]byte(strings.Repeat("\x01\x10\x20\x05\x02\x11\x20\x04\x83\x10\x21\x00", 3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Four bytes are an entry: kind and exception, both ends, and how long.
		var b strings.Builder
		b.WriteString("# x\n")
		for n := 0; len(data) >= 4 && n < 20; data, n = data[4:], n+1 {
			from, to := min(data[1], data[2]), max(data[1], data[2])
			if data[0]&0x80 != 0 {
				b.WriteByte('!')
			}
			switch data[0] % 4 {
			case 0:
				fmt.Fprintf(&b, "255.255.255.%d-255.255.255.%d", from, to)
			case 1:
				fmt.Fprintf(&b, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff%02x-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff%02x", from, to)
			case 2:
				p, _ := netip.AddrFrom4([4]byte{10, 0, 255 + data[0]>>6&1, data[1]}).Prefix(int(24 + data[2]%9))
				b.WriteString(p.String())
			case 3:
				b.WriteString([]string{"a.example", ".example", "b.a.example"}[data[1]%3])
			}
			if data[3] < 200 {
				fmt.Fprintf(&b, " until=%s", epoch.Add(time.Duration(data[3]%8)*time.Hour).Format(time.RFC3339))
			}
			b.WriteByte('\n')
		}
		table, items := build(t, b.String(), listfile.Rules{AllowWide: true})
		for _, i := range []int{0, 2, 5, 8} {
			now := epoch.Add(time.Duration(i)*time.Hour - time.Second)
			for _, it := range items {
				for _, a := range []netip.Addr{it.From, it.From.Prev(), it.To, it.To.Next()} {
					compare(t, table, items, lists.Client{Addr: a}, now)
				}
			}
			compare(t, table, items, lists.Client{Name: "b.a.example"}, now)
		}
	})
}

func addr4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
