package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/diag"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
	"ehlogate/lists/ratelimit"
)

// Every file in testdata/bad must be refused with exactly the report that
// stands beside it. UPDATE=1 writes the reports anew.
func TestBadConfigs(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d bad configs, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := Load(name)
			var ps *diag.Problems
			if !errors.As(err, &ps) {
				t.Fatalf("got %v, want *file.Problems", err)
			}
			got, golden := ps.Report("error"), strings.TrimSuffix(name, ".toml")+".err"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.toml")
	if err := os.WriteFile(empty, []byte("# nothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(empty)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.File, want.Digest = empty, c.Digest
	if !reflect.DeepEqual(c, want) {
		t.Errorf("an empty config is %+v, want the defaults %+v", c, want)
	}
	if _, err := Load(filepath.Join(dir, "missing.toml")); !os.IsNotExist(err) {
		t.Errorf("a missing config gives %v", err)
	}
}

// TestDigest checks that every value changes the digest of a config, and that nothing else does.
func TestDigest(t *testing.T) {
	digest := func(text string) string {
		t.Helper()
		c, err := parse("x.toml", "/", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	const list = "[[list]]\nname = \"a\"\naction = \"suppress\"\nfiles = [\"a.list\"]\n"
	seen := map[string]string{}
	for _, text := range []string{"# nothing\n", "mode = \"observe\"\n", "always_hide = [\"dsn\"]\n", list, list + "allow_wide = true\n",
		list + strings.ReplaceAll(list, `"a`, `"b`), strings.ReplaceAll(list, `"a`, `"b`) + list, "[dns]\nwait = \"1s\"\n"} {
		d := digest(text)
		if other, ok := seen[d]; ok || len(d) != 64 {
			t.Errorf("%q and %q have the digest %q", text, other, d)
		}
		seen[d] = text
		if again := digest("# why\n" + strings.ReplaceAll(text, " = ", "=")); again != d {
			t.Errorf("%q: a comment and spaces change the digest", text)
		}
	}
	// Another version of ehlogate, with more keys, has the same digest.
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(`{"mode":"observe"}`))); digest("mode = \"observe\"\n") != want {
		t.Errorf("more than the values in the document are in the digest")
	}
}

func TestAll(t *testing.T) {
	c, err := parse("x.toml", "/etc/ehlogate", []byte(`
mode = "observe"
default = "suppress"
always_hide = ["chunking", "DSN"]
explicit_offer = true
require_reply = "550 5.7.10 no"
max_entries = 5
policy.suppressed = "no_tls {list}"
milter.add_header = true
listen.memcache = ["/run/m", "[::1]:10046"]
listen.socket_group = "postfix"
listen.socket_mode = "0600"
listen.max_connections = 10
log = { level = "debug", format = "json" }
[[list]]
name = "a"
action = "require"
mode = "observe"
files = ["a.list", "/srv/*.list"]
allow_wide = true
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Digest = c.Digest
	want.File, want.Mode, want.Default, want.AlwaysHide, want.ExplicitOffer = "x.toml", lists.Observe, lists.Suppress, []string{"chunking", "DSN"}, true
	want.Listen = Listen{Explicit: true, Addresses: map[string][]string{"memcache": {"/run/m", "[::1]:10046"}}, SocketGroup: "postfix", SocketMode: 0o600, MaxConnections: 10}
	want.Log.Level, want.Log.JSON = 5, true
	want.RequireReply, want.Policy.RequireUnmet, want.Policy.Suppressed, want.Milter.AddHeader = "550 5.7.10 no", "550 5.7.10 no", "no_tls {list}", true
	want.Lists = []List{{Name: "a", Action: lists.Require, Mode: lists.Observe, Spec: listfile.Spec{
		Patterns: []string{"/etc/ehlogate/a.list", "/srv/*.list"},
		Rules:    listfile.Rules{Action: lists.Require, AllowWide: true}, MaxEntries: 5,
	}}}
	want.MaxEntries = 5
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestReputation(t *testing.T) {
	c, err := parse("x.toml", "/etc/ehlogate", []byte(`
default = "limit"
dns = { resolvers = ["127.0.0.1", "[::1]:5353"], wait = "0s", timeout = "2s", verify_names = true, max_lookups = 9, cache_entries = 1000, min_ttl = "1s", max_ttl = "1m", stale = "2d" }
limit = { offers_per_second = 0.5, keep = "1m30s", cpu_pressure = "12.5%", pressure_file = "/sys/fs/cgroup/mail/cpu.pressure" }
guard = { domains = ["Example.org."], state = "" }
[[list]]
name = "dns"
action = "suppress"
zones = [{zone = "List.Example.", answer = "127.0.0.[2;4]", weight = 2}, {zone = "names.example", by = "name", health_check = false}]
threshold = 3
[[list]]
name = "feed"
action = "suppress"
files = ["drop.json"]
format = "drop"
min_entries = 500
expire_after = "1.5d"
[[list]]
name = "table"
action = "offer"
files = ["table.cidr"]
format = "postfix-cidr"
results = ["Permit", "550"]
[[list]]
name = "zone"
action = "offer"
files = ["zone"]
format = "rbldnsd-ip4set"
answer = "127.0.0.[2;4]"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.File, want.Digest = "x.toml", c.Digest
	want.Limit = &Limit{Rate: ratelimit.Rate{OffersPerSecond: 0.5, Keep: 90 * time.Second}, CPUPressure: 0.125, PressureFile: "/sys/fs/cgroup/mail/cpu.pressure"}
	want.DNS = DNS{Resolvers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:5353")},
		Timeout: 2 * time.Second, VerifyNames: true,
		Cache: dnscache.Options{MaxLookups: 9, CacheEntries: 1000, MinTTL: time.Second, MaxTTL: time.Minute, Stale: 48 * time.Hour}}
	want.Guard = Guard{Domains: []string{"example.org"}}
	two4, err := answer.Parse("127.0.0.[2;4]")
	if err != nil {
		t.Fatal(err)
	}
	want.Lists = []List{
		{Name: "dns", Action: lists.Suppress, Spec: listfile.Spec{MaxEntries: want.MaxEntries}, Zones: dnsbl.Spec{Threshold: 3, Zones: []dnsbl.Zone{
			{Domain: dnsbl.NewDomain("list.example", ""), Answer: two4, Weight: 2}, {Domain: dnsbl.NewDomain("names.example", ""), ByName: true, Weight: 1, NoHealthCheck: true}}}},
		{Name: "feed", Action: lists.Suppress, Spec: listfile.Spec{Patterns: []string{"/etc/ehlogate/drop.json"}, Rules: listfile.Rules{Action: lists.Suppress},
			MaxEntries: want.MaxEntries, Format: feed.Drop, MinEntries: 500, ExpireAfter: 36 * time.Hour}},
		{Name: "table", Action: lists.Offer, Spec: listfile.Spec{Patterns: []string{"/etc/ehlogate/table.cidr"}, MaxEntries: want.MaxEntries,
			Format: feed.Filtered{Format: feed.PostfixCIDR, Results: "permit 550"}}},
		{Name: "zone", Action: lists.Offer, Spec: listfile.Spec{Patterns: []string{"/etc/ehlogate/zone"}, MaxEntries: want.MaxEntries,
			Format: feed.Filtered{Format: feed.RbldnsdIP4Set, Answer: two4}}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if !c.UsesDNS() || !c.Lists[0].IsDNSList() || !c.Lists[0].IsExternal() || c.Lists[1].IsDNSList() || !c.Lists[1].IsExternal() {
		t.Error("taken for something else")
	}
}

// Whatever stands in a config, it is taken or refused with a place.
func FuzzParse(f *testing.F) {
	for _, glob := range []string{"testdata/bad/*.toml", "../../../../examples/*.toml"} {
		names, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("listen.memcache=[\"/run/m\"]\nlog={level=\"debug\"}\n[[list]]\nname='a'\n\"action\"='''offer'''\n"))
	for _, m := range readMistakes(f) {
		f.Add([]byte(m.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := parse("fuzz.toml", "/etc", data)
		if ps, ok := err.(*diag.Problems); ok {
			if !strings.HasPrefix(ps.Report("error"), "fuzz.toml:") {
				t.Fatalf("no place: %s", ps.Report("error"))
			}
		} else if err != nil {
			t.Fatalf("an error that is not *file.Problems: %v", err)
		}
	})
}

// Every key is refused in any other spelling than its own, in every form that TOML
// has for it, with its place and with how it is spelled.
func TestKeysAreExact(t *testing.T) {
	spell := map[string]func(string) string{
		"capital":  func(k string) string { return strings.ToUpper(k[:1]) + k[1:] },
		"last":     func(k string) string { return k[:len(k)-1] + strings.ToUpper(k[len(k)-1:]) },
		"capitals": strings.ToUpper,
	}
	n := 0
	try := func(doc, wrong, right string, line, col int) {
		t.Helper()
		n++
		_, err := parse("x.toml", "/etc", []byte(doc))
		var ps *diag.Problems
		if !errors.As(err, &ps) {
			t.Errorf("%q: got %v", doc, err)
			return
		}
		for _, p := range ps.First {
			if p.Line == line && p.Col == col && strings.Contains(p.Msg, wrong) && strings.HasPrefix(p.Hint, "write "+right+":") {
				return
			}
		}
		t.Errorf("%q: nothing at %d:%d about %s:\n%s", doc, line, col, wrong, ps.Report("error"))
	}
	var walk func(of reflect.Type, path string)
	walk = func(of reflect.Type, path string) {
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("toml")
			of, value := of.Field(i).Type, ""
			for of.Kind() == reflect.Pointer {
				of = of.Elem()
			}
			switch {
			case of.Kind() == reflect.Struct:
				value = "{}"
			case of.Kind() == reflect.Slice:
				value = "[]"
			default:
				value = map[reflect.Kind]string{reflect.String: `"x"`, reflect.Bool: "true", reflect.Int: "7", reflect.Float64: "7.5"}[of.Kind()]
			}
			for _, change := range spell {
				wrong := change(key)
				switch path {
				case "":
					try("# x\n"+wrong+" = "+value+"\n", wrong, key, 2, 1)
					try("# x\n  \""+wrong+"\" = "+value+"\n", wrong, key, 2, 3)
				case "list", "list.zones":
					head, at := "[[list]]\nname = \"a\"\n", 3
					if path == "list.zones" {
						head, at = head+"[[list.zones]]\nzone = \"a.example\"\n", 5
						try("[[list]]\nzones = [{"+wrong+" = "+value+"}]\n", wrong, key, 2, 11)
						try("list = [{zones = [{}, {"+wrong+" = "+value+"}]}]\n", wrong, key, 1, 24)
					} else {
						try("list = [{}, {"+wrong+" = "+value+"}]\n", wrong, key, 1, 14)
					}
					try(head+wrong+" = "+value+"\n", wrong, key, at, 1)
					try(head+"'"+wrong+"' = "+value+"\n", wrong, key, at, 1)
				default:
					try("["+path+"]\n"+wrong+" = "+value+"\n", wrong, key, 2, 1)
					try(path+"."+wrong+" = "+value+"\n", wrong, key, 1, len(path)+2)
					try(path+" . \""+wrong+"\" = "+value+"\n", wrong, key, 1, len(path)+4)
					try(path+" = {"+wrong+" = "+value+"}\n", wrong, key, 1, len(path)+5)
				}
				if value == "{}" {
					try("["+wrong+"]\n", wrong, key, 1, 2)
					try("['"+wrong+"']\n", wrong, key, 1, 2)
				}
			}
			for of.Kind() == reflect.Slice {
				of = of.Elem()
			}
			if of.Kind() == reflect.Struct {
				walk(of, strings.TrimPrefix(path+"."+key, "."))
			}
		}
	}
	walk(reflect.TypeFor[raw](), "")
	if n < 500 {
		t.Errorf("tried %d documents", n)
	}
}

// A key that stands twice is refused, in whatever forms.
func TestKeysStandOnce(t *testing.T) {
	for _, doc := range []string{
		"mode = \"enforce\"\nmode = \"observe\"\n",
		"mode = \"enforce\"\n\"mode\" = \"observe\"\n",
		"'mode' = \"enforce\"\n\"mo\\u0064e\" = \"observe\"\n",
		"[dns]\nwait = \"1s\"\nwait = \"2s\"\n",
		"[dns]\nwait = \"1s\"\n[dns]\n",
		"dns.wait = \"1s\"\n[dns]\nwait = \"2s\"\n",
		"dns.wait = \"1s\"\ndns.wait = \"2s\"\n",
		"dns.wait = \"1s\"\n\"dns\".'wait' = \"2s\"\n",
		"dns = {wait = \"1s\",\n wait = \"2s\"}\n",
		"dns = {wait = \"1s\"}\ndns.stale = \"2s\"\n",
		"dns = {wait = \"1s\"}\n[dns]\n",
		"[[list]]\naction = \"offer\"\naction = \"suppress\"\n",
		"list = [{action = \"offer\"},\n {action = \"offer\", action = \"suppress\"}]\n",
		"list = [{action = \"offer\"}]\n[[list]]\naction = \"suppress\"\n",
		"[[list]]\nzones = [{zone = \"a.example\", weight = 1,\n weight = 2}]\n",
		"[[list]]\n[[list.zones]]\nweight = 1\nweight = 2\n",
		"[[list]]\n[[list.zones]]\nweight = 1\n[list.zones]\nweight = 2\n",
		"[[list]]\nzones = [{weight = 1}]\n[[list.zones]]\nweight = 1\n",
	} {
		_, err := parse("x.toml", "/etc", []byte(doc))
		var ps *diag.Problems
		if !errors.As(err, &ps) || len(ps.First) != 1 || ps.First[0].Line < 1 || ps.First[0].Col < 1 {
			t.Errorf("%q: got %v", doc, err)
		}
	}
}

// TestLearn: the numbers of the rules are read, and the rest are defaults.
func TestLearn(t *testing.T) {
	const text = `
logs.files = ["/var/log/mail.log"]
guard.off = true
learn = { state = "/srv/learned.db", never = ["never.list"] }
fallback = { sessions = 4, spacing = "1m", max_share = 0.25, observe_for = "2d", watch = ["/etc/postfix/*.cf"] }
earned = { days = 3, of = "10d", max_rejects = 0.5 }
[[list]]
name = "a"
action = "legacy"
learn = "fallback"
[[list]]
name = "b"
action = "suppress"
learn = "fallback"
mode = "enforce"
[[list]]
name = "c"
action = "offer"
learn = "earned"
`
	c, err := parse("x.toml", "/etc/ehlogate", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults().Learn
	want.State, want.Never.Patterns, want.ObserveFor, want.Watch = "/srv/learned.db", []string{"/etc/ehlogate/never.list"}, 48*time.Hour, []string{"/etc/postfix/*.cf"}
	want.Never.MaxEntries, want.Never.Rules.AllowWide = c.MaxEntries, true
	want.Fallback.Legacy, want.Fallback.Suppress, want.Fallback.Sessions, want.Fallback.Spacing, want.Fallback.MaxShare = true, true, 4, time.Minute, 0.25
	want.Earned.Days, want.Earned.Of, want.Earned.MaxRejects = 3, 10, 0.5
	if !reflect.DeepEqual(c.Learn, want) {
		t.Errorf("got  %+v\nwant %+v", c.Learn, want)
	}
	modes := []lists.Mode{lists.Observe, lists.Enforce, lists.Enforce}
	for i, l := range c.Lists {
		if l.Mode != modes[i] || !l.IsLearned() || !l.IsExternal() || l.IsOfFiles() || l.IsDNSList() {
			t.Errorf("got %+v", l)
		}
	}
	if !c.Learns() || !c.NeedsGuard() || c.FindLearned(LearnEarned, lists.NoAction) != "c" || c.FindLearned(LearnFallback, lists.Suppress) != "b" || c.FindLearned(LearnEarned, lists.Suppress) != "" {
		t.Errorf("%v, %v", c.Learns(), c.NeedsGuard())
	}
}
