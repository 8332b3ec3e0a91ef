// Package debtest tests the Debian package that examples/debian/build makes: what is in it, what its scripts do to systemd,
// what lintian says, and that the same source gives the same bytes. The tests build it, which takes debhelper and Go.
package debtest
