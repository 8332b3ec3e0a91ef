package stresstest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// list is what the daemon suppresses, and strict has the clients that must use TLS.
const (
	list   = "192.0.2.0/25\n2001:db8::/64\nhelo:ylmf-pc\n"
	strict = "203.0.113.0/24\n"
)

// asked is a client and what the lists say about it.
type asked struct {
	addr   string
	action string // offer, suppress, require
}

// client number i; a third each is suppressed, must use TLS, and is on no list.
func client(i int) asked {
	n := i / 3 % 100
	switch i % 3 {
	case 0:
		if i%2 == 0 {
			return asked{fmt.Sprintf("2001:db8::%x", n+1), "suppress"}
		}
		return asked{fmt.Sprintf("192.0.2.%d", n), "suppress"}
	case 1:
		return asked{fmt.Sprintf("203.0.113.%d", n), "require"}
	}
	return asked{fmt.Sprintf("192.0.2.%d", 128+n), "offer"}
}

// exchange is a question and the one right answer to it. That of HTTP is what the body has to contain.
type exchange struct{ request, reply []byte }

func newExchange(protocol string, a asked) exchange {
	hide := a.action == "suppress"
	pick := func(suppress, offer string) []byte {
		if hide {
			return []byte(suppress)
		}
		return []byte(offer)
	}
	x := exchange{request: Question(protocol, a.addr)}
	switch protocol {
	case "memcache":
		x.reply = pick("VALUE starttls:"+a.addr+" 0 8\r\nstarttls\r\nEND\r\n", "END\r\n")
	case "socketmap":
		x.reply = pick("11:OK starttls,", "9:NOTFOUND ,")
	case "tcp_table":
		x.reply = pick("200 starttls\n", "500 offer\n")
	case "policy":
		entry := "192.0.2.0/25"
		if strings.Contains(a.addr, ":") {
			entry = "2001:db8::/64"
		}
		x.reply = pick("action=INFO starttls=suppress list=deny entry="+entry+"\n\n", "action=DUNNO\n\n")
		if a.action == "require" {
			x.reply = []byte("action=450 4.7.0 TLS required\n\n")
		}
	case "milter":
		x.request = Session(a.addr)
		mail := Packet('c', "")
		if a.action == "require" {
			mail = Packet('y', "450 4.7.0 TLS required\x00")
		}
		x.reply = slices.Concat(Packet('c', ""), Packet('c', ""), mail)
	case "http":
		x.reply = fmt.Appendf(nil, `"action": %q`, a.action)
	}
	return x
}

// talk is a connection that asks and waits for the answer.
type talk struct {
	net.Conn
	protocol string
	in       *bufio.Reader
	buf      [4 << 10]byte
}

// errWrong is an answer that is not the right one.
var errWrong = errors.New("wrong answer")

func newTalk(t Target) (*talk, error) {
	conn, err := net.DialTimeout(t.Network, t.Addr, patience)
	if err != nil {
		return nil, err
	}
	k := &talk{Conn: conn, protocol: t.Protocol, in: bufio.NewReaderSize(conn, 16<<10)}
	if t.Protocol != "milter" {
		return k, nil
	}
	negotiated := exchange{Negotiate(), Packet('O', "\x00\x00\x00\x06\x00\x00\x01\x11\x00\x00\x03\x58"+
		"\x00\x00\x00\x00{client_resolve} {daemon_port}\x00\x00\x00\x00\x01{tls_version}\x00"+
		"\x00\x00\x00\x02{client_port} {tls_version} {auth_type} {auth_authen}\x00")}
	if err := k.exchange(negotiated); err != nil {
		conn.Close()
		return nil, err
	}
	return k, nil
}

// patience is how long an answer may take. It is long: what comes later will not come.
const patience = 30 * time.Second

// exchange asks, and says whether the answer is right. Several questions can be one, with as many answers.
func (k *talk) exchange(x exchange) error {
	if err := k.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := k.Write(x.request); err != nil {
		return err
	}
	if k.protocol == "http" {
		return k.readPage(x)
	}
	for rest := x.reply; len(rest) > 0; {
		n, err := k.in.Read(k.buf[:min(len(rest), len(k.buf))])
		if !bytes.HasPrefix(rest, k.buf[:n]) {
			return fmt.Errorf("%w: %.100q and not %.100q, in the answer to %.200q", errWrong, k.buf[:n], rest, x.request)
		}
		if rest = rest[n:]; err != nil {
			return err
		}
	}
	return nil
}

func (k *talk) readPage(x exchange) error {
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(body, x.reply) {
		return fmt.Errorf("%w: %s, %q to %q", errWrong, resp.Status, body, x.request)
	}
	return nil
}
