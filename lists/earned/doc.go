// Package earned learns which clients earned the offer of STARTTLS, from the sessions in the log of a mail server: they
// delivered mail that was accepted, on several days, and little of what they sent was rejected.
//
// A [Learner] has the rules. It does no I/O, has no goroutine and reads no clock: each call gets the transaction of the store
// and the moment. The clients that it found are in a [Table], which never changes; a [List] answers from the table that was
// published last.
//
// The words:
//
//   - A client is an IPv4 address or an IPv6 /64, in which a host chooses its addresses.
//   - A record is what is known of a client: on which days mail was accepted, and in how many sessions it was accepted or
//     rejected.
//   - A client is earned from when its record meets the rules until it stops or turns bad.
//
// An attacker can earn an offer only by delivering, for days, mail that this server accepts; then STARTTLS is what the client
// would be offered anyway, were it not for a list or a limit.
package earned
