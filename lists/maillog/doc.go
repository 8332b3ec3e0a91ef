// Package maillog turns the lines of mail logs into SMTP sessions: the client, whether TLS was used or why it failed, and
// whether mail was accepted. It reads what Postfix (smtpd, postscreen, tlsproxy; 2.11 and later), Sendmail (8.15 and later)
// and Exim (OpenSSL and GnuTLS) write, as files and syslog frame it: RFC 3164, RFC 5424, ISO 8601 times, the JSON of
// journalctl and docker, the prefixes of docker compose, Exim's own log, or no time at all.
//
// Clients choose parts of a line: HELO names, envelope addresses, certificates. An address is taken only from the place
// where the server writes it. A line in which that place is not certain is counted and not used. Memory is bounded, however
// many sessions are open.
//
// [Reader] is fed lines. It knows no files: see package logfile.
package maillog
