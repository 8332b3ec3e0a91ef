package benchmarks

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// TestPostfixWays is what each way of asking ehlogate costs a session of Postfix, over a unix socket and over TCP, in CPU time
// of both: the map that decides, and policy delegation or the milter beside it.
func TestPostfixWays(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	list := listtest.Format(listtest.Mixed(pick(1_000_000, 2_000)))
	for i := 0; i < 200; i += 2 {
		list += source(i) + "\n"
	}
	ports, err := mtatest.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	tcp := map[string]string{}
	for i, protocol := range []string{"memcache", "socketmap", "policy", "milter"} {
		tcp[protocol] = fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	p := &postfix{daemon: newDaemonAt(t, "", list, tcp)}
	if err := p.daemon.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	address := map[string]func(protocol string) string{
		"unix": func(protocol string) string { return "unix:" + p.daemon.socket(protocol) },
		"tcp":  func(protocol string) string { return "inet:" + tcp[protocol] },
	}
	files := map[string]string{}
	p.start(t, files, func(etc string) []mtatest.Service {
		services := []mtatest.Service{{Name: "plain"}}
		const mapParameter = "smtpd_discard_ehlo_keyword_address_maps"
		for over, at := range address {
			files[over+".cf"] = "memcache = " + at("memcache") + "\nkey_format = starttls:%s\nmax_try = 1\ntimeout = 1\nbackup = cidr:/dev/null\n"
			memcache := "memcache:" + etc + "/" + over + ".cf"
			services = append(services,
				mtatest.Service{Name: "memcache" + over, Options: map[string]string{mapParameter: memcache}},
				mtatest.Service{Name: "socketmap" + over, Options: map[string]string{mapParameter: "socketmap:" + at("socketmap") + ":starttls"}},
				mtatest.Service{Name: "policy" + over, Options: map[string]string{mapParameter: memcache,
					"smtpd_sender_restrictions": "check_policy_service,{" + at("policy") + ",timeout=2s,try_limit=1,default_action=DUNNO}"}},
				mtatest.Service{Name: "milter" + over, Options: map[string]string{mapParameter: memcache,
					"smtpd_milters": "{" + at("milter") + ",default_action=accept,connect_timeout=2s,command_timeout=2s,content_timeout=2s}"}})
		}
		return services
	})
	n, rounds := pick(200, 4), 25
	sideOf := func(service string, more ...session) *played {
		if service == "plain" {
			return p.newSide(t, "no map", n, 0, p.halfHidden(service, more...))
		}
		return p.newSide(t, nameOf(service), n, p.daemon.Pid(), p.halfHidden(service, more...))
	}
	compareWays := func(what, ours, peer string, more ...session) {
		p.compare(t, what, 0, rounds, sideOf(ours, more...), sideOf(peer, more...))
	}
	for _, protocol := range []string{"memcache", "socketmap"} {
		compareWays("EHLO and QUIT, "+protocol+" over a unix socket", protocol+"unix", "plain")
		compareWays("EHLO and QUIT, "+protocol+" over TCP", protocol+"tcp", "plain")
		compareWays("EHLO and QUIT, "+protocol+": a unix socket against TCP", protocol+"unix", protocol+"tcp")
	}
	compareWays("EHLO to RCPT and QUIT, memcache over a unix socket", "memcacheunix", "plain", envelope)
	for _, protocol := range []string{"policy", "milter"} {
		compareWays("EHLO to RCPT and QUIT, "+protocol+" in addition, over a unix socket", protocol+"unix", "memcacheunix", envelope)
		compareWays("EHLO to RCPT and QUIT, "+protocol+" in addition, over TCP", protocol+"tcp", "memcacheunix", envelope)
	}
	faultless(t, p.daemon)
}

// nameOf returns the name of a service for the table.
func nameOf(service string) string {
	if protocol, ok := strings.CutSuffix(service, "unix"); ok {
		return protocol + ", unix"
	}
	return strings.TrimSuffix(service, "tcp") + ", TCP"
}

// halfHidden is a session in which the denied half is not shown STARTTLS if the service has a map, with more steps behind EHLO.
func (p *postfix) halfHidden(service string, more ...session) one {
	return func(ctx context.Context, i int) error {
		want := p.offered
		if service != "plain" && i%2 == 0 {
			want = p.hidden
		}
		return playSessions(ctx, p.Addr(service), source(i), append([]session{ehlo(want)}, more...)...)
	}
}

// envelope begins a message, up to its recipient.
func envelope(c *mtatest.SMTP) error {
	for _, command := range []string{"MAIL FROM:<sender@example.org>", "RCPT TO:<box@mta.test>"} {
		if r, err := c.Command(command); err != nil || r.Code != 250 {
			return fmt.Errorf("%s: %v, %v", strings.Fields(command)[0], r, err)
		}
	}
	return nil
}
