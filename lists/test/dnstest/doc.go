// Package dnstest runs real DNS servers on loopback for tests: rbldnsd, which serves DNS lists as their operators do,
// unbound, which resolves and validates, and a [Server] in this process for zones that change, signed zones, and
// faults.
//
//	lists := dnstest.StartRbldnsd(t, dnstest.Dataset{Zone: "bl.test", Type: "ip4set", Text: "127.0.0.2\n192.0.2.7\n"})
//	signed := dnstest.NewSignedZone(t, "example.test", "mail A 192.0.2.25")
//	served := dnstest.StartServer(t, signed)
//	resolver := dnstest.StartUnbound(t, slices.Concat(lists.Upstreams(), served.Upstreams())...)
//
// Everything ends with the test that started it. The programs are those that .ci/deps unpacks. No packet leaves the
// machine. Functions with a testing.TB end that test if they fail, and so must be called from its goroutine; the others
// may be called from any.
package dnstest
