package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
	"ehlogate/lists/printable"
)

// checkHost refuses requests for a host name that this server does not know (DNS rebinding): a page on the web can make the
// name of its own server lead to 127.0.0.1, and would then read the answers in a browser of this machine. An IP address as
// Host is no such name, and no page reaches a unix socket.
func (a *API) checkHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" || a.knowsHost(r.Host) {
			h.ServeHTTP(w, r)
			return
		}
		a.Recorder.Fault("http", telemetry.FaultHost, []byte(r.Host))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusMisdirectedRequest)
		fmt.Fprintf(w, "ehlogate is not known as %s. Query it by its IP address or as localhost,\n"+
			"or write the name into hosts = [...] in the section [http] of its config, and reload it.\n",
			printable.Escape(printable.Shorten(r.Host, 300)))
	})
}

// knowsHost reports whether a Host header names this server. HTTP/1.0 has none, and browsers always send one.
func (a *API) knowsHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	// A zone is for the client's own use (RFC 6874): none sends it, and it can be any name.
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" || host == "" {
		return true
	}
	host = lists.NormalizeName(host)
	return host == "localhost" || slices.Contains(a.Manager.Snapshot().Config.HTTP.Hosts, host)
}
