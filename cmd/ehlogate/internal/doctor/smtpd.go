package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// postfix looks over all services that speak SMTP to clients.
func (e *exam) postfix() {
	asked := false
	public := Write{shell, []string{"postconf -P 'smtp/inet/" + smtpdMaps + "=" + exampleMap + "' # with postscreen: smtpd/pass"}}
	for _, s := range e.pf.Services {
		if s.Command != "smtpd" {
			continue
		}
		v := view{e.pf, s}
		asks := e.smtpd(v)
		e.hooks(v, asks)
		asked = asked || asks
		if v.public() {
			public = e.askMap(v)
		}
	}
	if e.live {
		e.names("Postfix", "by address only")
	}
	e.served()
	for _, s := range e.pf.Services {
		if s.Command == "postscreen" {
			e.postscreen(view{e.pf, s}, asked)
		}
	}
	if !asked {
		e.add(Finding{
			ID: "ehlogate-not-asked", Severity: Note, Place: view{e.pf, nil}.origin(smtpdMaps),
			What:  "no smtpd asks ehlogate",
			Why:   "STARTTLS is offered as if there were no lists. Give the map to the smtpd on port 25, and to no other. examples/postfix has ehlogate.cf, for /etc/postfix.",
			Write: public,
		})
	}
}

// smtpd looks over one smtpd. asks: the lists have a say in what it offers.
func (e *exam) smtpd(v view) (asks bool) {
	e.policies(v)
	e.milters(v)
	maps, filter := tables(v.get(smtpdMaps)), tables(v.get(smtpdFilter))
	for _, t := range maps {
		e.table(v, t, smtpdMaps)
	}
	for _, t := range filter {
		e.table(v, t, smtpdFilter)
	}
	liveMaps, liveFilter := slices.ContainsFunc(maps, table.asks), slices.ContainsFunc(filter, table.asks)
	static := slices.ContainsFunc(maps, func(t table) bool { return e.hides(v, t) })
	if !liveMaps && !liveFilter && !static {
		return false
	}
	if liveMaps {
		e.live = true
		e.keywords(v)
	}
	// Either of them hides STARTTLS: what follows is said of that which does.
	param := smtpdMaps
	if !liveMaps && !static {
		param = smtpdFilter
	}
	switch {
	case v.forSubmission():
		e.add(Finding{
			ID: "submission-asks", Severity: Hazard, Place: v.place(param),
			What:  "the lists decide about STARTTLS for clients that log in",
			Why:   "A suppressed client is not offered STARTTLS, and sends its password in the clear or cannot send at all." + inherited(v, param),
			Write: v.option(param, e.without(v, param)),
		})
		return true
	case v.yes("smtpd_sasl_auth_enable") && !(hasWord(e.gate.AlwaysHide, "auth") && !liveFilter):
		why := "A suppressed client that logs in sends its password in the clear."
		if v.yes("smtpd_tls_auth_only") {
			why = "A suppressed client cannot log in: AUTH is offered behind STARTTLS only."
		}
		e.add(Finding{
			ID: "auth-asks", Severity: Hazard, Place: v.place(param),
			What:  "the lists decide about STARTTLS where clients may log in",
			Why:   why + " Let them log in on a port of their own." + inherited(v, "smtpd_sasl_auth_enable"),
			Write: v.option("smtpd_sasl_auth_enable", "no"),
		})
	}
	e.level(v, param)
	return true
}

// inherited explains why a service has a setting that master.cf does not give it.
func inherited(v view, param string) string {
	if _, at, _ := v.raw(param); at.File == "main.cf" {
		return fmt.Sprintf(" The service inherits %s from main.cf.", param)
	}
	return ""
}

// level looks at whether TLS is demanded of clients, or not offered at all.
func (e *exam) level(v view, param string) {
	switch level := strings.ToLower(v.get("smtpd_tls_security_level")); {
	case level == "encrypt" || level == "verify" || level == "secure" || level == "fingerprint":
		e.required(v, "smtpd_tls_security_level")
	case level == "" && v.yes("smtpd_enforce_tls"):
		e.required(v, "smtpd_enforce_tls")
	case level == "none" || level == "" && !v.yes("smtpd_use_tls"):
		e.add(Finding{
			ID: "no-starttls", Severity: Note, Place: v.place("smtpd_tls_security_level"),
			What: "STARTTLS is offered to no client here",
			Why:  param + " has nothing to hide: smtpd_tls_security_level is not \"may\".",
		})
	}
}

func (e *exam) required(v view, param string) {
	e.add(Finding{
		ID: "tls-required", Severity: Hazard, Place: v.place(param),
		What:  "TLS is demanded of every client, and not offered to those that are suppressed",
		Why:   "A suppressed client gets 530 to everything.",
		Write: v.option("smtpd_tls_security_level", "may"),
	})
}

const silentDiscard = "silent-discard" // no keyword of EHLO: it keeps Postfix from logging what it hides

// keywords compares what smtpd hides from all with what ehlogate repeats: an
// answer of the map replaces the setting.
func (e *exam) keywords(v view) {
	always := lower(e.gate.AlwaysHide)
	var all, lost, extra []string
	for _, w := range lower(words(v.get(smtpdKeywords))) {
		switch {
		case w == silentDiscard:
		case w == "starttls":
			e.add(Finding{
				ID: "starttls-hidden-from-all", Severity: Warning, Place: v.origin(smtpdKeywords),
				What: "STARTTLS is hidden from all clients that the map has no answer for",
				Why:  "The lists cannot offer it: to that, the map has no answer. Say it by default = \"suppress\" and explicit_offer = true instead.",
			})
		default:
			all = append(all, w)
			if !slices.Contains(always, w) {
				lost = append(lost, w)
			}
		}
	}
	for _, w := range always {
		if w != silentDiscard && !slices.Contains(all, w) {
			extra = append(extra, w)
		}
	}
	if len(lost) > 0 {
		why := "The answer of the map replaces this setting."
		if slices.Contains(lost, "chunking") {
			why += " CHUNKING is hidden because of SMTP smuggling: it would be offered to exactly the clients that are not trusted."
		}
		e.add(Finding{
			ID: "keywords-lost", Severity: Hazard, Place: v.origin(smtpdKeywords),
			What:  "suppressed clients are offered " + strings.ToUpper(strings.Join(lost, ", ")) + " again",
			Why:   why,
			Write: Write{e.gate.File, []string{fmt.Sprintf("always_hide = [%s]", quoted(append(slices.Clip(always), lost...)))}},
		})
	}
	if len(extra) > 0 {
		e.add(Finding{
			ID: "keywords-extra", Severity: Warning,
			Place: Place{File: e.gate.File, Parameter: "always_hide", Value: "[" + quoted(e.gate.AlwaysHide) + "]"},
			What:  strings.ToUpper(strings.Join(extra, ", ")) + " is hidden by the answers of ehlogate, and from no other client",
			Why:   "always_hide is meant to repeat " + smtpdKeywords + ": either is to be changed.",
			Write: v.origin(smtpdKeywords).set(strings.Join(append(words(v.get(smtpdKeywords)), extra...), ", ")),
		})
	}
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

func lower(list []string) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = strings.ToLower(w)
	}
	return out
}

func hasWord(list []string, word string) bool {
	return slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(w, word) })
}
