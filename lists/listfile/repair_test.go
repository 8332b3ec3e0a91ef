package listfile

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/diag"
)

// mistakes are lines as operators write them: in the language of another program, from a mail, from a spreadsheet.
var mistakes = []string{
	// Lines of other languages, whose first word is no host.
	"table <bad> persist { 192.0.2.1 }", "[block]", "<RequireAll>", "Order Deny,Allow", "permit ip host 192.0.2.1 any", "Status for the jail: postfix", `"bad"`,
	// What a hint must not turn into its opposite, or make wider.
	"10.0.0.0/8 except 10.1.2.3", "10.0.0.0/8 but not 10.1.2.3", "10.0.0.0/8, !10.1.2.3", "10.0.0.0/8 ! 10.1.2.3", `!/^mail\.example\.org$/`, `!mail\.example\.org`, `!\.example\.org$`, `!.*\.example\.org`,
	"allow 192.0.2.1", "!deny 192.0.2.1", "192.0.2.1 permit", "192.0.2.1 DUNNO", "mail.example.org OK", "192.0.2.1 = allow", "whitelist 192.0.2.1",
	// Addresses and networks.
	"192.0.2", "192.0.2.", "192.168.", "10.", "10.1/16", "10/8", "10.1.2/16", "0/0", "192.0.2.*", "192.0.*.*", "192.0.*", "10.x.x.x", "192.0.2.1.", "192.000.002.001", "010.001.0.0/16",
	"192.0.2.300", "192.0.2.1.5", "192.0.2.5/24", "1.2.3.4/0", "192.0.2.0/33", "192.0.2.0/024", "192.0.2.0/", "/24", "192.0.2.0 / 24", "192.0.2.0/ 24", "192.0.2.5 /24",
	`192.0.2.0\24`, "192.0.2.0 255.255.255.0", "192.0.2.5 255.255.255.0", "192.0.2.0 netmask 255.255.255.0", "192.0.2.0/255.255.255.0", "192.0.2.0/0.0.0.255", "192.0.2.0 0.0.0.255", "10.0.0.0/254.0.0.0",
	"192,0,2,1", "192.0.2.1:25", "[192.0.2.1]", "[192.0.2.1]:25", "[2001:db8::1]", "[IPv6:2001:db8::1]", "IPv6:2001:db8::1", "<192.0.2.1>", `"192.0.2.1"`, `"192.0.2.1",`, "'192.0.2.0/24'", "(192.0.2.1)",
	"ip4:192.0.2.0/24", "+ip4:192.0.2.1", "ip6:2001:db8::/32", "ip:192.0.2.1", "Connect:192.0.2.1", "host=mail.example.org",
	"2001:db8", "2001:db8:1/48", "2001:db8:::1", "2001:db8::1/64", "2001:db8::g", "fe80::1%eth0", "2001:db8::/129",
	// Ranges.
	"192.0.2.1-9", "192.0.2.1 - 192.0.2.9", "192.0.2.1 -192.0.2.9", "192.0.2.1..192.0.2.9", "192.0.2.1 to 192.0.2.9", "192.0.2.9-192.0.2.1", "192.0.2.1\u2013192.0.2.9", "192.0.2.0/24-192.0.3.0/24", "1.0.0.0-2.0.0",
	// Several entries, and text around one.
	"192.0.2.1, 192.0.2.2", "192.0.2.1,192.0.2.2", "192.0.2.1 192.0.2.2", "192.0.2.1;192.0.2.2", "192.0.2.1,", "192.0.2.1;", "192.0.2.1 // printer", "192.0.2.1 ; printer", "// printer", "; printer", "-- printer", "rem printer", "/* printer */",
	"192.0.2.1 printer", "192.0.2.1\t8", "192.0.2.1 REJECT", "192.0.2.1 OK", "deny 192.0.2.1", "allow from 192.0.2.0/24", "permit: 192.0.2.1", "192.0.2.1 = deny", "0.0.0.0 ads.example.org", "192.0.2.1 (spam)",
	"-192.0.2.1", "! 192.0.2.1", "not 192.0.2.1", "except 192.0.2.0/24", "!", "!!192.0.2.1",
	// Characters.
	"192.0.2.1\u00a0", "192.0.2.0\u00a0/\u00a024", "\ufeff192.0.2.1", "192.0.2.1\u200b", "\u201c192.0.2.1\u201d", "mail\u2010one.example.org", "\uff11\uff19\uff12.0.2.1",
	// Names.
	"*.example.org", ".*.example.org", "*example.org", "*", "example.*", "mail..example.org", "mail_1 .example.org", "user@example.org", "@example.org", "mail.example.org:25", "smtp://mail.example.org:25/", "https://example.org/list?x=1", "m\u00fcller.example", ".m\u00fcller.example",
	".com", "mail.example.org/24", "include:_spf.example.org", "a:mail.example.org", "$INCLUDE other.list", "include other.list",
	`/^mail-\d+\.example\.org$/`, `/\.dyn\.example\.net$/i`, `^192\.0\.2\.`, `/^192\.0\.2\./`, `mail[0-9]+\.example\.org`, `.*\.example\.org`, `(mail|mx)\.example\.org`,
	"ALL", "any", "unknown", "AS64500", "default", "!all",
	// HELO names.
	`helo:"ylmf-pc"`, "helo:ylmf-pc,", "helo:<ylmf-pc>", "helo:m\u00fcller.example", "helo: ylmf-pc", "helo=ylmf-pc", "HELO ylmf-pc", "EHLO:ylmf-pc", "helo:.dyn.example", "helo:*dyn.example", "helo:*.", "helo:", "!helo:ylmf-pc", "helo:*", "helo:a b",
	// Expiry.
	"192.0.2.1 until 2026-12-01", "192.0.2.1 until: 2026-12-01", "192.0.2.1 until = 2026-12-01", "192.0.2.1 expires=2026-12-01", "192.0.2.1 until=2026/12/01", "192.0.2.1 until=01.12.2026", "192.0.2.1 until=tomorrow", "192.0.2.1 until=2026-13-01", "192.0.2.1 until=2026-12-01 18:00", "192.0.2.1 until=2026-12-01T18:00", "192.0.2.1 until=", "192.0.2.1 UNTIL=2026-12-01",
}

func problemOf(t testing.TB, line string, rules Rules) (diag.Problem, bool) {
	t.Helper()
	err := Parse(strings.NewReader("# first\n"+line+"\n"), "x", rules, func(*Item) error { return nil })
	ps, ok := err.(*diag.Problems)
	if err == nil {
		return diag.Problem{}, false
	} else if !ok || len(ps.First) != 1 {
		t.Fatalf("%q: %v", line, err)
	}
	return ps.First[0], true
}

// Each mistake gets the message and the hint in testdata/mistakes.txt. UPDATE=1 writes it anew.
func TestMistakes(t *testing.T) {
	var b strings.Builder
	for _, line := range mistakes {
		p, ok := problemOf(t, line, Rules{Action: lists.Suppress})
		if !ok {
			t.Errorf("%q is no mistake", line)
			continue
		}
		fmt.Fprintf(&b, "%+q\n\t%s\n\t%s\n", line, p.Msg, p.Hint)
		if p.Line != 2 || p.Col == 0 || p.Width == 0 && len(line) > p.Col {
			t.Errorf("%q: no place: %+v", line, p)
		}
	}
	golden(t, "testdata/mistakes.txt", b.String())
}

// written finds what hints say to write.
var written = regexp.MustCompile(`\b(?:write|or) (?:an? |the |one |both |its |it |names |addresses|networks)?(\S*[0-9.:]\S*)`)

// checkHint fails if a hint says to write what is an error itself.
func checkHint(t *testing.T, line string, rules Rules) {
	t.Helper()
	p, bad := problemOf(t, line, rules)
	if !bad {
		return
	}
	for _, m := range written.FindAllStringSubmatch(p.Hint, -1) {
		text := strings.TrimSuffix(m[1], ",")
		if strings.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !strings.ContainsAny(text, "0123456789") || text == "helo:*" || strings.HasSuffix(text, ":") {
			continue // FIRST-LAST, .DOMAIN
		}
		if _, wrong := problemOf(t, text, rules); wrong {
			t.Errorf("%q: the hint %q is an error itself", line, p.Hint)
		}
	}
	if text, ok := strings.CutPrefix(p.Hint, "write "); ok && strings.Contains(text, "#") {
		if _, wrong := problemOf(t, text, rules); wrong {
			t.Errorf("%q: the hint %q is an error itself", line, p.Hint)
		}
	}
}

// What a hint says to write is valid, for each action.
func FuzzHints(f *testing.F) {
	for _, line := range mistakes {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n") || len(line) > 200 {
			return
		}
		for _, rules := range []Rules{{Action: lists.Suppress}, {Action: lists.Offer}, {Action: lists.Require}, {AnyAction: true}} {
			checkHint(t, line, rules)
		}
	})
}
