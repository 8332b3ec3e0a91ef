package main

import (
	"fmt"
	"net/netip"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/diag"
)

// warnIfRemote warns of an address at which a mail server in a container or on another machine looks up clients, if clients
// on no list share what the default decides: such a mail server often sees all of them under one address.
func (c *checker) warnIfRemote(cfg *config.Config) {
	word := cfg.DefaultWord()
	if word == "offer" {
		return
	}
	for _, protocol := range []string{"memcache", "socketmap", "tcp_table"} {
		for _, addr := range cfg.Listen.Addresses[protocol] {
			if at, err := netip.ParseAddrPort(addr); err != nil || at.Addr().IsLoopback() {
				continue
			}
			c.lint.Warnings.Add(diag.Problem{File: cfg.File,
				Msg: fmt.Sprintf("%s on %s is for mail servers in containers or on other machines, and default = %q decides once for each client address", protocol, addr, word),
				Hint: "behind a proxy, a NAT or a container bridge, all clients may have one address: look in the mail server's log that it sees theirs " +
					"(PROXY protocol, host network)"})
		}
	}
}
