package stresstest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Question asks about a client, in the words of a protocol. Of the milter protocol it is a whole session as far as MAIL, and
// for HTTP the connection is kept.
func Question(protocol, addr string) []byte {
	var s string
	switch protocol {
	case "memcache":
		s = "get starttls:" + addr + "\r\n"
	case "socketmap":
		s = netstring("starttls " + addr)
	case "tcp_table":
		s = "get " + addr + "\n"
	case "policy":
		s = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=" + addr +
			"\nclient_name=unknown\nclient_port=40000\nreverse_client_name=unknown\nserver_address=127.0.0.1\nserver_port=25\n" +
			"helo_name=mail.example\nsender=a@example\nrecipient=b@mta.test\nencryption_protocol=\n\n"
	case "milter":
		return slices.Concat(Negotiate(), Session(addr))
	case "http":
		s = "GET /api/v1/decision?addr=" + addr + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	}
	return []byte(s)
}

func netstring(s string) string { return fmt.Sprintf("%d:%s,", len(s), s) }

// Packet is one of the milter protocol.
func Packet(code byte, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	return append(append(b, code), data...)
}

// Negotiate is the first packet of a milter connection, as Postfix sends it.
func Negotiate() []byte { return Packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff") }

// Session is what a milter that asked for macros is told of a session that is broken off after MAIL; three packets of it
// are answered.
func Session(addr string) []byte {
	family := "4"
	if strings.Contains(addr, ":") {
		family = "6"
	}
	return slices.Concat(
		Packet('D', "C{client_resolve}\x00FAIL\x00{daemon_port}\x0025\x00"),
		Packet('C', "unknown\x00"+family+"\x12\x67"+addr+"\x00"), Packet('H', "mail.example\x00"),
		Packet('D', "M{client_port}\x004711\x00"), Packet('M', "<a@example>\x00"), Packet('A', ""))
}

// Broken are requests that break the rules of a protocol: impossible lengths, the wrong order, other protocols.
func Broken(protocol string) [][]byte {
	own := map[string][]string{
		"memcache": {"set k 0 0 -1\r\n", "set k 0 0 4294967295\r\n", "set k 0 0 18446744073709551617\r\n", "set\r\n",
			"set k 0 0 5\r\nno end\r\n", "data without command\r\n", "\r\n\r\n\r\n", "get\r\n",
			"get " + strings.Repeat("k", 300) + "\r\n", "\x80\x00\x00\x0c\x00\x00\x00\x00"},
		"socketmap": {"4294967295:", "0:,", "-1:x,", "00:,", "18446744073709551617:", ":,", "1:ab", "3:a,b,9999:",
			"10000:x,"},
		"tcp_table": {"get %\n", "get %zz\n", "put a b\n", "\n\n\n", "get\n", "get " + strings.Repeat("%20", 1000) + "\n"},
		"policy": {"\n", "request=junk\n\n", "=\n\n", "client_address=192.0.2.1\n\n", "\r\n\r\n",
			"request=smtpd_access_policy\nrequest=junk\nclient_address=\n\n"},
		"milter": {"\x00\x00\x00\x00", "\xff\xff\xff\xffC", "\x7f\xff\xff\xffL", "\x00\x02\x00\x00L",
			string(Packet('M', "<a@example>\x00")), string(Packet('C', "")), string(Packet('C', "mx\x004")), string(Packet('C', "mx")),
			string(Packet('D', "")), string(Packet('L', "")), string(Packet('L', "\x00\x00\x00")), string(Packet('E', "")),
			string(Packet('A', "")),
			string(Packet('?', "")), string(Packet('O', "")), string(Packet('Q', ""))},
		"http": {"GET / HTTP/1.1\r\n\r\n", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
			"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x00\xa5\x01"},
	}[protocol]
	var all [][]byte
	for _, s := range own {
		all = append(all, []byte(s))
	}
	for _, other := range Protocols { // what a misconfigured mail server says
		if other != protocol {
			all = append(all, Question(other, "192.0.2.66"))
		}
	}
	return all
}

// beginning is how a request begins that need never end.
func beginning(protocol string) []byte {
	switch protocol {
	case "memcache":
		return []byte("get starttls:")
	case "socketmap":
		return []byte("9999:")
	case "tcp_table":
		return []byte("get ")
	case "policy":
		return []byte("request=smtpd_access_policy\nhelo_name=")
	case "milter":
		return []byte("\x00\x01\xff\xffL")
	}
	return []byte("GET /")
}

// strange asks for a map, a command, a key or a path that there is not.
func strange(protocol string) []byte {
	word := fmt.Sprintf("x%x", rand.Uint64())
	switch protocol {
	case "memcache":
		return fmt.Appendf(nil, "get %s:192.0.2.1\r\n%s\r\nget starttls:%s\r\n", word, word, word)
	case "socketmap":
		return []byte(netstring(word+" 192.0.2.1") + netstring("starttls "+word))
	case "tcp_table":
		return fmt.Appendf(nil, "%s\nget %s\n", word, word)
	case "policy":
		return fmt.Appendf(nil, "request=smtpd_access_policy\n%s=%s\nclient_address=%s\n\n", word, word, word)
	case "milter":
		macros := Packet('D', "C"+word+"\x00"+word+"\x00")
		return slices.Concat(macros, Packet('C', word+"\x00U"+word+"\x00"), Packet('T', word))
	}
	return fmt.Appendf(nil, "GET /%s?%s=%s HTTP/1.1\r\nHost: %s\r\n\r\n", word, word, word, word)
}

// Kind is one way to have a connection hold as much as it can.
type Kind struct {
	Name  string
	Bytes []byte
}

// AlmostFull are requests, as long as a protocol allows, that lack their end; before them comes what a connection remembers.
func AlmostFull(protocol string) []Kind {
	x := func(n int) string { return strings.Repeat("x", n) }
	switch protocol {
	case "memcache":
		return []Kind{{"a get", []byte("get " + x(4090))},
			{"a set", []byte("set k 0 0 10240" + strings.Repeat(" ", 4000) + "\r\n" + x(10240))}}
	case "socketmap":
		return []Kind{{"a netstring", []byte("10000:" + x(9999))}}
	case "tcp_table":
		return []Kind{{"a line", []byte("get " + x(4090))}}
	case "policy":
		return []Kind{{"attributes", bytes.Repeat([]byte("a=b\n"), 8190)}}
	case "milter":
		var known []byte // all that is remembered of macros and names
		for _, name := range []string{"client_port", "client_resolve", "daemon_port", "tls_version", "auth_type", "auth_authen"} {
			known = slices.Concat(known, Packet('D', "H{"+name+"}\x00"+x(16000)+"\x00"), Packet('H', name+x(16000)+"\x00"))
		}
		known = slices.Concat(Negotiate(), Packet('C', x(16000)+"\x00U\x00"), known)
		var names strings.Builder
		for i := range 127 {
			fmt.Fprintf(&names, "%03d%s\x00\x00", i, x(120))
		}
		full := slices.Concat(known, Packet('D', "M"+names.String()))
		return []Kind{
			{"macros, half a HELO", slices.Concat(full, Packet('H', x(16380))[:16300])},
			{"macros without end", bytes.Repeat(Packet('D', "M"+names.String()), 5)},
			{"half a header", slices.Concat(full, Packet('L', "Subject\x00"+x(100000)+"\x00")[:100000])},
			{"headers without end", bytes.Repeat(Packet('L', "Subject\x00"+x(1000)+"\x00"), 200)},
		}
	}
	return []Kind{{"a path", []byte("GET /" + x(8000))}, {"a header", []byte("GET / HTTP/1.1\r\nHost: x\r\nX: " + x(12000))}}
}
