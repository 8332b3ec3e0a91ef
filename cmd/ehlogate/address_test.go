package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
)

// spellings has two addresses as mail servers, and programs that query for them, spell them.
var spellings = map[string][]string{
	"192.0.2.7": {
		"192.0.2.7", "[192.0.2.7]", "::ffff:192.0.2.7", "::FFFF:192.0.2.7", "::ffff:c000:207", "0:0:0:0:0:ffff:192.0.2.7",
		"IPv6:::ffff:192.0.2.7", "[IPv6:::FFFF:C000:207]", "::ffff:192.0.2.7%eth0",
	},
	"2001:db8::1": {
		"2001:db8::1", "2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8:0:0:0:0:0:1", "IPv6:2001:db8::1", "IPV6:2001:DB8::1",
		"ipv6:2001:db8:0:0:0:0:0.0.0.1", "[IPv6:2001:db8::1]", "[2001:db8::1]", "2001:db8::1%eth0", "2001:db8::1%25eth0", "2001:db8::1%", "IPv6:2001:db8::1%2", "[IPv6:2001:db8::1%eth0]",
	},
}

// noAddresses are words that a mail server may send in place of an address.
var noAddresses = []string{
	"unknown", "localhost", "[]", "[192.0.2.7", "192.0.2.7]", "192.0.2.7/32", "192.0.2", "192.0.2.007", "192.0.2.7.", "IPv6:", "IPv6", "2001:db8::1::", "[[192.0.2.7]]",
	"3221225991", "0xc0000207", "/var/run/smtpd", "%",
}

// TestAddressSpellings checks that every protocol reads every spelling of an address, and nothing else as an address.
func TestAddressSpellings(t *testing.T) {
	d := startDaemon(t, denyList+"[[list]]\nname = \"strict\"\naction = \"require\"\nfiles = [\"strict.list\"]\n", map[string]string{
		"deny.list": "192.0.2.7\n2001:db8::1\n", "strict.list": "#\n",
	})
	suppressed := func(t *testing.T, spelled string) (by []string) {
		for name, isHidden := range map[string]func(string) bool{
			"memcache":           d.suppressed,
			"socketmap starttls": func(a string) bool { return strings.HasPrefix(d.netstring("starttls "+a), "11:OK starttls,") },
			"socketmap srv_features": func(a string) bool {
				return strings.HasPrefix(d.netstring("srv_features "+a+" name.example"), "4:OK S,")
			},
			"tcp_table": func(a string) bool {
				return d.exchange("tcp_table", "get "+strings.ReplaceAll(a, "%", "%25")+"\n", "\n") == "200 starttls\n"
			},
			"policy": func(a string) bool {
				return strings.Contains(d.exchange("policy", "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address="+a+"\n\n", "\n\n"), "starttls=suppress")
			},
			"http": func(a string) bool {
				_, body := d.getHTTP("/api/v1/decision?addr=" + url.QueryEscape(a))
				return strings.Contains(body, `"suppress"`)
			},
		} {
			if isHidden(spelled) {
				by = append(by, name)
			}
		}
		return by
	}
	for _, all := range spellings {
		for _, spelled := range all {
			if by := suppressed(t, spelled); len(by) != 6 {
				t.Errorf("%s is suppressed by %q only", spelled, by)
			}
		}
	}
	for _, spelled := range noAddresses {
		if by := suppressed(t, spelled); len(by) != 0 {
			t.Errorf("%s is suppressed by %q", spelled, by)
		}
	}

	// By the milter, what tells is a refusal.
	d.writeFile("deny.list", "#\n")
	d.writeFile("strict.list", "192.0.2.7\n2001:db8::1\n")
	d.waitUntil("the edit", func() bool {
		_, body := d.getHTTP("/api/v1/decision?addr=2001:db8::1")
		return !d.suppressed("192.0.2.7") && strings.Contains(body, `"require"`)
	})
	for want, all := range spellings {
		for _, spelled := range all {
			family := "4"
			if strings.Contains(want, ":") || strings.Contains(spelled, ":") {
				family = "6"
			}
			if reply := d.milterMail(family, spelled); !strings.HasPrefix(reply, "y450 ") {
				t.Errorf("milter, %s: mail in the clear is answered %q", spelled, reply)
			}
		}
	}
	for _, spelled := range noAddresses {
		if reply := d.milterMail("6", spelled); reply != "c" {
			t.Errorf("milter, %s: mail in the clear is answered %q", spelled, reply)
		}
	}
	if reply := d.milterMail("L", "2001:db8::1"); reply != "c" {
		t.Errorf("milter: a socket with the name of an address is answered %q", reply)
	}
}

// exchange sends a request and returns the reply, up to and with end.
func (d *daemon) exchange(name, request, end string) string {
	d.t.Helper()
	c := d.connect(name)
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		d.t.Fatal(err)
	}
	var reply []byte
	for !strings.HasSuffix(string(reply), end) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil {
			d.t.Fatalf("%s: %q is answered %q, %v", name, request, reply, err)
		}
		reply = append(reply, b...)
	}
	return string(reply)
}

func (d *daemon) netstring(request string) string {
	d.t.Helper()
	return d.exchange("socketmap", fmt.Sprintf("%d:%s,", len(request), request), ",")
}

// milterMail talks to the milter as a mail server does that receives mail in the clear, and returns the reply to MAIL. It
// sends no macro with the address.
func (d *daemon) milterMail(family, addr string) string {
	d.t.Helper()
	c := d.connect("milter")
	defer c.Close()
	send := func(packet string) {
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(packet))), packet...)); err != nil {
			d.t.Fatal(err)
		}
	}
	reply := func() string {
		size := make([]byte, 4)
		if _, err := io.ReadFull(c, size); err != nil {
			d.t.Fatal(err)
		}
		b := make([]byte, binary.BigEndian.Uint32(size))
		if _, err := io.ReadFull(c, b); err != nil {
			d.t.Fatal(err)
		}
		return strings.TrimRight(string(b), "\x00")
	}
	send("O\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	reply()
	send("Cname.example\x00" + family + "\x12\x34" + addr + "\x00")
	reply()
	send("DM{client_port}\x004660\x00")
	send("M<a@client.example>\x00")
	return reply()
}
