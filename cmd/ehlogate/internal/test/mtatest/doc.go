// Package mtatest runs real mail servers and the real daemon in a temporary directory on free loopback ports, so that tests
// and the demo can show what a mail server does with the answers of ehlogate.
//
//   - [Postfix] is a complete instance: master, smtpd and postscreen services of the caller's choice, proxymap, delivery
//     into a maildir. One instance can serve many variants of the same settings, each on its own port.
//   - [Sendmail] and [Exim] are daemons unpacked beside it, each in a mount and UTS namespace of its own (which takes
//     CAP_SYS_ADMIN), so that they find their libraries and names there and nowhere else.
//   - [SMTP] is a client that binds a chosen source address and returns every single reply to its caller; [Session] is one
//     connect, EHLO and QUIT, and [Load] plays many of them and counts.
//   - [Fixture] is an ehlogate for one test: built once, configured, started and checked at its end. [Daemon] runs any
//     program, waits until it serves, and can kill, stop, continue and restart it.
//   - [Holder] passes sockets to a program and keeps it running, as systemd does, and records when no process answered.
//   - [Machine] is a real systemd, with namespaces and files of its own.
//
// All but Fixture takes a context and a directory and returns errors, and an error carries the end of the log of the server
// that caused it. Postfix insists on root and on its own users, so the caller must be root. Nothing is written outside the
// given directory.
package mtatest
