package feed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
)

// load writes a file with a text in a format and reads it as a list that allows wide entries.
func load(t *testing.T, f Format, text string) (list *listfile.List, name string) {
	t.Helper()
	name = writeOld(t, "feed", text)
	list, err := listfile.New(listfile.Spec{Patterns: []string{filewatch.EscapeGlob(name)}, Format: f, Rules: listfile.Rules{Action: lists.Suppress, AllowWide: true}}, time.Now).Load()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return list, name
}

// writeOld writes a file that does not look new: Postfix would wait until it is
// not.
func writeOld(t *testing.T, base, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), base)
	must(t, os.WriteFile(name, []byte(text), 0o644))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(name, old, old))
	return name
}

func isMatch(list *listfile.List, c lists.Client) bool {
	return list.Lookup(c).Status == lists.Matched
}

// queryPostfix returns what Postfix finds for those of the keys that are in a table.
func queryPostfix(t *testing.T, table string, keys map[string]bool) map[string]string {
	t.Helper()
	conf := filepath.Dir(writeOld(t, "main.cf", "compatibility_level = 3.6\n"))
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/sbin/postmap", "-c", conf, "-q", "-", table)
	var in strings.Builder
	for key := range keys {
		fmt.Fprintln(&in, key)
	}
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: none is there
		t.Fatalf("postmap: %v\n%s", err, exit.Stderr)
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || !keys[key] {
			t.Fatalf("postmap says %q", line)
		}
		found[key] = value
	}
	return found
}

// onList is what a result of Postfix means for a list; "" is none.
func onList(result string) bool {
	fields := strings.Fields(result)
	return len(fields) > 0 && !strings.EqualFold(fields[0], "DUNNO")
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomNear returns an address of a small space, so that entries overlap.
func randomNear(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(3)), byte(r.IntN(256))})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(1 + r.IntN(2)), 7: byte(1 + r.IntN(2)), 15: byte(r.IntN(256))})
}

// Postfix and ehlogate agree about random cidr tables.
func TestCIDRAgainstPostfix(t *testing.T) {
	testenv.Needs(t, "Postfix")
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b strings.Builder
		depth := 0
		for range 1 + r.IntN(25) {
			a := randomNear(r)
			p, _ := a.Prefix(a.BitLen() - pick(r, 0, 0, r.IntN(10), r.IntN(26), a.BitLen()))
			entry := p.String()
			switch block := r.IntN(8); {
			case block == 0:
				around, _ := a.Prefix(r.IntN(p.Bits() + 1))
				b.WriteString(pick(r, "if ", "IF\t", "if\n  ") + pick(r, around.String(), "["+around.String()+"]") + "\n")
				depth++
			case block == 1 && depth > 0:
				b.WriteString(pick(r, "endif\n", "ENDIF \n"))
				depth--
			}
			switch {
			case p.IsSingleIP() && r.IntN(2) == 0:
				entry = a.StringExpanded()
			case r.IntN(5) == 0:
				entry = "[" + entry + "]"
			case r.IntN(5) == 0:
				entry = strings.Replace("["+entry, "/", "]/", 1)
			}
			b.WriteString(entry + pick(r, " ", "\t\t", "\n  ", "\n# comment\n\n\t") + pick(r, "REJECT", "reject no", "554 5.7.1 no", "DUNNO", "dunno", "DUNNO really", "dunnos") +
				pick(r, "\n", " \n", "\n  DUNNO and more\n", "\n\n# x\n"))
		}
		b.WriteString(strings.Repeat("endif\n", depth))
		list, name := load(t, PostfixCIDR, b.String())
		keys := make(map[string]bool)
		for range 400 {
			keys[randomNear(r).String()] = true
		}
		found := queryPostfix(t, "cidr:"+name, keys)
		for key := range keys {
			if got, want := isMatch(list, lists.Client{Addr: netip.MustParseAddr(key)}), onList(found[key]); got != want {
				t.Fatalf("seed %d: %s: matched %v, Postfix says %q\n%s", seed, key, got, found[key], b.String())
			}
		}
	}
}

// lookUpAccess looks up a client as smtpd does: access(5) and check_namadr_access of
// src/smtpd/smtpd_check.c.
func lookUpAccess(c lists.Client, exact bool, lookUp func(key string) (result string, ok bool)) string {
	for name := c.Name; name != ""; {
		if result, ok := lookUp(name); ok {
			return result
		}
		dot := strings.Index(name[1:], ".") + 1
		if dot == 0 {
			break
		}
		if name = name[dot:]; !exact {
			name = name[1:]
		}
	}
	sep := "."
	if c.Addr.Is6() {
		sep = ":"
	}
	for addr := c.Addr.String(); ; {
		if result, ok := lookUp(addr); ok {
			return result
		}
		at := strings.LastIndex(addr, sep)
		if at < 0 {
			return ""
		}
		addr = addr[:at]
	}
}

// Postfix and ehlogate agree about random access tables.
func TestAccessAgainstPostfix(t *testing.T) {
	testenv.Needs(t, "Postfix")
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 2))
		format := pick(r, PostfixAccess, PostfixExact)
		exact, exceptions := format == PostfixExact, r.IntN(2) == 0
		name := func() string {
			return pick(r, "", "a.", "b.") + pick(r, "", "x.", "y.") + pick(r, "example", "example", "test")
		}
		var b strings.Builder
		for range 1 + r.IntN(25) {
			key, result := "", pick(r, "REJECT", "550 no", "DUNNO", "dunno x")
			switch r.IntN(4) {
			case 0:
				if key = name(); exact && r.IntN(2) == 0 {
					key = "." + key
				}
				if exceptions { // for addresses, so no names on the list
					result = "DUNNO"
				}
			case 1, 2:
				parts := strings.Split(randomNear(r).String(), ":")
				sep := ":"
				if len(parts) == 1 {
					parts, sep = strings.Split(parts[0], "."), "."
				}
				keep := len(parts)
				if cut := 1 + r.IntN(4); r.IntN(2) == 0 && (sep == "." || cut > 1) {
					keep = min(cut, keep)
				}
				key = strings.TrimRight(strings.Join(parts[:keep], sep), ":")
				fallthrough
			default:
				if key == "" {
					key = randomNear(r).String()
				}
				if !exceptions {
					result = "REJECT"
				}
			}
			b.WriteString(pick(r, key, key, strings.ToUpper(key)) + pick(r, " ", "\n\t") + result + "\n")
		}
		list, path := load(t, format, b.String())
		var clients []lists.Client
		keys := make(map[string]bool)
		for range 300 {
			c := lists.Client{Addr: randomNear(r), Name: pick(r, "", name(), "q."+name())}
			clients = append(clients, c)
			lookUpAccess(c, exact, func(key string) (string, bool) { keys[key] = true; return "", false })
		}
		found := queryPostfix(t, "texthash:"+path, keys)
		for _, c := range clients {
			result := lookUpAccess(c, exact, func(key string) (string, bool) { v, ok := found[key]; return v, ok })
			if got, want := isMatch(list, c), onList(result); got != want {
				t.Fatalf("seed %d: %+v: matched %v, Postfix says %q\n%s", seed, c, got, result, b.String())
			}
		}
	}
}

// A result is read to its last line, whatever is between the lines.
func TestContinuedResult(t *testing.T) {
	const text = "192.0.2.0/24 chunking,\n# a comment\n\n  starttls\n198.51.100.0/24 starttls\n203.0.113.0/24\n\tdsn,\n\tstarttls"
	for _, end := range []string{"\n", "\n# the end\n", "\n \n"} {
		list, name := load(t, PostfixCIDR, text+end)
		keys := map[string]bool{"192.0.2.7": true, "198.51.100.7": true, "203.0.113.7": true, "192.0.3.1": true}
		found := queryPostfix(t, "cidr:"+name, keys)
		for key := range keys {
			if got, want := isMatch(list, lists.Client{Addr: netip.MustParseAddr(key)}), strings.Contains(found[key], "starttls"); got != want {
				t.Errorf("%q: %s matches: %v; Postfix finds %q", end, key, got, found[key])
			}
		}
		if len(found) != 3 {
			t.Errorf("Postfix finds %q", found)
		}
	}
}

// Postfix takes a byte order mark for a part of the first pattern, which then is invalid.
func TestByteOrderMark(t *testing.T) {
	const text = "\ufeff192.0.2.7 REJECT\n198.51.100.7 REJECT\n203.0.113.7 REJECT\n"
	for format, kind := range map[Format]string{PostfixCIDR: "cidr:", PostfixAccess: "texthash:", PostfixExact: "texthash:"} {
		list, name := load(t, format, text)
		keys := map[string]bool{"192.0.2.7": true, "198.51.100.7": true, "203.0.113.7": true}
		found := queryPostfix(t, kind+name, keys)
		for key := range keys {
			if got, want := isMatch(list, lists.Client{Addr: netip.MustParseAddr(key)}), onList(found[key]); got != want {
				t.Errorf("%s: %s matches: %v; Postfix finds %q", format, key, got, found[key])
			}
		}
		if len(found) != 2 {
			t.Errorf("%s: Postfix finds %q", format, found)
		}
	}
}
