package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/tlspolicy"
)

// unguarded notes what it means that [guard] is off.
func (e *exam) unguarded() {
	if c := e.gate.config; !c.NeedsGuard() || !c.Guard.Off {
		return
	}
	e.add(Finding{
		ID: "guard-off", Severity: Note, Place: e.setting("guard.off", true),
		What: "no check whether your domains promised STARTTLS by MTA-STS or DANE",
		Why: "Clients are suppressed for being unknown, or on the word of others. If a domain publishes MTA-STS in mode enforce, or TLSA " +
			"records, senders that check defer their mail and bounce it in the end.",
		Write: e.in("guard", `domains = ["example.org"] # all that are served here, in place of off`),
	})
}

// promises looks whether one of the domains promised STARTTLS, as the daemon does.
// What that remembers of earlier promises counts, if its file can be read here.
func (e *exam) promises(ctx context.Context, servers []netip.AddrPort) {
	c := e.gate.config
	if !c.NeedsGuard() || len(c.Guard.Domains) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsLimit)
	defer cancel()
	local := !slices.ContainsFunc(servers, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() })
	g := tlspolicy.New(tlspolicy.Options{Domains: c.Guard.Domains, State: c.Guard.State, Local: local},
		e.host.Ask(dnsclient.Options{Servers: servers, Timeout: c.DNS.Timeout, Tries: 3}), time.Now)
	g.Check(ctx)
	for _, d := range g.Report().Domains {
		if d.Commitment == tlspolicy.NoCommitment {
			continue
		}
		what := fmt.Sprintf("STARTTLS is promised to all senders for %s: %s", d.Name, d.Why)
		if d.Commitment == tlspolicy.Assumed {
			what = fmt.Sprintf("for %s a promise of STARTTLS is assumed: %s", d.Name, d.Why)
		}
		e.add(Finding{
			ID: "guard-holds", Severity: Note, Place: e.setting("guard.domains", "["+quoted(c.Guard.Domains)+"]"), What: what,
			Why: "While that stands, STARTTLS is hidden by the lines of your own list files alone: what the default, feeds and " +
				"lists by DNS would hide is held back (ehlogate_overridden_total counts it).",
		})
	}
}

// served compares the domains that Postfix serves with those of [guard].
func (e *exam) served() {
	c := e.gate.config
	if !c.NeedsGuard() || c.Guard.Off {
		return
	}
	v := view{e.pf, nil}
	var missing, said, unseen []string
	for _, param := range []string{"mydestination", "relay_domains", "virtual_mailbox_domains", "virtual_alias_domains"} {
		before := len(missing)
		for _, w := range words(v.get(param)) {
			domain := lists.NormalizeName(w)
			switch {
			case strings.ContainsAny(w, ":/"):
				if !slices.Contains(unseen, w) {
					unseen = append(unseen, w)
				}
			case !e.takesMail(domain) || slices.Contains(c.Guard.Domains, domain) || slices.Contains(missing, domain):
			default:
				missing = append(missing, domain)
			}
		}
		if more := missing[before:]; len(more) > 0 {
			said = append(said, fmt.Sprintf("%s (%s)", some(more), param))
		}
	}
	if len(missing) > 0 {
		e.add(Finding{
			ID: "guard-misses", Severity: Warning, Place: e.setting("guard.domains", "["+quoted(c.Guard.Domains)+"]"),
			What:  "Postfix serves domains of which [guard] does not know: " + strings.Join(said, ", "),
			Why:   "If one of them promised STARTTLS, by MTA-STS or DANE, nothing is held back for it, and senders that check defer their mail and bounce it in the end.",
			Write: e.in("guard", "domains = ["+quoted(append(slices.Clip(c.Guard.Domains), missing...))+"]"),
		})
	}
	if len(unseen) > 0 {
		e.add(Finding{
			ID: "guard-unseen", Severity: Note, Place: e.setting("guard.domains", "["+quoted(c.Guard.Domains)+"]"),
			What: "domains in tables of Postfix were not compared with those of [guard]: " + some(unseen),
			Why:  "What is not in guard.domains is not looked after: see that all domains for which mail is taken are.",
		})
	}
}

// takesMail says whether mail is meant to be sent to a domain that Postfix
// serves, and not just possible: as a rule, there are no addresses at the name of
// the host, mail.example.org. If that is example.org, there are.
func (e *exam) takesMail(domain string) bool {
	host := lists.NormalizeName(view{e.pf, nil}.get("myhostname"))
	private := []string{"localhost", "localdomain", "local", "internal", "lan"} // not reachable from outside
	first, rest, _ := strings.Cut(domain, ".")
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return tlspolicy.CheckDomain(domain) == nil && rest != "" && first != "localhost" && !slices.Contains(private, top) &&
		!(domain == host && strings.Contains(rest, "."))
}

// some names the first of many.
func some(names []string) string {
	const most = 10
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}
