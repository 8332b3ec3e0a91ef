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

// warnAboutNames warns about entries of a list that never count.
func (c *checker) warnAboutNames(cfg *config.Config, l config.List, list *listfile.List) {
	if t := list.Table(); t != nil {
		for _, p := range findUnpassedNames(cfg, l.Name, t.HasNames(), t.HasHELONames()) {
			c.lint.Warnings.Add(p)
		}
	}
}

// findUnpassedNames returns which entries of a list never count, since no protocol in [listen] passes such names. Without
// [listen], the sockets may be those of any protocol.
func findUnpassedNames(cfg *config.Config, list string, hasNames, hasHELONames bool) (found []diag.Problem) {
	if !cfg.Listen.Explicit {
		return nil
	}
	passed := func(protocols []string) bool {
		return slices.ContainsFunc(protocols, func(p string) bool { return len(cfg.Listen.Addresses[p]) > 0 })
	}
	warn := func(what, hint string) {
		found = append(found, diag.Problem{File: cfg.File, Hint: hint,
			Msg: fmt.Sprintf("the %s in list %q never count: no protocol in [listen] passes them", what, list)})
	}
	if hasNames && !cfg.DNS.VerifyNames && !passed(passHostNames) {
		warn("host names", "write verify_names = true in [dns], or an address for one of socketmap, policy and milter in [listen]")
	}
	if hasHELONames && !passed(passHELONames) {
		warn("HELO names", "write an address for one of memcache, tcp_table, policy and milter in [listen]")
	}
	return found
}

// describeMode returns what check says about the mode of a list. mode = "observe" at the end of a config is that of the last
// list, although it may be meant for all.
func describeMode(cfg *config.Config, l config.List) string {
	if l.Mode != lists.Observe || cfg.Mode == lists.Observe {
		return ""
	}
	return `, observes (mode = "observe" of this list only)`
}
