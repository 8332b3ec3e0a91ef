package mtatest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// deliver is a message with nothing before it. DATA and BDAT stand for the command and the message or a part of it.
const deliverOne = "MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; DATA"

// commandOrders are ways to deliver a message: commands, with "; " between them. ADDRESS is the client's address.
var commandOrders = map[string]string{
	"no HELO":             deliverOne,
	"HELO":                "HELO client.example; " + deliverOne,
	"EHLO":                "EHLO client.example; " + deliverOne,
	"EHLO twice":          "EHLO client.example; EHLO other.example; " + deliverOne,
	"HELO and EHLO":       "HELO client.example; EHLO client.example; " + deliverOne,
	"EHLO without a name": "EHLO; " + deliverOne,
	"HELO without a name": "HELO ; " + deliverOne,
	"RSET":                "RSET; " + deliverOne,
	"RSET after HELO":     "HELO client.example; RSET; " + deliverOne,
	"RSET after RCPT":     "EHLO client.example; MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; RSET; " + deliverOne,
	"EHLO after RCPT":     "MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; EHLO client.example; DATA; " + deliverOne,
	"HELO after MAIL":     "MAIL FROM:<a@client.example>; HELO client.example; RCPT TO:<b@mta.test>; DATA",
	"two messages":        "EHLO client.example; " + deliverOne + "; " + deliverOne,
	"two without HELO":    deliverOne + "; RSET; " + deliverOne,
	"no sender":           "MAIL FROM:<>; RCPT TO:<b@mta.test>; DATA",
	"MAIL twice":          "EHLO client.example; MAIL FROM:<c@client.example>; " + deliverOne,
	"RCPT first":          "EHLO client.example; RCPT TO:<b@mta.test>; " + deliverOne,
	"DATA first":          "EHLO client.example; RSET; MAIL FROM:<a@client.example>; DATA; RCPT TO:<b@mta.test>; DATA",
	"three recipients":    "MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; RCPT TO:<x@elsewhere.example>; RCPT TO:<c@mta.test>; DATA",
	"BDAT":                "EHLO client.example; MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; BDAT LAST Subject: MARK\r\n\r\nhello\r\n",
	"BDAT without HELO":   "MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; BDAT LAST Subject: MARK\r\n\r\nhello\r\n",
	"BDAT in parts":       "EHLO client.example; MAIL FROM:<a@client.example>; RCPT TO:<b@mta.test>; BDAT Subject: ; BDAT ; BDAT MARK\r\n\r\nhel; BDAT LAST lo\r\n",
	"BDAT first":          "EHLO client.example; BDAT Subject: x\r\n; RSET; " + deliverOne,
	"VRFY":                "VRFY b@mta.test; " + deliverOne,
	"VRFY after MAIL":     "EHLO client.example; MAIL FROM:<a@client.example>; VRFY b@mta.test; RCPT TO:<b@mta.test>; DATA",
	"ETRN":                "EHLO client.example; ETRN mta.test; " + deliverOne,
	"XCLIENT":             "EHLO client.example; XCLIENT ADDR=ADDRESS; " + deliverOne,
	"XCLIENT with HELO":   "XCLIENT ADDR=ADDRESS HELO=client.example PROTO=ESMTP; " + deliverOne,
	"XCLIENT after MAIL":  "MAIL FROM:<a@client.example>; XCLIENT ADDR=ADDRESS; RCPT TO:<b@mta.test>; DATA",
	"other commands":      "NOOP; HELP; EXPN x; EHLO client.example; " + deliverOne,
}

// marks makes each message one of a kind.
var marks atomic.Int64

// mustTLS must use TLS.
const mustTLS = "127.0.0.77"

// playCommands has a client of that address send the commands, one after the other or all at once. It returns the codes of all
// replies, and whether a message was taken.
func playCommands(t *testing.T, addr, order, client string, useTLS, atOnce bool) (codes []int, taken bool) {
	t.Helper()
	c, err := mtatest.Dial(soon(t), addr, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("%v, %v", r, err)
	}
	if useTLS {
		if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
			t.Fatalf("%v, %v", r, err)
		}
		if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
			t.Fatalf("STARTTLS: %v, %v", r, err)
		}
		if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
			t.Fatalf("%v, %v", r, err)
		}
	}
	note := func(r mtatest.Reply) {
		codes = append(codes, r.Code)
		taken = taken || r.Code == 250 && strings.Contains(r.String(), "queued as")
	}
	var all strings.Builder
	text := strings.NewReplacer("MARK", fmt.Sprint("order-", marks.Add(1)), "ADDRESS", client).Replace(order)
	for command := range strings.SplitSeq(text, "; ") {
		send := command + "\r\n"
		body := fmt.Sprintf("Subject: order-%d\r\n\r\nhello\r\n.\r\n", marks.Add(1))
		if part, ok := strings.CutPrefix(command, "BDAT "); ok {
			last := ""
			if part, ok = strings.CutPrefix(part, "LAST "); ok {
				last = " LAST"
			}
			send = fmt.Sprintf("BDAT %d%s\r\n%s", len(part), last, part)
		}
		if all.WriteString(send); command == "DATA" {
			all.WriteString(body)
		}
		if atOnce {
			continue
		}
		r, err := c.SendRaw(send)
		if err == nil && r.Code == 354 {
			note(r)
			r, err = c.SendRaw(body)
		}
		if err != nil {
			t.Fatalf("%q: %v", command, err)
		}
		note(r)
	}
	if !atOnce {
		return codes, taken
	}
	// What the server takes for commands of the message's text ends the session, or the last command does.
	for send := all.String() + "QUIT\r\n"; ; send = "" {
		r, err := c.SendRaw(send)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return codes, taken
		}
		if err != nil {
			t.Fatal(err)
		}
		note(r)
	}
}

// exampleOptions are the -o lines of examples/postfix/master.cf, those in comments too.
func exampleOptions(t *testing.T) map[string]string {
	t.Helper()
	options := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^#?  -o ([a-z_]+)=(.*)$`).FindAllStringSubmatch(example(t, "postfix/master.cf"), -1) {
		options[m[1]] = m[2]
	}
	if len(options) != 4 {
		t.Fatalf("-o lines of the example: %q", options)
	}
	return options
}

// TestOrders has clients of a list with action = "require" try every order of commands, at a Postfix that asks as in
// examples/postfix: without TLS none delivers, and no other client is affected.
func TestOrders(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startDaemon(t, "orders", "", nil, enforceLists, map[string]string{"strict.list": mustTLS + "\n", "deny.list": "192.0.2.0/24\n"})
	options := exampleOptions(t)
	var services []mtatest.Service
	for _, delay := range []string{"yes", "no"} {
		services = append(services,
			mtatest.Service{Name: "policy" + delay, Options: map[string]string{"smtpd_delay_reject": delay, "ehlogate_policy": g.ports(options["ehlogate_policy"])}},
			mtatest.Service{Name: "milter" + delay, Options: map[string]string{"smtpd_delay_reject": delay, "ehlogate_milter": g.ports(options["ehlogate_milter"])}},
			mtatest.Service{Name: "plain" + delay, Options: map[string]string{"smtpd_delay_reject": delay}})
	}
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t), Services: services,
		Main: "ehlogate_policy =\nehlogate_milter =\nsmtpd_sender_restrictions = $ehlogate_policy\nsmtpd_milters = $ehlogate_milter\nin_flow_delay = 0\n" +
			"smtpd_forbid_unauth_pipelining = no\n", // as before Postfix 3.9: else no client that sends all at once delivers
	})
	delivered := 0
	for name, order := range commandOrders {
		for _, delay := range []string{"yes", "no"} {
			for _, atOnce := range []bool{false, true} {
				what := fmt.Sprintf("%s, smtpd_delay_reject = %s, at once: %v", name, delay, atOnce)
				want, taken := playCommands(t, p.Addr("plain"+delay), order, unlisted, false, atOnce)
				if taken {
					delivered++
				}
				for _, hook := range []string{"policy", "milter"} {
					if codes, taken := playCommands(t, p.Addr(hook+delay), order, mustTLS, false, atOnce); taken {
						t.Errorf("%s, %s: delivered without TLS: %v", hook, what, codes)
					}
					if codes, _ := playCommands(t, p.Addr(hook+delay), order, unlisted, false, atOnce); !slices.Equal(codes, want) {
						t.Errorf("%s, %s: another client gets %v, want %v", hook, what, codes, want)
					}
				}
				want, _ = playCommands(t, p.Addr("plain"+delay), order, unlisted, true, atOnce)
				if codes, _ := playCommands(t, p.Addr("policy"+delay), order, mustTLS, true, atOnce); !slices.Equal(codes, want) {
					t.Errorf("%s: with TLS: %v, want %v", what, codes, want)
				}
			}
		}
	}
	if all := 4 * len(commandOrders); delivered < all*3/4 {
		t.Errorf("only %d of %d orders deliver at all", delivered, all)
	}
}

// TestHooks asks the policy service in each restriction list, and compares which a client can avoid with what doctor says.
func TestHooks(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startDaemon(t, "hooks", "", nil, enforceLists, map[string]string{"strict.list": mustTLS + "\n", "deny.list": "192.0.2.0/24\n"})
	policy := g.ports(exampleOptions(t)["ehlogate_policy"])
	var services []mtatest.Service
	for _, list := range []string{"client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn"} {
		for _, delay := range []string{"yes", "no"} {
			for _, helo := range []string{"yes", "no"} {
				value := policy
				if list == "relay" {
					value += ", reject_unauth_destination"
				}
				services = append(services, mtatest.Service{Name: strings.ReplaceAll(list, "_", "") + delay + helo, Options: map[string]string{
					"smtpd_delay_reject": delay, "smtpd_helo_required": helo, "smtpd_" + list + "_restrictions": value,
				}})
			}
		}
	}
	milter := g.ports(exampleOptions(t)["ehlogate_milter"])
	for name, options := range map[string]map[string]string{
		"milter":     {"smtpd_milters": milter},
		"miltermaps": {"smtpd_milters": milter, "smtpd_milter_maps": "inline:{ { " + mustTLS + " = DISABLE } }"},
		"first":      {"smtpd_sender_restrictions": policy + ", permit_mynetworks"},
		"access":     {"smtpd_sender_restrictions": "check_sender_access inline:{ { a@client.example = OK } }, " + policy},
		"networks":   {"smtpd_recipient_restrictions": "permit_mynetworks, " + policy},
		"rejects":    {"smtpd_recipient_restrictions": "reject_non_fqdn_recipient, " + policy},
		"twice":      {"smtpd_helo_restrictions": policy, "smtpd_data_restrictions": policy},
	} {
		services = append(services, mtatest.Service{Name: name, Options: options})
	}
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: services, Main: "in_flow_delay = 0\n"})
	out, err := exec.CommandContext(soon(t), g.Path, "doctor", "--json", "-c", g.dir+"/ehlogate.toml", "--postfix-config", p.Config).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var report struct {
		Findings []struct{ ID, Service string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		_, port, _ := strings.Cut(p.Addr(s.Name), ":")
		said := slices.ContainsFunc(report.Findings, func(f struct{ ID, Service string }) bool {
			return (f.ID == "policy-skipped" || f.ID == "milter-skipped") && f.Service == port+" inet"
		})
		var escapes []string
		for name, order := range commandOrders {
			for _, atOnce := range []bool{false, true} {
				if _, taken := playCommands(t, p.Addr(s.Name), order, mustTLS, false, atOnce); taken {
					escapes = append(escapes, name)
				}
			}
		}
		if said != (len(escapes) > 0) {
			t.Errorf("%s: doctor warns: %v, and a client that must use TLS delivers without it by %q", s.Name, said, escapes)
		}
	}
}
