package main

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/lists/diag"
)

// warnIfRemote warns of an address at which a mail server in a container or on another machine looks up clients, if clients
// on no list share what the default decides: such a mail server often sees all of them under one address. The CPU pressure
// of this machine says nothing about one on another machine.
func (c *checker) warnIfRemote(cfg *config.Config) {
	word := cfg.DefaultWord()
	if word == "offer" {
		return
	}
	for protocol, addr := range cfg.RemoteLookups() {
		c.lint.Warnings.Add(diag.Problem{File: cfg.File,
			Msg: fmt.Sprintf("%s on %s is for mail servers in containers or on other machines, and default = %q decides once for each client address", protocol, addr, word),
			Hint: "behind a proxy, a NAT or a container bridge, all clients may have one address: look in the mail server's log that it sees theirs " +
				"(PROXY protocol, host network)"})
		if cfg.Limit != nil && cfg.Limit.CPUPressure > 0 {
			c.lint.Warnings.Add(diag.Problem{File: cfg.File,
				Msg:  fmt.Sprintf("%s on %s is for mail servers in containers or on other machines, and cpu_pressure is about the CPU of this one", protocol, addr),
				Hint: "for a mail server on another machine write offers_per_second in place of cpu_pressure, or run ehlogate there"})
		}
	}
}

// checkPressure warns if the CPU pressure cannot be read: serve does without it.
func (c *checker) checkPressure(cfg *config.Config) {
	if c.elsewhere || cfg.Limit == nil || cfg.Limit.CPUPressure == 0 {
		return
	}
	_, file, err := cpupressure.Measure(cfg.Limit.PressureFile)
	if err == nil {
		fmt.Fprintf(c.out, "limit: fine, follows %s\n", file)
		return
	}
	effect := "clients on no list would be offered STARTTLS without a limit"
	if n := cfg.Limit.OffersPerSecond; n > 0 {
		effect = fmt.Sprintf("only offers_per_second (%v) would count", n)
	}
	c.lint.Warnings.Add(diag.Problem{File: cfg.File, Msg: fmt.Sprintf("[limit] cpu_pressure: %v; %s", err, effect), Hint: err.Hint()})
}
