// Package dnstest gives tests real DNS servers on loopback: rbldnsd, which
// serves lists as their operators do, unbound, which resolves and validates, and
// a [Server] in this process for zones that change, signed ones, and faults.
//
//	lists := dnstest.StartRbldnsd(t, dnstest.Dataset{Zone: "bl.test", Type: "ip4set", Text: "127.0.0.2\n192.0.2.7\n"})
//	signed := dnstest.NewSignedZone(t, "example.test", "mail A 192.0.2.25")
//	served := dnstest.StartServer(t, signed)
//	resolver := dnstest.StartUnbound(t, slices.Concat(lists.Upstreams(), served.Upstreams())...)
//
// Everything ends with the test that started it. The programs are those that
// .ci/deps unpacks, and nothing here ever speaks to another machine. What takes
// a testing.TB ends that test if it fails, and so must be called from its
// goroutine; the rest may be called from any.
package dnstest
