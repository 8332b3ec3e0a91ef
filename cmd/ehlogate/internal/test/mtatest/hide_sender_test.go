package mtatest_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// sentMessage is one that needs 8BITMIME.
const sentMessage = "Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u00fc\u00dfe\r\n.\r\n"

// sendings are what a sending Postfix makes of a keyword that is hidden from it.
var sendings = []struct {
	hide      string
	from      string // with parameters
	to        string // parameters
	delivered string // what the message has that arrives; empty: none does
	log       string // what the sender logs
}{
	{hide: "", from: "<a@client.example> BODY=8BITMIME", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
	{hide: "", from: "<\u00fc@client.example> BODY=8BITMIME SMTPUTF8", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
	{hide: "8bitmime", from: "<a@client.example> BODY=8BITMIME", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
	{hide: "smtputf8", from: "<\u00fc@client.example> BODY=8BITMIME SMTPUTF8", log: "status=bounced .(SMTPUTF8 is required|message requires SMTPUTF8)"},
	{hide: "dsn", from: "<a@client.example> BODY=8BITMIME", to: " NOTIFY=SUCCESS", delivered: "Content-Transfer-Encoding: 8bit", log: "sender delivery status notification"},
	{hide: "pipelining", from: "<a@client.example> BODY=8BITMIME", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
	{hide: "size", from: "<a@client.example> BODY=8BITMIME", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
	{hide: "chunking", from: "<a@client.example> BODY=8BITMIME", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
	{hide: "enhancedstatuscodes", from: "<a@client.example> BODY=8BITMIME", delivered: "Content-Transfer-Encoding: 8bit", log: "status=sent"},
}

// TestHideFromSender has one Postfix send to another that hides keywords from it: what lists/README.md says that costs.
func TestHideFromSender(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	var sections, domains, transports, master strings.Builder
	files := map[string]string{}
	domain := func(i int) string { return fmt.Sprintf("d%d.test", i) }
	for i, s := range sendings {
		client := fmt.Sprintf("127.9.%d.1", i)
		fmt.Fprintf(&domains, " %s", domain(i))
		fmt.Fprintf(&transports, " {%s = t%d:[127.0.0.1]:PORT}", domain(i), i)
		fmt.Fprintf(&master, "t%d unix - - n - - smtp -o smtp_bind_address=%s\n", i, client)
		if s.hide != "" {
			fmt.Fprintf(&sections, "[[list]]\nname = %q\nhide = [%[1]q]\nfiles = [%q]\n", s.hide, s.hide+".list")
			files[s.hide+".list"] = client + "\n"
		}
	}
	g := startDaemon(t, "hide-sender", "", nil, sections.String(), files)
	dir := tempDir(t)
	receiver := startPostfix(t, mtatest.PostfixConfig{
		Dir: dir, Main: "virtual_mailbox_domains =" + domains.String() + "\n",
		Files:    map[string]string{"hide.cf": memcacheCF("inet:"+g.memcache, "starttls:%s", 1, "cidr:/dev/null")},
		Services: []mtatest.Service{discards("mx", "memcache:"+mtatest.LayoutOf(dir).Config+"/hide.cf")},
	})
	_, port, err := net.SplitHostPort(receiver.Addr("mx"))
	if err != nil {
		t.Fatal(err)
	}
	sender := startPostfix(t, mtatest.PostfixConfig{
		Dir: tempDir(t), Services: []mtatest.Service{{Name: "in"}}, Master: master.String(),
		Main: "smtpd_relay_restrictions = permit_mynetworks, reject\ntransport_maps = inline:{" + strings.ReplaceAll(transports.String(), "PORT", port) + " }\n",
	})
	for i, s := range sendings {
		t.Run(s.hide, func(t *testing.T) {
			c, err := mtatest.Dial(soon(t), sender.Addr("in"), unlisted)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if r, err := c.Banner(); err != nil || r.Code != 220 {
				t.Fatalf("banner: %v, %v", r, err)
			}
			subject, mark := fmt.Sprintf("sent-%d", marks.Add(1)), sender.Maillog().Mark()
			if r := sayAll(t, c, []string{"EHLO client.example", "MAIL FROM:" + s.from, "RCPT TO:<b@" + domain(i) + ">" + s.to, "DATA"}); r.Code != 354 {
				t.Fatal(r)
			}
			if r, err := c.SendRaw(fmt.Sprintf(sentMessage, subject)); err != nil || r.Code != 250 {
				t.Fatalf("%v, %v", r, err)
			}
			if _, err := sender.Maillog().Await(soon(t), regexp.MustCompile(s.log), mark); err != nil {
				t.Fatal(err)
			}
			if s.delivered == "" {
				return
			}
			if mail, err := receiver.AwaitMail(soon(t), regexp.MustCompile(subject)); err != nil || !strings.Contains(mail, s.delivered) {
				t.Errorf("want %q: %v\n%s", s.delivered, err, mail)
			}
		})
	}
}
