package feed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

func FuzzDrop(f *testing.F)          { fuzz(f, Drop) }
func FuzzDropText(f *testing.F)      { fuzz(f, DropText) }
func FuzzAddresses(f *testing.F)     { fuzz(f, Addresses) }
func FuzzPostfixCIDR(f *testing.F)   { fuzz(f, PostfixCIDR) }
func FuzzPostfixAccess(f *testing.F) { fuzz(f, PostfixAccess) }
func FuzzPostfixExact(f *testing.F)  { fuzz(f, PostfixExact) }
func FuzzRbldnsdIP4Set(f *testing.F) { fuzz(f, RbldnsdIP4Set) }
func FuzzRbldnsdIP6(f *testing.F)    { fuzz(f, RbldnsdIP6) }
func FuzzRbldnsdDNSet(f *testing.F)  { fuzz(f, RbldnsdDNSet) }
func FuzzIPSet(f *testing.F)         { fuzz(f, IPSet) }
func FuzzNFT(f *testing.F)           { fuzz(f, NFT) }

// fuzz: whatever a file holds, it is refused with a place, or makes a table that
// answers about each of its entries.
func fuzz(f *testing.F, format Format) {
	names, err := filepath.Glob(filepath.Join("testdata", string(format), "*"))
	must(f, err)
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, ".want") {
			f.Add(data)
			for line := range strings.Lines(string(data)) {
				f.Add([]byte(line))
			}
		}
	}
	name := filepath.Join(f.TempDir(), "feed")
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := parse(format, data, name)
		var ps *listfile.Problems
		if err != nil && (!errors.As(err, &ps) || ps.Total == 0 || !strings.HasPrefix(ps.Show("error"), name)) {
			t.Fatalf("an error without a place: %v", err)
		}
		for _, it := range items {
			valid(t, it)
		}
		if err != nil {
			return
		}
		must(t, os.WriteFile(name, data, 0o644))
		table, err := listfile.Read(listfile.Spec{Patterns: []string{listfile.EscapeGlob(name)}, Format: format, Rules: listfile.Rules{Action: lists.Suppress}})
		must(t, err)
		for _, it := range items {
			c := lists.Client{Addr: it.From}
			if it.Kind == listfile.Name {
				c = lists.Client{Name: it.Name}
				if strings.HasPrefix(it.Name, ".") {
					c.Name = "q" + it.Name
				}
			}
			if _, status := table.Lookup(c, time.Now); status == lists.NoMatch {
				t.Fatalf("%s is in the file, and %+v not in the list", it, c)
			}
		}
	})
}

func valid(t *testing.T, it listfile.Item) {
	t.Helper()
	switch {
	case it.Line < 1 || it.Col < 1 || it.Width < 1:
		t.Fatalf("%s stands nowhere: %+v", it, it)
	case it.Kind == listfile.Address && (!it.From.IsValid() || it.From.Is4() != it.To.Is4() || it.To.Less(it.From) || it.From.Is4In6() && it.To.Is4In6() || it.From.Zone() != ""):
		t.Fatalf("%s is no span: %+v", it, it)
	case it.Kind == listfile.Name && (lists.NormalizeName(it.Name) != it.Name || strings.Trim(it.Name, ".") == "" || strings.ContainsAny(it.Name, " *!:/@")):
		t.Fatalf("%q is no name", it.Name)
	case it.Kind == listfile.HELO:
		t.Fatalf("%s in a feed", it)
	}
}
