package mtatest_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// policyOutcomes returns what the daemon counted, "suppressed 3", by policy delegation.
func policyOutcomes(t *testing.T, g *daemon) (got []string) {
	t.Helper()
	for _, line := range g.metrics(t, `ehlogate_outcomes_total.*protocol="policy".*[1-9]\d*\n`) {
		got = append(got, strings.TrimSpace(strings.NewReplacer(`ehlogate_outcomes_total{outcome="`, "", `",protocol="policy"}`, "").Replace(line)))
	}
	return got
}

// TestPolicyCountsSessions has 20,000 sessions of one address, from ports as a kernel gives them out, asked about over as
// many connections as a Postfix with 20 processes has, and counts each once.
func TestPolicyCountsSessions(t *testing.T) {
	t.Parallel()
	g := startDaemon(t, "sessions", "", nil, enforceLists, map[string]string{"strict.list": "#\n", "deny.list": denied + "\n"})
	const processes, sessions = 20, 20000
	var all sync.WaitGroup
	errs := make([]error, processes)
	for pid := range processes {
		all.Go(func() {
			c, err := net.Dial("tcp", g.policy)
			if err != nil {
				errs[pid] = err
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			random := rand.New(rand.NewPCG(14, uint64(pid)))
			for n := range sessions / processes {
				port := 32768 + random.IntN(60999-32768)
				for _, stage := range []string{"protocol_state=EHLO\ninstance=", fmt.Sprintf("protocol_state=RCPT\ninstance=%x.6b0a98f2.%x.0", 4000+pid, n)} {
					fmt.Fprintf(c, "request=smtpd_access_policy\n%s\nclient_address=%s\nclient_port=%d\nserver_port=25\n\n", stage, denied, port)
					reply, err := r.ReadString('\n')
					if _, discard := r.Discard(1); err != nil || discard != nil || !strings.HasPrefix(reply, "action=INFO starttls=suppress") {
						errs[pid] = fmt.Errorf("%q, %w", reply, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got, want := policyOutcomes(t, g), []string{fmt.Sprint("suppressed ", sessions)}; !slices.Equal(got, want) {
		t.Errorf("counted %q, want %q", got, want)
	}
}

// TestPolicyOfPostfix checks what a real Postfix asks about, at every restriction that it has.
func TestPolicyOfPostfix(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startDaemon(t, "sessions", "", nil, enforceLists, map[string]string{"strict.list": strictLocal + "\n::1\n", "deny.list": denied + "\n"})
	policy := fmt.Sprintf("check_policy_service { inet:%s, timeout=5s, try_limit=1, default_action=DUNNO }", g.policy)
	at := func(delay string, restrictions ...string) map[string]string {
		o := map[string]string{"smtpd_delay_reject": delay}
		for _, r := range restrictions {
			o["smtpd_"+r+"_restrictions"] = policy
		}
		return o
	}
	every := []string{"client", "helo", "sender", "recipient", "data", "end_of_data", "etrn"}
	services := []mtatest.Service{
		{Name: "early", Procs: 1, Options: at("no", every...)}, {Name: "late", Procs: 1, Options: at("yes", every...)},
		{Name: "rcpt", Procs: 1, Options: at("yes", "recipient", "etrn")}, {Name: "sender", Procs: 1, Options: at("no", "sender", "etrn")},
		{Name: "apart", Procs: 1, Options: at("no", every...)}, // each request on a connection of its own
	}
	services[4].Options["smtpd_policy_service_request_limit"] = "1"
	_, submission := port587()
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t), Main: "fast_flush_domains = mta.test\n", Services: services,
		Master: fmt.Sprintf("%s inet n - n - - smtpd\n  -o { smtpd_delay_reject = no }\n  -o { smtpd_helo_restrictions = %s }\n  -o { smtpd_recipient_restrictions = %s }\n",
			submission, policy, policy),
	})
	var want []string

	// VRFY and ETRN carry no mail; what does is refused in the clear, and taken over TLS.
	for _, s := range services {
		for source, addr := range map[string]string{strictLocal: p.Addr(s.Name), "::1": p.Addr6(s.Name)} {
			playOrder(t, s.Name, addr, source, "EHLO x.example|VRFY b@mta.test|ETRN mta.test|STARTTLS|VRFY b@mta.test|deliver 250|EHLO x.example|ETRN mta.test|deliver 250")
			playOrder(t, s.Name, addr, source, "VRFY b@mta.test|HELO x.example|VRFY b@mta.test|ETRN mta.test")
			if got := policyOutcomes(t, g); !slices.Equal(got, want) {
				t.Errorf("%s, from %s: before mail in the clear %q, want %q", s.Name, source, got, want)
			}
			playOrder(t, s.Name, addr, source, "EHLO x.example|VRFY b@mta.test|deliver 450|RSET|deliver 450|VRFY b@mta.test|STARTTLS|deliver 250")
			unmet := 1
			if len(want) > 0 {
				fmt.Sscanf(want[0], "require-unmet %d", &unmet)
				unmet++
			}
			if want = []string{fmt.Sprint("require-unmet ", unmet)}; !slices.Equal(policyOutcomes(t, g), want) {
				t.Errorf("%s, from %s: after mail in the clear %q, want %q", s.Name, source, policyOutcomes(t, g), want)
			}
		}
	}

	// A client that always connects from the same port, to the same process.
	const sessions = 40
	ports, err := mtatest.FreePorts(len(services))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for i, s := range services {
		if s.Name == "sender" { // before a message begins, nothing tells two such sessions apart
			continue
		}
		for range sessions {
			playOrder(t, s.Name, p.Addr(s.Name), fmt.Sprintf("%s:%d", denied, ports[i]), "EHLO x.example|deliver 250|deliver 250")
		}
		total += sessions
		if got := append(slices.Clone(want), fmt.Sprint("suppressed ", total)); !slices.Equal(policyOutcomes(t, g), got) {
			t.Errorf("%s: counted %q, want %q", s.Name, policyOutcomes(t, g), got)
		}
	}
	// On submission all is well as long as the client uses TLS.
	before := policyOutcomes(t, g)
	playOrder(t, "submission", submission, denied, "EHLO x.example|STARTTLS|deliver 250")
	playOrder(t, "submission", submission, denied, "EHLO x.example|STARTTLS|EHLO x.example|deliver 250")
	if got := policyOutcomes(t, g); !slices.Equal(got, before) {
		t.Errorf("submission over TLS: counted %q, before that %q", got, before)
	}
	playOrder(t, "submission", submission, denied, "EHLO x.example|deliver 250|deliver 250")
	if got := policyOutcomes(t, g); !slices.Equal(got, append(before, "suppressed-submission 1")) {
		t.Errorf("submission in the clear: counted %q, before that %q", got, before)
	}
	if complaints, err := p.Maillog().Troubles(0); err != nil || len(complaints) > 0 {
		t.Errorf("Postfix complained: %q, %v", complaints, err)
	}
}
