package doctor

import (
	"bytes"
	"fmt"
	"maps"
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
	"ehlogate/lists/diag"
	"ehlogate/lists/test/testenv"
)

const examples = "../../../../examples"

// configDir writes a configuration directory.
func configDir(t *testing.T, main, master string) string {
	t.Helper()
	dir := t.TempDir()
	saveSettings(t, dir, main, master)
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

// The shipped examples have no findings, as they are and with all that is commented out in master.cf.
func TestExamples(t *testing.T) {
	testenv.Needs(t, "Postfix")
	options := example(t, "postfix/master.cf")
	all := regexp.MustCompile(`(?m)^#  -o`).ReplaceAllString(options, "  -o")
	for name, master := range map[string]string{
		"as it stands": "smtp inet n - y - - smtpd\n" + options, "all": "smtp inet n - y - - smtpd\n" + all,
		"with postscreen": "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n" + all,
	} {
		dir := configDir(t, "ehlogate_policy =\nehlogate_milter =\nsmtpd_sender_restrictions = $ehlogate_policy\nsmtpd_milters = $ehlogate_milter\n"+
			"smtpd_tls_security_level = may\nsmtpd_sasl_auth_enable = no\n", master+"submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n"+
			example(t, "postfix/master-submission.cf"))
		for _, file := range []string{"ehlogate.cf", "ehlogate-submission.cf", "ehlogate-helo.cf", "ehlogate-helo.regexp"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(example(t, "postfix/"+file)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		pf, err := LivePostfix(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if r := Examine(t.Context(), ThisHost(false), config.Defaults(), pf, nil, nil); len(r.Findings) > 0 { // as in the package: no [listen]
			t.Errorf("%s:\n%s", name, ids(r))
		}
	}
}

// Neither have those of the other mail servers.
func TestOtherExamples(t *testing.T) {
	installExim(t)
	installSendmail(t)
	dir := t.TempDir()
	old := filepath.Join(dir, "exim.conf")
	if err := os.Mkdir(filepath.Join(dir, "lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"exim.conf":         example(t, "exim/ehlogate.conf") + example(t, "legacy-tls/exim.conf"),
		"ehlogate.toml":     example(t, "legacy-tls/list.toml"),
		"lists/legacy.list": example(t, "legacy-tls/legacy.list"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for file, mc := range map[string]string{
		examples + "/exim/ehlogate.conf": example(t, "sendmail/ehlogate.mc"), old: example(t, "sendmail/ehlogate.mc") + example(t, "legacy-tls/sendmail.mc"),
	} {
		x, err := ReadExim(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ReadSendmail(makeSendmailCF(t, mc))
		if err != nil {
			t.Fatal(err)
		}
		cfg := config.Defaults()
		if file == old {
			if cfg, err = config.Load(filepath.Join(filepath.Dir(old), "ehlogate.toml")); err != nil {
				t.Fatal(err)
			}
		}
		if r := Examine(t.Context(), ThisHost(false), cfg, nil, x, s); len(r.Findings) > 0 {
			t.Errorf("%s:\n%s", file, ids(r))
		}
	}
}

// The examples that hide other keywords have no findings, and doctor sees which of their lines is missing.
func TestHideExamples(t *testing.T) {
	installExim(t)
	installSendmail(t)
	dir := t.TempDir()
	files := map[string]string{
		"ehlogate.toml": "[[list]]\nname = \"a\"\nhide = [\"dsn\", \"auth\", \"pipelining\"]\nservices = [\"smtp\", \"submission\"]\nfiles = [\"a.list\"]\n",
		"a.list":        "192.0.2.0/24\n",
		"exim.conf":     example(t, "exim/hide.conf"),
		"without.conf":  strings.Replace(example(t, "exim/hide.conf"), "\ndsn_advertise_hosts = ", "\ndsn_advertise_hosts = *\n# ", 1),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "ehlogate.toml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = config.Defaults().Listen
	mc := example(t, "sendmail/ehlogate.mc")
	for what, want := range map[string]string{"exim.conf": "", "without.conf": "warning keyword-never-hidden: without.conf: dsn_advertise_hosts\n"} {
		x, err := ReadExim(t.Context(), filepath.Join(dir, what))
		if err != nil {
			t.Fatal(err)
		}
		x.file = what
		if got := ids(Examine(t.Context(), ThisHost(false), cfg, nil, x, nil)); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	for mc, want := range map[string]string{
		regexp.MustCompile(`(?m)^dnl ((?:Ksubmission|R\d|R\$).*)$`).ReplaceAllString(mc, "$1"): "",
		mc: "warning submission-not-queried: ehlogate.toml: list\n",
	} {
		s, err := ReadSendmail(makeSendmailCF(t, mc))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(ids(Examine(t.Context(), ThisHost(false), cfg, nil, nil, s)), dir+"/", ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// All output of postconf is understood: continuation lines, options in braces, IPv6, nested tables.
func TestRealPostconf(t *testing.T) {
	testenv.Needs(t, "Postfix")
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
	got := fmt.Sprintln(parseTables(plain.value(smtpdMaps)), plain.value("eg_backup"), splitList(plain.value("smtpd_client_restrictions")),
		plain.isYes("stress"), plain.isChrooted(), plain.isSubmission(), submission.isChrooted(), submission.isSubmission(), pf.Services[2].Command)
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

// Odd settings are what the real Postfix makes of them, live and from copies, for the service that has them.
func TestOddSettings(t *testing.T) {
	testenv.Needs(t, "Postfix")
	const asks = "memcache:eg"
	for name, tc := range map[string]struct {
		main, options string // of main.cf, and of the smtpd on port 25
		param, want   string
		asks          bool // ehlogate is queried about EHLO
	}{
		"macro in a macro":                    {"a = $b\nb = ${c}\nc = memcache:eg\n", "-o " + smtpdMaps + "=$a", smtpdMaps, asks, true},
		"three kinds of macros":               {"a = x\nsmtpd_banner = $a ${a} $(a) $$a\n", "", "smtpd_banner", "x x x $a", false},
		"default of Postfix":                  {"", "", "milter_content_timeout", "300s", false},
		"default from a setting":              {"myhostname = mx.mail.example.org\n", "", "mydomain", "mail.example.org", false},
		"from the default":                    {"myhostname = mx.example.org\nmydestination = $mydomain, $myhostname\n", "", "mydestination", "example.org, mx.example.org", false},
		"if set":                              {"a =\nb = ${a?{static:dsn}:{memcache:eg}}\n", "-o " + smtpdMaps + "=$b", smtpdMaps, asks, true},
		"if set, the short way":               {"a = 1\nsmtpd_banner = ${a?yes}${a:no}\n", "", "smtpd_banner", "yes", false},
		"comparison":                          {"a = 10\nsmtpd_banner = ${{$a} > {9} ? {number} : {text}}\n", "", "smtpd_banner", "number", false},
		"compatibility level":                 {"smtpd_banner = ${{$compatibility_level} <level {3.10} ? {older} : {newer}}\n", "", "smtpd_banner", "older", false},
		"nested ifs":                          {"a = 1\nz =\nsmtpd_banner = ${a?{${z:{deep}}}}\n", "", "smtpd_banner", "deep", false},
		"option with spaces":                  {"", "-o { " + smtpdMaps + " = static:dsn, memcache:eg }", smtpdMaps, "static:dsn, memcache:eg", true},
		"option that a macro of main.cf uses": {"a =\n" + smtpdMaps + " = $a\n", "-o a=memcache:eg", smtpdMaps, asks, true},
		"last option":                         {"", "-o " + smtpdMaps + "=static:dsn -o " + smtpdMaps + "=memcache:eg", smtpdMaps, asks, true},
		"empty option":                        {smtpdMaps + " = memcache:eg\n", "-o " + smtpdMaps + "=", smtpdMaps, "", false},
		"last line of main.cf":                {smtpdMaps + " = memcache:eg\n" + smtpdMaps + " = static:dsn\n", "", smtpdMaps, "static:dsn", false},
		"lines that continue":                 {smtpdMaps + " =\n  static:dsn\n# a comment\n\n  , memcache:eg\n", "", smtpdMaps, "static:dsn , memcache:eg", true},
		"table with blanks":                   {"", "-o { " + smtpdMaps + " = inline:{ { 192.0.2.1 = dsn, silent-discard } }, memcache:eg }", smtpdMaps, "inline:{ { 192.0.2.1 = dsn, silent-discard } }, memcache:eg", true},
		"maps in maps":                        {"a = memcache:eg\n", "-o " + smtpdMaps + "=unionmap:{static:dsn,pipemap:{inline:{x=y},$a}}", smtpdMaps, "unionmap:{static:dsn,pipemap:{inline:{x=y},memcache:eg}}", true},
		"names of the service":                {"25_map = memcache:eg\nsmtpd_banner = $service_name/${process_name}\n", "", "smtpd_banner", "25/smtpd", false},
		"by the service name":                 {smtpdMaps + " = ${{$service_name} == {25} ? {memcache:eg} : {static:dsn}}\n", "", smtpdMaps, asks, true},
		"unused parameters of themselves":     {"loopx = $loopy\nloopy = $loopx\n" + smtpdMaps + " = $eg\neg = memcache:eg\n", "", smtpdMaps, asks, true},
		"unused macro that is not closed":     {"open = ${y\n", "-o own=memcache:eg -o " + smtpdMaps + "=$own", smtpdMaps, asks, true},
		"restriction class":                   {"smtpd_restriction_classes = own\nown = check_policy_service $eg_policy\neg_policy = inet:127.0.0.1:10043\n", "", "own", "check_policy_service inet:127.0.0.1:10043", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := configDir(t, "compatibility_level = 3.6\neg_memcache = inet:127.0.0.1:10046\neg_backup = cidr:/dev/null\n"+tc.main, "25 inet n - n - - smtpd "+tc.options+"\n")
			live, err := LivePostfix(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			saved, err := SavedPostfix(t.Context(), saveCopies(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			for how, pf := range map[string]*Postfix{"live": live, "saved": saved} {
				if got := (view{pf, pf.Services[0]}).value(tc.param); got != tc.want {
					t.Errorf("%s: got %s = %q, want %q", how, tc.param, got, tc.want)
				}
				r := Examine(t.Context(), SavedHost(dir), config.Defaults(), pf, nil, nil)
				notes := regexp.MustCompile(`note not-examined: main.cf: (loop.)\n`).FindAllStringSubmatch(ids(r), -1)
				if want := strings.Count("\n"+tc.main, "\nloop"); len(notes) != want {
					t.Errorf("%s: got %d notes about parameters of themselves, want %d\n%s", how, len(notes), want, ids(r))
				}
				if asks := !slices.Contains(idsOf(r), "note ehlogate-not-queried"); asks != tc.asks {
					t.Errorf("%s: ehlogate is asked: got %v, want %v\n%s", how, asks, tc.asks, ids(r))
				}
			}
		})
	}
}

// What Postfix itself refuses is an error that names the command and the reason.
func TestBrokenSettings(t *testing.T) {
	testenv.Needs(t, "Postfix")
	for name, tc := range map[string]struct{ main, master, want string }{
		"a macro that is not closed":    {"smtpd_banner = ${a\n", "", "truncated macro"},
		"a macro of itself":             {"a = $a\nsmtpd_banner = $a\n", "", "postconf -c"},
		"a macro of itself, in a table": {"a = $a\neg_memcache = inet:$a\n" + smtpdMaps + " = memcache:eg\n", "", "unreasonable macro call nesting"},
		"a macro of itself, in a class": {"a = $a\nown = check_policy_service $a\nsmtpd_restriction_classes = own\n", "25 inet n - n - - smtpd\n", "unreasonable macro call nesting"},
		"no equals sign":                {"smtpd_banner\n", "", "missing '='"},
		"a line with few columns":       {"", "smtp inet n\n", "bad field count"},
	} {
		_, err := LivePostfix(t.Context(), configDir(t, tc.main, tc.master))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "postconf") {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

// Two findings that have one advice name the configuration directory once in each.
func TestSharedAdvice(t *testing.T) {
	testenv.Needs(t, "Postfix")
	dir := configDir(t, "compatibility_level = 3.6\nsmtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10043\n", "25 inet n - n - - smtpd\n")
	pf, err := LivePostfix(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range Examine(t.Context(), ThisHost(false), config.Defaults(), pf, nil, nil).Findings {
		if f.ID == "policy-default-action" || f.ID == "policy-slow" {
			seen++
			if advice := strings.Join(f.Write.Lines, "\n"); strings.Count(advice, "-c '"+dir+"'") != 1 {
				t.Errorf("%s: got advice %q, want one -c", f.ID, advice)
			}
		}
	}
	if seen != 2 {
		t.Errorf("got %d findings about the policy service, want 2", seen)
	}
}

// Each of several instances of Postfix has settings of its own.
func TestInstances(t *testing.T) {
	testenv.Needs(t, "Postfix")
	var dirs []string
	for _, port := range []string{"25", "2525"} {
		dirs = append(dirs, configDir(t, "compatibility_level = 3.6\nmulti_instance_name = postfix-"+port+"\nsmtpd_banner = $multi_instance_name $config_directory\n", port+" inet n - n - - smtpd\n"))
	}
	for i, want := range []string{"postfix-25", "postfix-2525"} {
		pf, err := LivePostfix(t.Context(), dirs[i])
		if err != nil {
			t.Fatal(err)
		}
		r := Examine(t.Context(), ThisHost(false), config.Defaults(), pf, nil, nil)
		if got := pf.values["smtpd_banner"]; got != want+" "+dirs[i] || !strings.Contains(fmt.Sprint(r.Findings), "postconf -c '"+dirs[i]+"' -P") {
			t.Errorf("got %q, want %q and a command for %s:\n%+v", got, want, dirs[i], r.Findings)
		}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "To apply the settings: postfix -c '"+dirs[i]+"' reload\n") {
			t.Errorf("%v\n%s", err, &text)
		}
	}
}

// The domains that a real Postfix serves, those that it makes of its host name among them.
func TestServed(t *testing.T) {
	testenv.Needs(t, "Postfix")
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
			"saved": func() (*Postfix, error) { return SavedPostfix(t.Context(), saveCopies(t, dir)) },
		} {
			pf, err := read()
			if err != nil {
				t.Fatal(err)
			}
			r := Examine(t.Context(), host, cfg, pf, nil, nil)
			got := texts(r)
			want := []string{
				"guard-misses: Postfix serves domains that [guard] does not have: example.org (mydestination), relay.example (relay_domains), alias.example, example.net (virtual_alias_domains)",
				"ehlogate-not-queried: no smtpd queries ehlogate",
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
	for name, flag := range map[string]string{"main.cf": "-n", "master.cf": "-M"} {
		out, err := exec.CommandContext(t.Context(), "postconf", "-c", dir, flag).Output()
		if err != nil {
			t.Fatal(err)
		}
		path, past := filepath.Join(saved, name), time.Now().Add(-time.Minute)
		if err := os.WriteFile(path, out, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	return saved
}

// What is not the output of postconf is an error with its place.
func TestBadOutput(t *testing.T) {
	const m = "smtp inet n - y - - smtpd\n"
	for _, tc := range []struct{ n, p, m, want string }{
		{"no setting\n", "", m, "postconf -n:1: this is not NAME = VALUE"},
		{"a = b\n\n", "smtp/inet/a\n", m, "postconf -P:1: this is not NAME = VALUE"},
		{"", "# x\nsmtps/inet/a = b\n", m, `postconf -P:1: "postconf -M" has no such service`},
		{"", "", "smtp inet n\n", "postconf -M:1: a line of master.cf has too few columns"},
	} {
		_, err := parsePostfix(tc.n, tc.p, tc.m)
		ps, ok := err.(*diag.Problems)
		if !ok || ps.Total != 1 || !strings.HasPrefix(ps.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

// No settings crash the examination, and each finding is about a service that exists.
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
	dir := f.TempDir() // empty, and stays so
	f.Fuzz(func(t *testing.T, n, p, m string) {
		pf, err := parsePostfix(n, p, m)
		var services []string
		if err == nil {
			for _, s := range pf.Services {
				services = append(services, s.String())
			}
		} else { // the checks are to run all the same
			var ps diag.Problems
			pf = &Postfix{Main: parseSettings("n", n, &ps), Services: []*Service{{Name: "smtp", Type: "inet", Chroot: "-", Command: "smtpd", Params: parseSettings("P", p, &ps)}}}
		}
		pf.values = pf.Main
		for _, s := range pf.Services { // as if no setting had a reference to another one
			s.values = maps.Clone(pf.Main)
			maps.Copy(s.values, s.Params)
		}
		x := &Exim{file: "e", text: m, values: map[string]string{advertiseHosts: n, daemonPorts: p, localInterfaces: m, tlsPorts: p}}
		cfg := config.Defaults()
		cfg.Default, cfg.Guard.Domains, cfg.DNS.VerifyNames, cfg.DNS.Wait = lists.Suppress, []string{"example.org"}, true, time.Second
		host := SavedHost(dir)
		host.Trial = false
		r := Examine(t.Context(), host, cfg, pf, x, ParseSendmail("s", m))
		for _, finding := range r.Findings {
			if err == nil && finding.Service != "" && !slices.Contains(services, finding.Service) {
				t.Errorf("a finding about the unknown service %q", finding.Service)
			}
		}
		if err := r.WriteText(new(bytes.Buffer)); err != nil {
			t.Error(err)
		}
	})
}
