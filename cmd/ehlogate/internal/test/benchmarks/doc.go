// Package benchmarks measures what ehlogate costs, side by side with a floor (an
// echo with the same framing) or a peer (rbldnsd, bart, Postfix's own maps and
// restrictions) in the same run: these are tests, and the programs that they
// compare with are in the test code, in Debian's packages, or modules that only
// they use.
//
// Nothing is asserted about a figure, only that every answer is right.
// "go test" runs all of it in small, which shows that it works and not how
// fast it is; "make bench" runs it in full and writes RESULTS.md.
package benchmarks
