// Package logtest writes mail logs for tests and benchmarks.
package logtest

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// WritePostfix writes about n lines of a Postfix that takes mail, in the shares in which its programs log: of twenty
// sessions one fails at TLS, six are rejected, and the others deliver. They come from as many clients, which take turns.
func WritePostfix(w io.Writer, n, clients int) error {
	out := bufio.NewWriterSize(w, 1<<20)
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := 0; n > 0; i++ {
		at := start.Add(time.Duration(i) * 100 * time.Millisecond).Format(time.Stamp)
		client := i % clients
		addr := netip.AddrFrom4([4]byte{byte(11 + client>>24), byte(client >> 16), byte(client >> 8), byte(client)})
		name := fmt.Sprintf("mail%d.example.org[%v]", client, addr)
		line := func(format string, args ...any) {
			n--
			fmt.Fprintf(out, "%s mx1 postfix/"+format+"\n", append([]any{at}, args...)...)
		}
		pid := 1000 + i%100
		line("smtpd[%d]: connect from %s", pid, name)
		if i%20 == 0 {
			line("smtpd[%d]: SSL_accept error from %s: -1", pid, name)
			line("smtpd[%d]: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/statem/statem_srvr.c:2220:", pid)
			line("smtpd[%d]: lost connection after STARTTLS from %s", pid, name)
			line("smtpd[%d]: disconnect from %s ehlo=1 starttls=0/1 commands=1/2", pid, name)
			continue
		}
		line("smtpd[%d]: Anonymous TLS connection established from %s: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256", pid, name)
		if i%3 == 0 {
			line("smtpd[%d]: NOQUEUE: reject: RCPT from %s: 554 5.7.1 <x@example.com>: Relay access denied; from=<a@example.org> to=<x@example.com> proto=ESMTP helo=<mail%d.example.org>", pid, name, client)
			line("smtpd[%d]: disconnect from %s ehlo=2 starttls=1 mail=1 rcpt=0/1 quit=1 commands=5/6", pid, name)
			continue
		}
		id := fmt.Sprintf("4B%06X", i)
		line("smtpd[%d]: %s: client=%s", pid, id, name)
		line("cleanup[%d]: %s: message-id=<20261101.%d@mail.example.org>", pid+500, id, i)
		line("qmgr[812]: %s: from=<a%d@example.org>, size=%d, nrcpt=1 (queue active)", id, i, 2000+i%9000)
		line("smtpd[%d]: disconnect from %s ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7", pid, name)
		line("lmtp[%d]: %s: to=<b@example.com>, relay=mx1[private/dovecot-lmtp], delay=0.4, delays=0.3/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 <b@example.com> x Saved)", pid+700, id)
		line("qmgr[812]: %s: removed", id)
	}
	return out.Flush()
}
