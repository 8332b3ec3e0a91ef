package replay

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/lists/maillog"
)

// Bounds of advice: fewer clients are no pattern.
const (
	minOutage = 5 // clients that fail for the first time in ten minutes
	quietTime = 2 * time.Hour
)

// settings names what decides which versions and ciphers a server accepts.
var settings = [4]string{
	maillog.Postfix: "Postfix: smtpd_tls_protocols, smtpd_tls_ciphers", maillog.Postscreen: "Postfix: smtpd_tls_protocols, smtpd_tls_ciphers",
	maillog.Sendmail: "Sendmail: ServerSSLOptions, CipherList", maillog.Exim: "Exim: tls_require_ciphers, openssl_options",
}

// advise says what would help more than to hide STARTTLS.
func (t *Tally) advise(r *Report) {
	versions, ciphers := map[maillog.Server]int{}, map[maillog.Server]int{}
	for _, id := range t.clients {
		switch c := &t.stats[id/chunk][id%chunk]; {
		case c.outcomes == 0:
		case c.isIncapable() && isVersion(c.class):
			versions[c.server]++
		case c.isIncapable():
			ciphers[c.server]++
		}
	}
	if at, ok := t.outage(); ok {
		r.Advice = append(r.Advice, fmt.Sprintf("most clients began to fail at %s: look at what changed then, your certificate first", stampText(at)))
	}
	if t.local > 0 {
		r.Advice = append(r.Advice, fmt.Sprintf("in %s your server could not do TLS itself: look for its certificate, key and TLS settings in its log", plural(t.local, "session")))
	}
	if r.RejectingClients > 0 {
		since := ""
		if !t.certSince.IsZero() {
			since = " since " + stampText(t.certSince)
		}
		r.Advice = append(r.Advice, fmt.Sprintf("%s your certificate%s: mend it. Without STARTTLS most likely nothing would be sent",
			verb(r.RejectingClients, "client", "rejects", "reject"), since))
	}
	if t.tls[maillog.TLSOK] == 0 && r.IncapableClients >= minOutage { // without a certificate there is no cipher that is shared
		r.Advice = append(r.Advice, "no client completed TLS: look at your certificate, key and TLS settings first")
		return
	}
	for server, setting := range settings {
		if n := versions[maillog.Server(server)]; n > 0 {
			r.Advice = append(r.Advice, fmt.Sprintf("%s because your server excludes old versions of TLS (%s): with TLS 1.0 and 1.1 encryption may work",
				verb(int64(n), "client", "fails", "fail"), setting))
		}
		if n := ciphers[maillog.Server(server)]; n > 0 {
			r.Advice = append(r.Advice, fmt.Sprintf("%s for want of a cipher, group or signature that your server has too (%s): an RSA certificate besides one of ECDSA, or a lower security level, may help",
				verb(int64(n), "client", "fails", "fail"), setting))
		}
	}
}

// isVersion reports whether a failure is about the version of TLS.
func isVersion(c maillog.Class) bool {
	switch c.String() {
	case "unsupported-protocol", "version-too-low", "unknown-protocol", "alert-protocol-version":
		return true
	}
	return false
}

// outage returns when most clients began to fail: nearly no handshake failed before, and most do from then on.
func (t *Tally) outage() (time.Time, bool) {
	var times []int64
	for at := range t.buckets {
		times = append(times, at)
	}
	slices.Sort(times)
	var ok, failed int64 // before
	var okAfter, failedAfter int64
	for _, at := range times {
		okAfter, failedAfter = okAfter+int64(t.buckets[at].ok), failedAfter+int64(t.buckets[at].failed)
	}
	for i, at := range times {
		b := t.buckets[at]
		isQuiet := i > 0 && time.Duration(at-times[0])*bucketLength >= quietTime && failed*20 <= ok
		if isQuiet && b.clients >= minOutage && failedAfter > okAfter {
			return time.Unix(at*int64(bucketLength/time.Second), 0), true
		}
		ok, failed = ok+int64(b.ok), failed+int64(b.failed)
		okAfter, failedAfter = okAfter-int64(b.ok), failedAfter-int64(b.failed)
	}
	return time.Time{}, false
}

// noteGaps says what the log does not tell.
func (t *Tally) noteGaps(r *Report, stats maillog.Stats) {
	if t.unknownPort > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("the log does not tell the port of %s, which count as port 25: set log_selector = +incoming_port +incoming_interface +smtp_no_mail in Exim", plural(t.unknownPort, "session")))
	}
	if t.unknownVersion > 0 && t.unknownVersion == t.tls[maillog.TLSOK] && (t.servers[maillog.Postfix] || t.servers[maillog.Postscreen]) {
		r.Notes = append(r.Notes, "the log does not tell versions of TLS: set smtpd_tls_loglevel = 1 in Postfix")
	}
	if stats.Unclear > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s not used: a client wrote what looks like a server's", verb(stats.Unclear, "line", "was", "were")))
	}
	if stats.Evicted > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s cut short, since too many were open", verb(stats.Evicted, "session", "was", "were")))
	}
}

// verb returns "1 client fails", "2 clients fail".
func verb(n int64, noun, one, many string) string {
	if n == 1 {
		many = one
	}
	return plural(n, noun) + " " + many
}

// plural returns "1 client", "2,911 clients".
func plural(n int64, what string) string { return thousands(n) + " " + noun(n, what) }

func noun(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return what
}

// thousands returns "12,410".
func thousands(n int64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func stampText(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
