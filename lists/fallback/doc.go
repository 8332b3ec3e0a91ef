// Package fallback learns which clients cannot do TLS with this mail server, from the sessions in its log, so that they are
// served by a service with old TLS, or are not offered STARTTLS.
//
// A [Learner] has the rules. It does no I/O, has no goroutine and reads no clock: each call gets the transaction of the store
// and the moment. What it learned is in a [Table], which never changes; a [List] answers from the table that was published
// last.
//
// The words:
//
//   - Evidence is the failures of one client that say that it is incapable of TLS. Enough of it makes an entry.
//   - An entry is one address, and has a life. When the life ends the entry is dormant: STARTTLS is offered again. Another
//     failure of the same class confirms the entry, which then lives twice as long.
//   - A probe is a session of a client with an entry that is offered STARTTLS to find out whether TLS works by now.
//   - A client that completed TLS is immune: nothing is learned of it. A client that is left alone has shown that it is not
//     for learning: it is a scanner, for example.
//   - While the breaker is open nothing is learned: so many clients fail that this server is at fault.
//
// Any doubt ends with learning nothing. An attacker on the path can make TLS fail for a session, and could strip STARTTLS from
// it as well; what is learned must give the attacker no more than that.
package fallback
