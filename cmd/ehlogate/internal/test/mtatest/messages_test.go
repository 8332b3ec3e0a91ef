package mtatest_test

import (
	"fmt"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestLogMessages has clients begin messages that they do not send whole, or that the server does not take, and compares the
// messages that the log tells of with those that were taken.
func TestLogMessages(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim")
	t.Parallel()
	ports, err := mtatest.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	const header = "LOCAL_RULESETS\nHSubject: $>CheckSubject\nSCheckSubject\nRbad\t$#error $: 553 bad\n"
	s := runSendmailWith(t, mtatest.SendmailConfig{Port: ports[0], Syslog: true, Features: "define(`confMAX_MESSAGE_SIZE', `2000')dnl\n" + header})
	e := runEximWith(t, mtatest.EximConfig{Dir: tempDir(t), Port: ports[1], Main: "message_size_limit = 2000\nlog_selector = +incoming_port\n" +
		"acl_smtp_data = ${if eq{$h_subject:}{bad}{deny}{accept}}\n"})
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: []mtatest.Service{{Name: "d", Options: map[string]string{"cleanup_service_name": "clean"}}},
		Main: "message_size_limit = 2000\n", Master: "clean unix n - n - 0 cleanup\n    -o header_checks=regexp:{{/^Subject: bad/ REJECT}}\n"})
	servers := []*logging{
		{name: logSMTPD, log: p.Maillog(), ports: map[string]string{"": p.Addr("d")}, ended: awaitEndIn(t, p, `/smtpd\[\d+\]: disconnect from \S*\[%s\]`)},
		{name: logSendmail, log: s.Maillog(), ports: map[string]string{"": s.Addr()}, idle: func() {
			if err := s.AwaitIdle(soon(t)); err != nil {
				t.Error(err)
			}
		}},
		{name: logExim, log: e.Maillog(), ports: map[string]string{"": e.Addr()}, idle: func() {
			if err := e.AwaitIdle(soon(t)); err != nil {
				t.Error(err)
			}
		}},
	}
	const head, message = "MAIL FROM:<a@client.example>|RCPT TO:<b@mta.test>|", "DATA|Subject: x\r\n\r\nx\r\n.|"
	for _, server := range servers {
		for i, play := range []string{
			head, head + "QUIT", head + "RSET|QUIT", head + "DATA|!Subject: x\r\n\r\nhel", head + "DATA|Subject: bad\r\n\r\nx\r\n.|QUIT",
			head + "DATA|" + strings.Repeat("a: b\r\n", 1000) + ".|QUIT", head + message + "QUIT", head + message, head + "DATA|.|QUIT",
			head + message + head, head + message + head + "QUIT", head + message + head + "RSET|" + head + message + "QUIT",
			"MAIL FROM:<a@client.example>|RCPT TO:<b@elsewhere.example>|QUIT", "RCPT TO:<b@mta.test>|QUIT",
			head + "RCPT TO:<b@elsewhere.example>|" + message + "QUIT", head + message + head + "DATA|Subject: bad\r\n\r\nx\r\n.|QUIT",
			head + "DATA|Subject: bad\r\n\r\nx\r\n.|" + head + message + "QUIT",
		} {
			client := fmt.Sprintf("127.40.%d.1", i)
			taken := playMessages(t, server.ports[""], client, strings.Split(strings.TrimSuffix(play, "|"), "|"))
			if server.ended != nil {
				server.ended(client)
			} else {
				server.idle()
			}
			sessions, _ := readSessions(t, server)
			got := 0
			for _, s := range sessions[client] {
				got += s.Messages
			}
			if got != taken {
				t.Errorf("%s, %.120q: the log has %d messages, %d were taken\n%s", server.name, play, got, taken, linesOf(t, server.log.Path(), client))
			}
		}
	}
}

// playMessages sends commands, each with a reply but those behind "!", and hangs up. It returns how many messages were taken.
func playMessages(t *testing.T, addr, client string, commands []string) (taken int) {
	t.Helper()
	c, err := mtatest.Dial(t.Context(), addr, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, do := range []act{banner, sayEHLO} {
		if err := do(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range commands {
		if unfinished, ok := strings.CutPrefix(command, "!"); ok {
			if err := sends([]byte(unfinished))(c); err != nil {
				t.Fatal(err)
			}
			continue
		}
		r, err := c.Command(command)
		if err != nil {
			t.Fatalf("%.80q: %v", command, err)
		}
		if strings.HasSuffix(command, ".") && r.Code == 250 {
			taken++
		}
	}
	return taken
}
