// Package siege attacks the daemon: [Attacks] are what hostile, broken or overloaded peers do, each against the protocols
// for which it makes sense, and [AlmostFull] is the most that a peer can have a connection hold. The tests beside it run
// them against a real daemon, together with clients who behave well and must notice nothing. A soak test asks the daemon
// many millions of questions of all protocols and looks whether it is at the end as it was at the begin.
//
// It is for tests only; nothing of the daemon imports it.
package stresstest
