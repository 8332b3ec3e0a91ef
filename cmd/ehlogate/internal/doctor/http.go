package doctor

import (
	"fmt"
	"net/netip"
)

// checkHTTPAddress reports an address of the HTTP interface that other machines can reach. It has no login, and a browser
// sends everything in the clear.
func (e *exam) checkHTTPAddress() {
	for i, addr := range e.config.Listen.Addresses["http"] {
		at, err := netip.ParseAddrPort(addr)
		if err != nil || at.Addr().Unmap().IsLoopback() { // a unix socket
			continue
		}
		e.add(Warning, "http-reachable", e.configPlace(fmt.Sprintf("listen.http[%d]", i), addr), "other machines may read the status page and the API",
			"There is no login and no TLS: each host that reaches this address sees the decision about any client, the state of the lists, and addresses of clients. "+
				fmt.Sprintf("Use a unix socket or loopback, and look at the page with: ssh -L 10045:127.0.0.1:%d HOST. ", at.Port())+
				"If Prometheus on another machine needs this address, let a firewall admit it alone.",
			e.inSection("listen", fmt.Sprintf("http = [%q]", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()))))
	}
}
