// Package debtest tests the Debian package that examples/debian/build makes, and the RPM of examples/rpm/build: what is in
// them, what their scripts do to systemd, what lintian says, and that the same source gives the same bytes. The tests build
// them, which takes debhelper, rpm and Go.
package debtest
