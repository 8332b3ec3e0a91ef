package main

import (
	"fmt"
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// Protocols that pass names of clients to a lookup. Policy and milter pass both; others pass only addresses.
var (
	passHostNames = []string{"socketmap", "policy", "milter"}
	passHELONames = []string{"memcache", "tcp_table", "policy", "milter"}
)

// warnAboutNames warns about entries that never count, since no protocol in [listen] passes such names. Without [listen],
// the sockets may be those of any protocol.
func (c *checker) warnAboutNames(cfg *config.Config, l config.List, list *listfile.List) {
	t := list.Table()
	if !cfg.Listen.Explicit || t == nil {
		return
	}
	passed := func(protocols []string) bool {
		return slices.ContainsFunc(protocols, func(p string) bool { return len(cfg.Listen.Addresses[p]) > 0 })
	}
	warn := func(what, hint string) {
		c.lint.Warnings.Add(diag.Problem{File: cfg.File, Hint: hint,
			Msg: fmt.Sprintf("the %s in list %q never count: no protocol in [listen] passes them", what, l.Name)})
	}
	if t.HasNames() && !cfg.DNS.VerifyNames && !passed(passHostNames) {
		warn("host names", "write verify_names = true in [dns], or an address for one of socketmap, policy and milter in [listen]")
	}
	if t.HasHELONames() && !passed(passHELONames) {
		warn("HELO names", "write an address for one of memcache, tcp_table, policy and milter in [listen]")
	}
}

// describeMode returns what check says about the mode of a list. mode = "observe" at the end of a config is that of the last
// list, although it may be meant for all.
func describeMode(cfg *config.Config, l config.List) string {
	if l.Mode != lists.Observe || cfg.Mode == lists.Observe {
		return ""
	}
	return `, observes (mode = "observe" of this list only)`
}
