package policyd_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"

	"ehlogate/lists"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
)

// Serve answers lookups on one connection. Here a mail server asks by memcache which keywords it must hide from two clients.
func ExampleServe() {
	denied := netip.MustParsePrefix("192.0.2.0/24")
	values := policyd.NewValues([]string{"chunking"}, false)
	server := &memcache.Server{Backend: policyd.Backend{
		Decider: lists.DeciderFunc(func(_ context.Context, c lists.Client) (d lists.Decision) {
			if denied.Contains(c.Addr) {
				d.Action = lists.Suppress
			}
			return d
		}),
		Values: func(lists.Decision) *policyd.Values { return values },
		Fault:  func(reason string, about []byte) { fmt.Println("fault:", reason) },
	}}
	mailServer, conn := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		policyd.Serve(context.Background(), conn, server, server.Fault)
	}()
	replies := bufio.NewScanner(mailServer)
	for _, addr := range []string{"192.0.2.1", "198.51.100.1"} {
		fmt.Fprintf(mailServer, "get starttls:%s\r\n", addr)
		for replies.Scan() && replies.Text() != "END" {
			fmt.Println(replies.Text())
		}
		fmt.Println("END for", addr)
	}
	mailServer.Close()
	<-done
	// Output:
	// VALUE starttls:192.0.2.1 0 18
	// chunking, starttls
	// END for 192.0.2.1
	// END for 198.51.100.1
}
