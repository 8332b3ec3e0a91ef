// Package stresstest attacks the daemon: [Attacks] are what hostile, broken or overloaded clients do, each against the
// protocols for which it makes sense, and [AlmostFull] is the most that a client can make a connection hold. The tests run
// the attacks against a real daemon, together with well-behaved clients that must notice nothing. A soak test asks the
// daemon many millions of questions of all protocols and compares its resources at the end with those at the start.
//
// The package is for tests only.
package stresstest
