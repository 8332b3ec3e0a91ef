package doctor

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

const examples = "../../../../examples"

// configDir writes a configuration directory.
func configDir(t *testing.T, main, master string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		path, past := filepath.Join(dir, name), time.Now().Add(-time.Minute) // for a younger file postconf waits
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func example(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The shipped examples have nothing to complain of, as they stand and with all that is commented out in master.cf.
func TestExamples(t *testing.T) {
	options := example(t, "postfix/master.cf")
	all := regexp.MustCompile(`(?m)^#  -o`).ReplaceAllString(options, "  -o")
	for name, master := range map[string]string{
		"as it stands": "smtp inet n - y - - smtpd\n" + options, "all": "smtp inet n - y - - smtpd\n" + all,
		"with postscreen": "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n" + all,
	} {
		dir := configDir(t, "ehlogate_policy =\nehlogate_milter =\nsmtpd_sender_restrictions = $ehlogate_policy\nsmtpd_milters = $ehlogate_milter\n"+
			"smtpd_tls_security_level = may\nsmtpd_sasl_auth_enable = no\n", master+"submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n")
		for _, file := range []string{"ehlogate.cf", "ehlogate-helo.cf", "ehlogate-helo.regexp"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(example(t, "postfix/"+file)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		pf, err := LivePostfix(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if r := Examine(t.Context(), ThisHost(false), DaemonFrom(config.Defaults()), pf, nil, nil); len(r.Findings) > 0 { // as in the package: no [listen]
			t.Errorf("%s:\n%s", name, ids(r))
		}
	}
}

// So have those of the others.
func TestOtherExamples(t *testing.T) {
	x := ParseExim("ehlogate.conf", example(t, "exim/ehlogate.conf"))
	s := ParseSendmail("ehlogate.mc", example(t, "sendmail/ehlogate.mc"))
	if r := Examine(t.Context(), ThisHost(false), DaemonFrom(config.Defaults()), nil, x, s); len(r.Findings) > 0 {
		t.Error(ids(r))
	}
}

// All that postconf makes of a configuration is understood: continuation lines, options in braces, IPv6, nested tables.
func TestRealPostconf(t *testing.T) {
	dir := configDir(t, `
eg_memcache = inet:[::1]:10046
eg_backup =
	cidr:/dev/null
# a comment
    , texthash:/dev/null
ask = check_policy_service { unix:private/policy, timeout=2s,
    { default_action = DUNNO } }
smtpd_client_restrictions = permit_mynetworks $ask
compatibility_level = 3.6
`, `
127.0.0.1:25 inet n - - - - smtpd -v -o stress=yes
  -o { smtpd_discard_ehlo_keyword_address_maps = unionmap:{cidr:/dev/null, proxy:memcache:eg} }
[::1]:587 inet n - y - - smtpd
    -o smtpd_tls_wrappermode=yes
pickup unix n - y 60 1 pickup
`)
	pf, err := LivePostfix(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(pf.Services) != 3 {
		t.Fatalf("%d services", len(pf.Services))
	}
	plain, submission := view{pf, pf.Services[0]}, view{pf, pf.Services[1]}
	got := fmt.Sprintln(tables(plain.get(smtpdMaps)), plain.get("eg_backup"), words(plain.get("smtpd_client_restrictions")),
		plain.yes("stress"), plain.chrooted(), plain.forSubmission(), submission.chrooted(), submission.forSubmission(), pf.Services[2].Command)
	const want = "[cidr:/dev/null memcache:eg] cidr:/dev/null , texthash:/dev/null " +
		"[permit_mynetworks check_policy_service { unix:private/policy, timeout=2s, { default_action = DUNNO } }] " +
		"true false false true true pickup"
	if strings.Join(strings.Fields(got), " ") != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := LivePostfix(t.Context(), filepath.Join(dir, "missing")); err == nil || !strings.Contains(err.Error(), "main.cf") {
		t.Errorf("without a configuration: %v", err)
	}
}

// What we make of references is what Postfix makes of them.
func TestExpand(t *testing.T) {
	var main strings.Builder
	main.WriteString("myhostname = mx.mail.example.org\nfull = yes, sir\nempty =\nlist = a$full${empty}b\ncompatibility_level = 3.6\n")
	patterns := []string{
		"$mydomain", "$full", "${full}", "$(full)", "x$full.y", "$$full", "$empty|", "$list $list",
		"${full?{yes}:{no}}", "${empty?{yes}:{no}}", "${full?plain $full}", "${empty:plain}", "${empty:{$list}}", "${empty? no } x", "${full? { yes } : { no } }",
		"${full?{${empty:{deep}}}}", "${{$full} == {yes, sir} ? {same} : {other}}", "${{$empty} != {} ? {some} : {none}}",
		"${{2} < {10} ? {number} : {text}}", "${{b} > {a} ? {text}}", "${{$compatibility_level} <level {3.10} ? {older} : {newer}}",
		"${{$compatibility_level} >=level {4} ? {newer} : {older}}",
	}
	for i, p := range patterns {
		fmt.Fprintf(&main, "p%d = [%s]\nsmtpd_x%d = $p%d\n", i, p, i, i)
	}
	dir := configDir(t, main.String(), "")
	pf, err := SavedPostfix(saveCopies(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range patterns {
		name := fmt.Sprintf("p%d", i)
		cmd := exec.CommandContext(t.Context(), "postconf", "-c", dir, "-xh", name)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if got, want := (view{pf, nil}).get(name), strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s: %q, and Postfix says %q", p, got, want)
		}
	}
}

// The domains that a real Postfix serves, those that it makes of its host name among them.
func TestServed(t *testing.T) {
	dir := configDir(t, `
compatibility_level = 3.6
myhostname = mx.example.org
mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain
relay_domains = relay.example, hash:/etc/postfix/relay
virtual_mailbox_maps = lmdb:/etc/postfix/vmail
virtual_alias_domains = alias.example,
  Example.NET
`, "smtp inet n - y - - smtpd\n")
	cfg := config.Defaults()
	cfg.Default, cfg.Guard.Domains = lists.Suppress, []string{"guarded.example"}
	for _, domains := range [][]string{{"guarded.example"}, {"example.org", "relay.example", "alias.example", "example.net"}} {
		cfg.Guard.Domains = domains
		host := ThisHost(false)
		host.Resolvers = func() ([]netip.AddrPort, error) { return nil, nil }
		host.Unit = func() (string, error) { return "", nil }
		for name, read := range map[string]func() (*Postfix, error){
			"live":  func() (*Postfix, error) { return LivePostfix(t.Context(), dir) },
			"saved": func() (*Postfix, error) { return SavedPostfix(saveCopies(t, dir)) },
		} {
			pf, err := read()
			if err != nil {
				t.Fatal(err)
			}
			r := Examine(t.Context(), host, DaemonFrom(cfg), pf, nil, nil)
			got := texts(r)
			want := []string{
				"guard-misses: Postfix serves domains of which [guard] does not know: example.org (mydestination), relay.example (relay_domains), alias.example, example.net (virtual_alias_domains)",
				"ehlogate-not-asked: no smtpd asks ehlogate",
				"guard-unseen: domains in tables of Postfix were not compared with those of [guard]: hash:/etc/postfix/relay, lmdb:/etc/postfix/vmail",
			}
			if len(domains) > 1 {
				want = want[1:]
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

// saveCopies does what the help of the command says.
func saveCopies(t *testing.T, dir string) (saved string) {
	t.Helper()
	saved = t.TempDir()
	for _, flag := range []string{"-n", "-P", "-M"} {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "postconf", "-c", dir, flag)
		cmd.Stdout, cmd.Stderr = &out, &out // as with 2>&1: the warnings do not matter
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		if err := os.WriteFile(filepath.Join(saved, "postconf"+flag), out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return saved
}

// What is not the output of postconf is an error with its place.
func TestBadOutput(t *testing.T) {
	const m = "smtp inet n - y - - smtpd\n"
	for _, tc := range []struct{ n, p, m, want string }{
		{"no setting\n", "", m, "n:1: this is not NAME = VALUE"},
		{"a = b\n\n", "smtp/inet/a\n", m, "P:1: this is not SERVICE/TYPE/PARAMETER = VALUE"},
		{"", "# x\nsmtps/inet/a = b\n", m, `P:2: there is no service "smtps/inet" in M`},
		{"", "", "smtp inet n\n", "M:1: this is no line of master.cf"},
	} {
		_, err := parsePostfix(output{"n", tc.n}, output{"P", tc.p}, output{"M", tc.m})
		ps, ok := err.(*listfile.Problems)
		if !ok || ps.Total != 1 || !strings.HasPrefix(ps.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

// No settings, however strange, keep the examination from its end.
func FuzzPostconf(f *testing.F) {
	names, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), string(data), string(data))
	}
	f.Add("a = $a$a\nsmtpd_discard_ehlo_keyword_address_maps = $a ${b?{$a}:{${c}}}", "smtp/inet/smtpd_milters = { { } }", "smtp inet n - - - - smtpd")
	f.Fuzz(func(t *testing.T, n, p, m string) {
		pf, err := parsePostfix(output{"n", n}, output{"P", p}, output{"M", m})
		var services []string
		if err == nil {
			for _, s := range pf.Services {
				services = append(services, s.String())
			}
		} else { // the rest is to be tried all the same
			var ps listfile.Problems
			pf = &Postfix{Main: settings(output{"n", n}, &ps), Services: []*Service{{Name: "smtp", Type: "inet", Chroot: "-", Command: "smtpd", Params: settings(output{"P", p}, &ps)}}}
		}
		cfg := config.Defaults()
		cfg.Default, cfg.Guard.Domains, cfg.DNS.VerifyNames, cfg.DNS.Wait = lists.Suppress, []string{"example.org"}, true, time.Second
		r := Examine(t.Context(), SavedHost(t.TempDir()), DaemonFrom(cfg), pf, ParseExim("e", n), ParseSendmail("s", m))
		for _, finding := range r.Findings {
			if err == nil && finding.Service != "" && !slices.Contains(services, finding.Service) {
				t.Errorf("a finding about %q, which is not there", finding.Service)
			}
		}
		if err := r.Show(new(bytes.Buffer)); err != nil {
			t.Error(err)
		}
	})
}

// follow runs every command that doctor prints, until it has nothing more to say, and returns what Postfix has then.
func follow(t *testing.T, dir string) (pf *Postfix, said []string) {
	t.Helper()
	for range 4 {
		past := time.Now().Add(-time.Minute)
		for _, name := range []string{"main.cf", "master.cf"} {
			if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
				t.Fatal(err)
			}
		}
		pf, err := LivePostfix(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		r := Examine(t.Context(), ThisHost(false), DaemonFrom(config.Defaults()), pf, nil, nil)
		if len(r.Findings) == 0 {
			return pf, said
		}
		for _, f := range r.Findings {
			said = append(said, f.ID)
			for _, w := range append([]Write{f.Write}, f.Also...) {
				for _, line := range w.Lines {
					if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); w.In != shell || err != nil || len(out) > 0 {
						t.Fatalf("%s: %s: %v\n%s", w.In, line, err, out)
					}
				}
			}
		}
	}
	t.Fatalf("doctor does not come to an end: %q", said)
	return nil, nil
}

const ownMain = `compatibility_level = 3.6
smtpd_tls_security_level = may
eg_memcache = unix:ehlogate/memcache
eg_key_format = starttls:%s
eg_backup = cidr:/dev/null
eg_max_try = 1
eg_timeout = 1
`

// The commands that doctor prints leave one option of a name, with what both had, in a real master.cf.
func TestOneOption(t *testing.T) {
	const (
		own    = "static:dsn"
		ours   = "  -o smtpd_discard_ehlo_keyword_address_maps=memcache:eg\n"
		theirs = "  -o smtpd_discard_ehlo_keyword_address_maps=" + own + "\n"
	)
	for name, tc := range map[string]struct{ main, options string }{
		"ehlogate last":  {"", theirs + ours},
		"ehlogate first": {"", ours + "  -o { smtpd_discard_ehlo_keyword_address_maps = " + own + " }\n"},
		"three":          {"", ours + "  -o smtpd_milters=\n" + theirs + theirs},
		"in main.cf":     {smtpdMaps + " = " + own + "\n", ours},
	} {
		t.Run(name, func(t *testing.T) {
			dir := configDir(t, ownMain+tc.main, "smtp inet n - n - - smtpd\n"+tc.options)
			pf, said := follow(t, dir)
			if _, twice := pf.Services[0].Earlier[smtpdMaps]; twice || !slices.Contains(said, "setting-replaced") {
				t.Errorf("twice: %v, doctor: %q", twice, said)
			}
			if got := pf.Services[0].Params[smtpdMaps]; got != "unionmap:{memcache:eg,"+own+"}" {
				t.Errorf("it is %s", got)
			}
		})
	}
}

// A map that was given to postscreen goes, and what the operator has stays.
func TestPostscreenOption(t *testing.T) {
	for name, tc := range map[string]struct{ main, option, screen, want string }{
		"an option":                 {"", "memcache:eg", "", ""},
		"beside main.cf":            {smtpdMaps + " = static:dsn\n", "memcache:eg", "", "static:dsn"},
		"an option of the operator": {"", "unionmap:{memcache:eg,static:dsn}", "static:dsn", "static:dsn"},
		"main.cf alone":             {smtpdMaps + " = unionmap:{static:dsn, memcache:eg}\n", "", "", "static:dsn"},
	} {
		t.Run(name, func(t *testing.T) {
			options := ""
			if tc.option != "" {
				options = "  -o " + smtpdMaps + "=" + tc.option + "\n"
			}
			dir := configDir(t, ownMain+tc.main, "smtp inet n - n - 1 postscreen\n"+options+"smtpd pass - - n - - smtpd\n  -o "+smtpdMaps+"=memcache:eg,static:dsn\n")
			pf, said := follow(t, dir)
			if got := pf.Services[0].Params[smtpdMaps]; got != tc.screen || !slices.Contains(said, "postscreen-inherits") {
				t.Errorf("its option is %q, doctor: %q", got, said)
			}
			if got := (view{pf, pf.Services[0]}).get(screenMaps); got != tc.want {
				t.Errorf("postscreen asks %q, want %q", got, tc.want)
			}
		})
	}
}

// What is written without white space means the same to Postfix, or is refused.
func TestCompact(t *testing.T) {
	for value, want := range map[string]string{
		"permit_mynetworks, reject_x reject_y":                                   "permit_mynetworks,reject_x,reject_y",
		"check_policy_service { inet:127.0.0.1:1, { default_action = DUNNO } }":  "check_policy_service,{inet:127.0.0.1:1,{default_action=DUNNO}}",
		"{ unix:own, { default_action = 451 4.3.0 Later } }":                     "",
		"unionmap:{memcache:a, proxy:unionmap:{ cidr:b, inline:{ { k = v } } }}": "unionmap:{memcache:a,proxy:unionmap:{cidr:b,inline:{{k=v}}}}",
		"inline:{ { k = REJECT it } }":                                           "",
		"regexp:{ { /^XYZZY$$/ NOOP } }":                                         "",
		"static:{REJECT it}":                                                     "",
		"$ehlogate_map":                                                          "$ehlogate_map",
		"":                                                                       "",
	} {
		got, ok := compact(value)
		if ok != (want != "" || value == "") || ok && got != want {
			t.Errorf("%q: %q, %v; want %q", value, got, ok, want)
		}
	}
	if got := option("smtp inet", "x", "it's").Lines[0]; got != `postconf -P 'smtp/inet/x=it'\''s'` {
		t.Error(got)
	}
}
