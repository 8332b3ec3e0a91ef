package fallback

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

// testSites are the domains of services that test mail servers. They make handshakes fail on purpose, and hiding STARTTLS
// from them fails the operator's test.
var testSites = []string{"checktls.com", "hardenize.com", "havedane.net", "internet.nl", "mxtoolbox.com", "ssl-tools.net"}

func isTestSite(name string) bool {
	return slices.ContainsFunc(testSites, func(site string) bool { return name == site || strings.HasSuffix(name, "."+site) })
}

// clientOf returns the client of a session. A name that is no host name does not count.
func clientOf(s *maillog.Session) lists.Client {
	c := lists.Client{Addr: plainAddr(s.Addr)}
	if name, ok := lists.ParseHostName(s.Name); ok {
		c.Name = name
	}
	return c
}

func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// hasOwnAddress reports whether the address can be that of one client on the Internet.
func hasOwnAddress(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !lists.MayBeShared(addr)
}

// domainOf returns the domain that was registered for a host name; empty if there is none.
func domainOf(name string) string {
	if name == "" {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return ""
	}
	return domain
}

func addrKey(addr netip.Addr) []byte {
	key := addr.As16()
	return key[:]
}

func networkKey(addr netip.Addr, bits4, bits6 int) []byte {
	bits := bits6
	if addr.Is4() {
		bits = bits4
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return nil
	}
	return addrKey(network.Addr())
}

// hostKey returns the key of what is taken for one host: an IPv4 address, an IPv6 /64.
func hostKey(addr netip.Addr) []byte { return networkKey(addr, 32, 64) }

// nearKey returns the key of the network of a client's neighbors.
func nearKey(addr netip.Addr) []byte { return networkKey(addr, 24, 48) }

// remedies are the classes of failures that may not happen with old TLS: versions, and the ciphers, keys and signatures that
// come with them.
var remedies = func() map[maillog.Class]bool {
	all := map[maillog.Class]bool{}
	for name, isVersion := range map[string]bool{
		"unsupported-protocol": true, "version-too-low": true, "unknown-protocol": true, "alert-protocol-version": true,
		"no-shared-cipher": false, "no-suitable-signature-algorithm": false, "alert-handshake-failure": false,
		"alert-insufficient-security": false,
	} {
		if c, ok := classByName[name]; ok {
			all[c] = isVersion
		}
	}
	return all
}()

// helpsOldTLS reports whether a client that fails this way may succeed with old TLS.
func helpsOldTLS(c maillog.Class) bool {
	_, ok := remedies[c]
	return ok
}

// isVersionClass reports whether the client has no version of TLS that this server has.
func isVersionClass(c maillog.Class) bool { return remedies[c] }
