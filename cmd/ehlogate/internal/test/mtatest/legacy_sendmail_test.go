package mtatest_test

import (
	"fmt"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// checkHung451 checks that Sendmail answers 451 to STARTTLS while ehlogate hangs, after two seconds, and serves afterwards.
func (o oldTLS) checkHung451(t *testing.T) {
	o.list(t, oldClient)
	if err := o.daemon.Hang(soon(t)); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{oldClient, otherClient} {
		c := hello(t, o.addr, source, "client.example", true)
		defer c.Close()
		begin := time.Now()
		if r, err := c.Command("STARTTLS"); err != nil || r.Code != 451 || time.Since(begin) < 2*time.Second {
			t.Errorf("%s while ehlogate hangs: %v, %v after %v; want 451 after 2 s", source, r, err, time.Since(begin))
		}
	}
	if err := o.daemon.Resume(); err != nil {
		t.Fatal(err)
	}
	wantOld(t, "ehlogate runs on", o.addr, oldClient, true)
	wantOld(t, "ehlogate runs on", o.addr, otherClient, false)
}

// opensslDefaults returns the configuration of OpenSSL with a setting for all programs, and that of Sendmail 8.18, which reads
// another file.
func opensslDefaults(setting string) map[string]string {
	text := "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\n" + setting + "\n"
	return map[string]string{"ssl/openssl.cnf": text, "mail/sendmail.ossl": text}
}

// TestLegacySendmail is TestLegacyExim for Sendmail, whose operator may have settings of TLS. Where options switch TLS 1.0 off,
// no answer switches it on again, and of two rulesets of this name the first answers.
func TestLegacySendmail(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	for name, tc := range map[string]struct {
		features, mc string
		etc          map[string]string
		isStrict     bool // no client gets TLS 1.0, whatever ehlogate answers
	}{
		"the defaults of Debian":           {},
		"a list of ciphers":                {mc: "LOCAL_CONFIG\nO CipherList=HIGH:!aNULL\n"},
		"a security level":                 {mc: "LOCAL_CONFIG\nO CipherList=DEFAULT:@SECLEVEL=2\n"},
		"an access map":                    {features: "FEATURE(`access_db', `hash -T<TMPF> -o /nonexistent/access')dnl\n"},
		"session features":                 {features: "FEATURE(`access_db', `hash -T<TMPF> -o /nonexistent/access')dnl\nFEATURE(`tls_session_features')dnl\n", isStrict: true},
		"options":                          {mc: "LOCAL_CONFIG\nO ServerSSLOptions=+SSL_OP_NO_TLSv1 +SSL_OP_NO_TLSv1_1\n", isStrict: true},
		"a security level of all programs": {etc: opensslDefaults("CipherString = DEFAULT:@SECLEVEL=2")},
		"versions of all programs":         {etc: opensslDefaults("MinProtocol = TLSv1.2"), isStrict: true},
		"old versions of all programs":     {etc: opensslDefaults("MinProtocol = TLSv1")},
		"no old version in any program":    {etc: opensslDefaults("Protocol = ALL, -TLSv1"), isStrict: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lists, files := oldLists(t)
			g := startDaemon(t, "legacy-sendmail", "", nil, lists, files)
			ports, err := mtatest.FreePorts(1)
			if err != nil {
				t.Fatal(err)
			}
			s := runSendmailWith(t, mtatest.SendmailConfig{Port: ports[0], Etc: tc.etc, Features: tc.features, MC: tc.mc + onlyPorts(t, "legacy-tls/sendmail.mc", map[string]string{
				"inet:10041@127.0.0.1": sendmailInet(g.socketmap), "\nR25\t": fmt.Sprintf("\nR%d\t", ports[0]),
			})})
			o := oldTLS{s.Addr(), s.Addr6(), g}
			if !tc.isStrict {
				o.check(t)
				o.checkHung451(t)
				return
			}
			o.list(t, oldClient)
			wantOld(t, "listed", o.addr, oldClient, false)
		})
	}
}
