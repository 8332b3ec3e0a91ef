package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/tlspolicy"
)

func (e *exam) checkGuardOff() {
	if c := e.config; c.NeedsGuard() && c.Guard.Off {
		e.add(Note, "guard-off", e.configPlace("guard.off", true), "no check whether your domains have committed to STARTTLS by MTA-STS or DANE",
			"Clients are suppressed because they are unknown, or because a feed or a DNS list has them. If a domain publishes MTA-STS in mode enforce, or TLSA "+
				"records, senders that check them defer their mail, and bounce it in the end.",
			e.inSection("guard", `domains = ["example.org"] # all that are served here, in place of off`))
	}
}

func (e *exam) guardPlace() Place {
	return e.configPlace("guard.domains", "["+quoteAll(e.config.Guard.Domains)+"]")
}

func (e *exam) checkServedDomains() {
	c := e.config
	if !c.NeedsGuard() || c.Guard.Off {
		return
	}
	v := view{e.pf, nil}
	var missing, described, unseen []string
	for _, param := range []string{"mydestination", "relay_domains", "virtual_mailbox_domains", "virtual_alias_domains"} {
		before := len(missing)
		for _, w := range splitList(v.value(param)) {
			domain := lists.NormalizeName(w)
			switch {
			case strings.ContainsAny(w, ":/"):
				unseen = append(unseen, without([]string{w}, unseen)...)
			case e.expectsMail(domain) && !slices.Contains(c.Guard.Domains, domain) && !slices.Contains(missing, domain):
				missing = append(missing, domain)
			}
		}
		if more := missing[before:]; len(more) > 0 {
			described = append(described, fmt.Sprintf("%s (%s)", firstNames(more), param))
		}
	}
	if len(missing) > 0 {
		e.add(Warning, "guard-misses", e.guardPlace(), "Postfix serves domains that [guard] does not have: "+strings.Join(described, ", "),
			"If one of them has committed to STARTTLS, by MTA-STS or DANE, ehlogate suppresses clients all the same. Senders that check defer their mail, and bounce it in the end.",
			e.inSection("guard", "domains = ["+quoteAll(append(slices.Clip(c.Guard.Domains), missing...))+"]"))
	}
	if len(unseen) > 0 {
		e.add(Note, "guard-unseen", e.guardPlace(), "domains in tables of Postfix were not compared with those of [guard]: "+firstNames(unseen),
			"ehlogate checks the domains in guard.domains only. See that it has all domains for which you accept mail.")
	}
}

// expectsMail reports whether senders are meant to use a domain that Postfix serves. As a rule, there are no
// addresses at the name of the host, mail.example.org. If that is example.org, there are.
func (e *exam) expectsMail(domain string) bool {
	host := lists.NormalizeName(view{e.pf, nil}.value("myhostname"))
	private := []string{"localhost", "localdomain", "local", "internal", "lan"} // unreachable from outside
	first, rest, _ := strings.Cut(domain, ".")
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return tlspolicy.CheckDomain(domain) == nil && rest != "" && first != "localhost" && !slices.Contains(private, top) &&
		!(domain == host && strings.Contains(rest, "."))
}

func firstNames(names []string) string {
	const most = 10
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}
