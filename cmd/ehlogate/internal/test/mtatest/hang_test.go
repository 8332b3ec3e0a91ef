package mtatest_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestHangInSession stops ehlogate at each step of a session with a Postfix that asks as in examples/postfix: the message
// arrives within the time that master.cf states there.
func TestHangInSession(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	const limit = 3500 * time.Millisecond // two seconds, and room for a busy machine
	services := []string{"policy", "milter"}
	daemons := map[string]*daemon{} // one for each service, so that both can hang at the same time
	for _, service := range services {
		daemons[service] = startDaemon(t, "hang", "", nil, enforceLists, map[string]string{"strict.list": "# none\n", "deny.list": unlisted + "\n"})
	}
	options := exampleOptions(t)
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t),
		Services: []mtatest.Service{
			{Name: "policy", Options: map[string]string{"ehlogate_policy": daemons["policy"].ports(options["ehlogate_policy"])}},
			{Name: "milter", Options: map[string]string{"ehlogate_milter": daemons["milter"].ports(options["ehlogate_milter"])}},
		},
		Main: "ehlogate_policy =\nehlogate_milter =\nsmtpd_sender_restrictions = $ehlogate_policy\nsmtpd_milters = $ehlogate_milter\n",
	})
	for _, service := range services {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			g := daemons[service]
			plays := 0
			play := func(step int) (took time.Duration) {
				plays++
				mark := fmt.Sprintf("hang-%s-%d,", service, plays)
				var began time.Time
				reach := func(here int) {
					if here == step {
						if err := g.Hang(soon(t)); err != nil {
							t.Fatal(err)
						}
						began = time.Now()
					}
				}
				reach(0)
				c, err := mtatest.Dial(soon(t), p.Addr(service), unlisted)
				if err != nil {
					t.Fatal(err)
				}
				if r, err := c.Banner(); err != nil || r.Code != 220 {
					t.Fatalf("%v, %v", r, err)
				}
				for i, command := range []string{
					"EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<b@mta.test>", "RCPT TO:<c@mta.test>", "RCPT TO:<d@mta.test>", "DATA",
					"Subject: " + mark + "\r\n\r\nhello\r\n.",
				} {
					reach(i + 1)
					if r, err := c.SendRaw(command + "\r\n"); err != nil || r.Code >= 400 {
						t.Errorf("%s, stopped at step %d: %.10q: %v, %v", service, step, command, r, err)
					}
				}
				took = time.Since(began)
				c.Close()
				if err := g.Resume(); err != nil {
					t.Fatal(err)
				}
				t.Logf("%s, stopped at step %d: %v", service, step, took)
				if _, err := p.AwaitMail(soon(t), regexp.MustCompile(mark)); err != nil {
					t.Error(err)
				}
				return took
			}
			for step := range 8 {
				if took := quickest(limit, func() time.Duration { return play(step) }); took > limit {
					t.Errorf("%s, stopped at step %d: the message took %v, want at most %v", service, step, took, limit)
				}
			}
		})
	}
}
