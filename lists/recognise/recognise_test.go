package recognise_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
	"ehlogate/lists/recognise"
)

// corpus has for each file of testdata what it is, and what its format or the output of its command has for entries.
var corpus = map[string]struct{ what, entries string }{
	"access.db":           {"a hash table of postmap (Berkeley DB)", ""},
	"access.txt":          {"an access table of Postfix", "example.org 192.0.2.0/24 198.51.100.7"},
	"adblock.txt":         {"a filter list of ad blockers", ""},
	"asndrop.json":        {"JSON about autonomous systems", ""},
	"aws.json":            {"JSON of Amazon (ip-ranges.json)", "192.0.2.0/24 2001:db8::/32"},
	"azure.json":          {"JSON of Azure (service tags)", "192.0.2.0/24 2001:db8::/32"},
	"btree.db":            {"a btree table of postmap (Berkeley DB)", ""},
	"cloudflare.json":     {"JSON of Cloudflare", "192.0.2.0/24 2001:db8::/32"},
	"columns.txt":         {"a list of addresses with further columns", "192.0.2.1 198.51.100.7 203.0.113.0/24"},
	"commands.nft":        {"sets of nft", ""},
	"csv-header.csv":      {"a table with named columns (CSV)", "192.0.2.1 198.51.100.7"},
	"csv-quoted.csv":      {"a table with named columns (CSV)", "192.0.2.1 198.51.100.7"},
	"csv-semicolon.csv":   {"a table with named columns (CSV)", "192.0.2.1 198.51.100.7"},
	"dnset.rbl":           {"a data set of rbldnsd", "bad.example worse.example .worse.example"},
	"drop.json":           {"Spamhaus DROP in JSON", "192.0.2.0/24"},
	"drop.txt":            {"Spamhaus DROP as text", "192.0.2.0/24 198.51.100.0/24"},
	"ehlogate.toml":       {"a config of ehlogate", ""},
	"error.xml":           {"XML", ""},
	"exim-hosts.txt":      {"a host list of Exim", "192.0.2.0/24 198.51.100.7 *.example.org !10.0.0.0/8"},
	"exim.conf":           {"lists of an Exim config", "192.0.2.0/24 2001:db8::/32"},
	"fastly.json":         {"JSON of Fastly", "192.0.2.0/24 2001:db8::/32"},
	"forbidden.html":      {"a web page", ""},
	"github.json":         {"JSON of GitHub (meta)", "192.0.2.0/24 2001:db8::/32"},
	"google.json":         {"JSON of Google", "192.0.2.0/24 2001:db8::/32"},
	"helo.pcre":           {"a regexp or pcre table of Postfix", ""},
	"hosts.deny":          {"a file of TCP wrappers (hosts_access)", "192.0.2.0/255.255.255.0 198.51.100.7"},
	"hosts":               {"the hosts file of a machine", "192.0.2.7 192.0.2.8"},
	"hosts.txt":           {"a hosts file", "localhost ads.example.org track.example.net x.example.com"},
	"ip4set.rbl":          {"a data set of rbldnsd", "192.0.2.1 198.51.100.0/24 !198.51.100.7"},
	"ip6trie.rbl":         {"a data set of rbldnsd", "2001:db8::/32 2001:db8:1::/48"},
	"ipset.restore":       {"the output of \"ipset save\"", ""},
	"iptables.rules":      {"rules of iptables", "192.0.2.0/24 198.51.100.7"},
	"list.bz2":            {"compressed by bzip2", "192.0.2.0/24 2001:db8::/32"},
	"list.gz":             {"compressed by gzip", "192.0.2.0/24 2001:db8::/32"},
	"list.pdf":            {"a PDF document", ""},
	"list.tar":            {"a tar archive", "192.0.2.0/24 2001:db8::/32"},
	"list.xz":             {"compressed by xz", "192.0.2.0/24 2001:db8::/32"},
	"list.zip":            {"a zip archive, as spreadsheets are too", "192.0.2.0/24 2001:db8::/32"},
	"list.zst":            {"compressed by zstd", "192.0.2.0/24 2001:db8::/32"},
	"local.cf":            {"a config of SpamAssassin", "192.0.2.0/24 198.51.100.7 192.0.2.0/24"},
	"maillog.txt":         {"a log file", ""},
	"masks.csv":           {"a list of addresses with masks", "192.0.2.0/24 198.51.100.0/25"},
	"microsoft365.json":   {"JSON of Microsoft 365 (endpoints)", "192.0.2.0/24 2001:db8::/32"},
	"nft.json":            {"JSON of nft", ""},
	"oracle.json":         {"JSON of Oracle", "192.0.2.0/24 2001:db8::/32"},
	"other.json":          {"JSON", "192.0.2.0 192.0.2.0/24 2001:db8::/32"},
	"page.html":           {"a web page", ""},
	"ranges.csv":          {"a list with two addresses in a line", "192.0.2.0/24 198.51.100.1-198.51.100.9"},
	"rpz.zone":            {"a zone file of a DNS server", ""},
	"scores.txt":          {"a list of addresses with further columns", "192.0.2.1 198.51.100.7"},
	"sendmail-access.txt": {"an access file of Sendmail", "192.0.2.0/24 spam.example"},
	"set.nft":             {"sets of nft", "192.0.2.1 192.0.2.7"},
	"spf.txt":             {"an SPF record", "192.0.2.0/24 2001:db8::/32"},
	"blocks.cidr":         {"a cidr table of Postfix", "192.0.2.7 192.0.2.200 198.51.100.0/24 2001:db8::/48"},
	"table.cidr":          {"a cidr table of Postfix", "192.0.2.0/24 !198.51.100.7"},
	"table.txt":           {"a table of Postfix", ""}, // REJECT and OK: see its error
	"nginx.conf":          {"a text with addresses among other words", ""},
	"ipfilter.dat":        {"a list of ranges for eMule or PeerGuardian", "192.0.2.0/24 198.51.100.7-198.51.100.9"},
	"example.p2p":         {"a list of ranges for PeerGuardian", "192.0.2.0/24 198.51.100.7-198.51.100.9"},
	"lsearch.txt":         {"a file for lsearch of Exim", "192.0.2.1 198.51.100.0/24"},
	"ipset.list":          {"the output of \"ipset list\"", ""},
	"several.txt":         {"a list with several entries in a line", "192.0.2.1 198.51.100.7 203.0.113.0/24"},
	"dshield.txt":         {"a list with two addresses in a line", "192.0.2.0/24 198.51.100.0/24"},
	"ranges-quoted.csv":   {"a list with two addresses in a line", "192.0.2.0/24 198.51.100.1-198.51.100.9"},
	"spf-dig.txt":         {"an SPF record", "192.0.2.0/24 2001:db8::/32"},
	"fail2ban.log":        {"a log file", ""},
	"utf16be.txt":         {"text in UTF-16", "192.0.2.0/24 2001:db8::/32"},
	"utf16le.txt":         {"text in UTF-16", "192.0.2.0/24 2001:db8::/32"},
}

func entriesIn(t *testing.T, format string, data []byte) (string, error) {
	t.Helper()
	var entries []string
	each := func(it *listfile.Item) error { entries = append(entries, it.String()); return nil }
	rules := listfile.Rules{AnyAction: true}
	var err error
	if format == "" {
		err = listfile.Parse(bytes.NewReader(data), "x", rules, each)
	} else {
		err = feed.Format(format).Parse(bytes.NewReader(data), "x", rules, each)
	}
	return strings.Join(entries, " "), err
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data[:min(len(data), recognise.HeadSize)]
}

// Each file is what it is, and is read by the format that is named, or made a list by the command, which runs.
func TestCorpus(t *testing.T) {
	names, err := os.ReadDir("testdata")
	if err != nil || len(names) != len(corpus) {
		t.Errorf("%d files, %d in the table, %v", len(names), len(corpus), err)
	}
	for _, name := range slices.Sorted(maps.Keys(corpus)) {
		want := corpus[name]
		path := filepath.Join("testdata", name)
		data := readFile(t, path)
		k, ok := recognise.Recognise(data)
		if !ok || k.What != want.what {
			t.Errorf("%s is %q, want %q", name, k.What, want.what)
			continue
		}
		if len(k.Formats) == 0 && (k.Command == "") == (k.Hint == "") {
			t.Errorf("%s: neither or both of a command and a hint: %+v", name, k)
		}
		got := ""
		switch {
		case want.entries == "":
			continue
		case len(k.Formats) > 0:
			got, err = entriesIn(t, k.Formats[0], data)
		case name == "exim-hosts.txt" || name == "hosts.deny": // the errors of ehlogate say the rest
			got = strings.Join(strings.Fields(run(t, k.CommandFor(path))), " ")
		default:
			got, err = entriesIn(t, "", []byte(run(t, k.CommandFor(path))))
		}
		if err != nil || got != want.entries {
			t.Errorf("%s by %v%s: got %q, want %q, %v", name, k.Formats, k.CommandFor(path), got, want.entries, err)
		}
	}
}

func run(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return string(out)
}

// Every format that is named exists, and every format is named.
func TestFormatsExist(t *testing.T) {
	named := map[string]bool{"rbldnsd-ip6trie": true, "rbldnsd-dnset": true}
	for name := range corpus {
		k, _ := recognise.Recognise(readFile(t, filepath.Join("testdata", name)))
		for _, f := range k.Formats {
			named[f] = true
			if _, err := feed.ParseFormat(f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, f := range feed.Formats() {
		if !named[f] {
			t.Errorf("no file in testdata is recognised as %s", f)
		}
	}
}

// No file in a format that ehlogate reads is taken for one in another: it is taken for its own format, or for one that reads
// the same in it, or may be anything.
func TestNoConfusion(t *testing.T) {
	matrix := make(map[string]map[string]int)
	for _, format := range feed.Formats() {
		names, err := filepath.Glob(filepath.Join("..", "feed", "testdata", format, "*"))
		if err != nil || len(names) == 0 {
			t.Errorf("no files in format %s, %v", format, err)
		}
		matrix[format] = make(map[string]int)
		for _, name := range names {
			if strings.HasSuffix(name, ".want") {
				continue
			}
			data := readFile(t, name)
			k, ok := recognise.Recognise(data)
			switch {
			case !ok:
				matrix[format]["nothing"]++
			case k.Reads(format):
				matrix[format][format]++
			default:
				matrix[format][k.What]++
				t.Errorf("%s is taken for %s", name, k.What)
			}
			if want, err := entriesIn(t, format, data); err == nil && ok {
				for _, f := range k.Formats {
					if got, err := entriesIn(t, f, data); f != format && (err != nil || got != want) && !feed.Format(f).HasResults() {
						t.Errorf("%s is %q in format %s, and %q in %s, %v", name, want, format, got, f, err)
					}
				}
			}
		}
	}
	for _, name := range []string{"../../examples/lists/allow.list", "../../examples/lists/deny.list", "../listfile/testdata/bad/addresses.list", "../listfile/testdata/bad/names.list", "../listfile/testdata/bad/words.list"} {
		if k, ok := recognise.Recognise(readFile(t, name)); ok {
			t.Errorf("%s, a list file, is taken for %s", name, k.What)
		}
	}
	for _, format := range feed.Formats() {
		t.Logf("%-22s %v", format, matrix[format])
	}
}

// A file that is in the format of its list is not taken for one in another, however little there is in it.
func TestRightFormat(t *testing.T) {
	for _, tc := range []struct{ format, text string }{
		{"sendmail-access", "192.0.2\tREJECT\nexample.org\tREJECT\n"}, {"sendmail-access", "192.0.2.1\tREJECT\n"}, {"postfix-cidr", "192.0.2.1 x\n"}, {"postfix-access", "192.0.2.1 x\n"},
		{"rbldnsd-ip6trie", "$TTL 35m\n:127.0.0.2:x\n"}, {"rbldnsd-dnset", "$NS 1w ns.example\n:2:x\n"}, {"rbldnsd-ip4set", "$TTL 35m\n"},
	} {
		if k, ok := recognise.Recognise([]byte(tc.text)); ok && !k.Reads(tc.format) {
			t.Errorf("%q in format %s is taken for %s", tc.text, tc.format, k.What)
		}
	}
}

// Names of files are quoted for the shell.
func TestCommandFor(t *testing.T) {
	k := recognise.Kind{Command: "cat FILE"}
	for name, want := range map[string]string{"/etc/x.list": "cat /etc/x.list", "a b": "cat 'a b'", "it's": `cat 'it'\''s'`, "": "cat ''", "$(x)": "cat '$(x)'"} {
		if got := k.CommandFor(name); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

func FuzzRecognise(f *testing.F) {
	names, err := filepath.Glob("testdata/*")
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
	f.Fuzz(func(t *testing.T, head []byte) {
		if k, ok := recognise.Recognise(head); ok && (k.What == "" || len(k.Formats) == 0 && k.Command == "" && k.Hint == "") {
			t.Errorf("%q: %+v", head, k)
		}
	})
}
