package export

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// postmap looks up clients in tables with Postfix itself.
type postmap struct {
	dir   string
	files int
}

func newPostmap(t *testing.T) *postmap {
	t.Helper()
	m := &postmap{dir: t.TempDir()}
	m.writeOld(t, "main.cf", []byte("compatibility_level = 3.6\n"))
	return m
}

// writeOld writes a file that does not look new: Postfix would wait until it is not.
func (m *postmap) writeOld(t *testing.T, name string, text []byte) (path string) {
	t.Helper()
	path, old := filepath.Join(m.dir, name), time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(path, text, 0o644), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
	return path
}

// write exports a table and returns its name for Postfix. One of addresses is made into a database of a type.
func (m *postmap) write(t *testing.T, p *Policy, format string) (table string) {
	t.Helper()
	var text bytes.Buffer
	if err := p.WriteTable(t.Context(), format, &text); err != nil {
		t.Fatal(err)
	}
	m.files++
	path := m.writeOld(t, fmt.Sprintf("%d.table", m.files), text.Bytes())
	if slices.Contains(CIDRFormats, format) {
		return "cidr:" + path
	}
	table = []string{"lmdb:", "cdb:"}[m.files%2] + path
	out, err := exec.CommandContext(t.Context(), "/usr/sbin/postmap", "-c", m.dir, table).CombinedOutput()
	for line := range strings.Lines(string(out)) { // an address may end with ::
		if err != nil || !strings.HasSuffix(line, `record is in "key: value" format; is this an alias file?`+"\n") {
			t.Fatalf("postmap %s: %v\n%s", table, err, out)
		}
	}
	return table
}

// lookup returns what Postfix finds in tables, of which the first that has a client decides.
func (m *postmap) lookup(t *testing.T, clients []netip.Addr, tables ...string) map[netip.Addr]string {
	t.Helper()
	var in strings.Builder
	for _, a := range clients {
		fmt.Fprintf(&in, "%s\n", appendAddress(nil, a))
	}
	cmd := exec.CommandContext(t.Context(), "/usr/sbin/postmap", append([]string{"-c", m.dir, "-q", "-"}, tables...)...)
	cmd.Stdin = strings.NewReader(in.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && len(out) > 0 || stderr.Len() > 0 { // it fails where nothing is found
		t.Fatalf("%v: %s", err, &stderr)
	}
	values := make(map[netip.Addr]string)
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		values[netip.MustParseAddr(key)] = value
	}
	return values
}

// crowd makes random entries that overlap: addresses, networks within networks, ranges, exceptions, some expired.
type crowd struct {
	*rand.Rand
	centers []netip.Addr
}

func newCrowd(seed uint64) crowd {
	c := crowd{Rand: rand.New(rand.NewPCG(seed, 20))}
	for range 4 {
		c.centers = append(c.centers, netip.AddrFrom4([4]byte{byte(c.IntN(256)), byte(c.IntN(256)), byte(c.IntN(256)), byte(c.IntN(256))}),
			netip.AddrFrom16([16]byte{0x20, byte(c.IntN(2)), 0xd, byte(c.IntN(256)), 7: byte(c.IntN(2)), 15: byte(c.IntN(256))}))
	}
	return c
}

// addr returns an address that has some of its first bits from one of the centers, and the others at random.
func (c crowd) addr() netip.Addr {
	center := c.centers[c.IntN(len(c.centers))]
	b := center.AsSlice()
	for i := c.IntN(8 * len(b)); i < 8*len(b); i++ {
		b[i/8] ^= byte(c.IntN(2)) << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (c crowd) list(entries int) string {
	var b strings.Builder
	for range entries {
		a := c.addr()
		entry := a.String()
		switch c.IntN(3) {
		case 0:
			p, _ := a.Prefix(a.BitLen() - c.IntN(1+c.IntN(a.BitLen()-1)))
			entry = p.String()
		case 1:
			if z := c.addr(); a.Is4() == z.Is4() && !z.Less(a) {
				entry += "-" + z.String()
			}
		}
		if c.IntN(3) == 0 {
			entry = "!" + entry
		}
		if c.IntN(6) == 0 {
			entry += " until=" + now.Add(time.Duration(c.IntN(5)-2)*time.Hour).Format(time.RFC3339)
		}
		b.WriteString(entry + "\n")
	}
	return b.String()
}

func (c crowd) policy(t *testing.T) *Policy {
	t.Helper()
	var ls []testList
	for range 1 + c.IntN(4) {
		l := testList{action: lists.Action(c.IntN(3)), mode: lists.Mode(c.IntN(6) / 5), text: c.list(c.IntN(60)),
			hide: []lists.Keywords{0, 0, dsn, auth, dsn | auth}[c.IntN(5)], services: lists.Services(c.IntN(4))}
		if l.hide != 0 && c.IntN(2) == 0 {
			l.action = lists.NoAction
		}
		ls = append(ls, l)
	}
	p := newTestPolicy(t, lists.Action(c.IntN(2)), lists.Enforce, ls...)
	p.Service, p.WithoutNetworks = lists.Service(c.IntN(4)/3), true
	return p
}

// Postfix itself finds in each table what the daemon decides, for the first and the last address of each entry, for those
// beside them, and for others.
func TestPostmap(t *testing.T) {
	testenv.Needs(t, "Postfix")
	m := newPostmap(t)
	for seed := range uint64(48) {
		c := newCrowd(seed)
		p := c.policy(t)
		withWindow(t, []int{1 << 16, 20}[seed%2])
		var clients []netip.Addr
		for a := range p.findBoundaries() {
			clients = append(clients, a)
			for _, beside := range []netip.Addr{a.Prev(), a.Next()} {
				if beside.IsValid() {
					clients = append(clients, beside)
				}
			}
		}
		for range 100 {
			clients = append(clients, c.addr())
		}
		clients = slices.DeleteFunc(clients, netip.Addr.Is4In6) // Postfix has none
		tables := [][]string{{m.write(t, p, PostfixCIDR)}}
		switch seed % 4 {
		case 0:
			tables = append(tables, []string{m.write(t, p, PostfixCIDRFlat)})
		case 1:
			tables = append(tables, []string{m.write(t, p, PostfixAddresses), m.write(t, p, PostfixNetworks)})
		}
		for _, names := range tables {
			found := m.lookup(t, clients, names...)
			for _, a := range clients {
				d := p.Policy.Decide(t.Context(), lists.Client{Addr: a, Service: p.Service})
				want := string(values.Append(nil, p.Service, &d))
				if got := cmp.Or(found[a], string(values.Append(nil, p.Service, &lists.Decision{}))); got != want {
					t.Fatalf("seed %d, %s: Postfix finds %q in %v, the daemon decides %q", seed, a, got, names, want)
				}
			}
		}
	}
}

// Addresses are spelled as inet_ntop(3) does, of which Postfix has the keys that it looks up.
func TestSpelling(t *testing.T) {
	testenv.Needs(t, "getent")
	for _, text := range []string{"192.0.2.1", "::", "::1", "::1234", "::1:0", "::c000:201", "::1:c000:201", "2001:db8:0:1::1", "2001:db8::1:0:0:1", "2001:0:0:1::", "64:ff9b::c000:201"} {
		out, err := exec.CommandContext(t.Context(), "getent", "ahosts", text).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(appendAddress(nil, netip.MustParseAddr(text))), strings.Fields(string(out))[0]; got != want {
			t.Errorf("%s is written as %s, and Postfix looks up %s", text, got, want)
		}
	}
}

func withWindow(t *testing.T, rules int) {
	before := windowRules
	windowRules = rules
	t.Cleanup(func() { windowRules = before })
}
