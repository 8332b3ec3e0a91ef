package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/test/testenv"
)

// follow runs every command that doctor prints, until it has no more findings, and returns the settings of Postfix
// then.
func follow(t *testing.T, dir string, cfg *config.Config) (pf *Postfix, said []string) {
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
		r := Examine(t.Context(), ThisHost(false), cfg, pf, nil, nil)
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
	t.Fatalf("doctor still has findings: %q", said)
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
	testenv.Needs(t, "Postfix")
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
			pf, said := follow(t, dir, config.Defaults())
			if _, twice := pf.Services[0].Earlier[smtpdMaps]; twice || !slices.Contains(said, "setting-replaced") {
				t.Errorf("twice: %v, doctor: %q", twice, said)
			}
			if got := pf.Services[0].Params[smtpdMaps]; got != "unionmap:{memcache:eg,"+own+"}" {
				t.Errorf("it is %s", got)
			}
		})
	}
}

// The commands remove a map from postscreen, and leave the tables of the operator.
func TestPostscreenOption(t *testing.T) {
	testenv.Needs(t, "Postfix")
	for name, tc := range map[string]struct{ main, option, screen, want string }{
		"an option":                 {"", "memcache:eg", "", ""},
		"beside main.cf":            {smtpdMaps + " = static:silent-discard\n", "memcache:eg", "", "static:silent-discard"},
		"an option of the operator": {"", "unionmap:{memcache:eg,static:silent-discard}", "static:silent-discard", "static:silent-discard"},
		"main.cf alone":             {smtpdMaps + " = unionmap:{static:silent-discard, memcache:eg}\n", "", "", "static:silent-discard"},
	} {
		t.Run(name, func(t *testing.T) {
			options := ""
			if tc.option != "" {
				options = "  -o " + smtpdMaps + "=" + tc.option + "\n"
			}
			dir := configDir(t, ownMain+tc.main, "smtp inet n - n - 1 postscreen\n"+options+"smtpd pass - - n - - smtpd\n  -o "+smtpdMaps+"=memcache:eg,static:silent-discard\n")
			pf, said := follow(t, dir, config.Defaults())
			if got := pf.Services[0].Params[smtpdMaps]; got != tc.screen || !slices.Contains(said, "postscreen-inherits") {
				t.Errorf("its option is %q, doctor: %q", got, said)
			}
			if got := (view{pf, pf.Services[0]}).value(screenMaps); got != tc.want {
				t.Errorf("postscreen asks %q, want %q", got, tc.want)
			}
		})
	}
}

// The command removes from submission what decides about STARTTLS, and leaves the other tables of the operator and the map of
// submission.
func TestSubmissionOption(t *testing.T) {
	testenv.Needs(t, "Postfix")
	const exported, own, hides = "cidr:$config_directory/ehlogate.cidr", "cidr:$config_directory/own.cidr", "cidr:$config_directory/hides.cidr"
	for name, tc := range map[string]struct{ main, option, want string }{
		"an exported table":     {exported, "", ""},
		"a map":                 {"memcache:eg", "", ""},
		"a table that hides":    {hides, "", ""},
		"beside another table":  {exported + ", " + own, "", own},
		"in a unionmap":         {"unionmap:{" + exported + ", " + own + "}", "", own},
		"in another parameter":  {"$eg_map", "", own},
		"all of them":           {exported, exported + ", memcache:eg, " + hides + ", " + own, own},
		"the map of submission": {exported, "memcache:sub, " + exported, "memcache:sub"},
	} {
		t.Run(name, func(t *testing.T) {
			options := ""
			if tc.option != "" {
				options = "  -o { " + smtpdMaps + " = " + tc.option + " }\n"
			}
			dir := configDir(t, ownMain+strings.ReplaceAll(ownMain[strings.Index(ownMain, "eg_"):], "eg_", "sub_")+
				"sub_key_format = submission:%s\neg_map = "+exported+", "+own+"\n"+smtpdMaps+" = "+tc.main+"\n",
				"smtp inet n - n - - smtpd\nsubmission inet n - n - - smtpd\n"+options)
			for name, text := range map[string]string{
				"ehlogate.toml": "explicit_offer = true\n[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n", "deny.list": "192.0.2.1\n",
				"ehlogate.cidr": "# made by: ehlogate export --format postfix-cidr\n192.0.2.1/32\tstarttls\n",
				"own.cidr":      "192.0.2.2 dsn\n", "hides.cidr": "192.0.2.3 starttls, dsn\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := config.Load(filepath.Join(dir, "ehlogate.toml"))
			if err != nil {
				t.Fatal(err)
			}
			pf, said := follow(t, dir, cfg)
			if got, set := pf.Services[1].Params[smtpdMaps]; !set || strings.ReplaceAll(got, dir, "$config_directory") != tc.want || !slices.Equal(said, []string{"submission-queries"}) {
				t.Errorf("its option is %q, want %q; doctor: %q", got, tc.want, said)
			}
			if got := pf.Main[smtpdMaps]; got != tc.main {
				t.Errorf("main.cf has %q, want %q", got, tc.main)
			}
		})
	}
}

// A value without white space means the same to Postfix, or there is none.
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
	if got := setOption("smtp inet", "x", "it's").Lines[0]; got != `postconf -P 'smtp/inet/x=it'\''s'` {
		t.Error(got)
	}
}
