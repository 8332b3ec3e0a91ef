package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
)

// smtpd is a smtpd of Postfix: the service that speaks SMTP to clients.
type smtpd struct {
	view
	maps, filter  []table // that hide keywords, and that edit commands
	mapQueries    bool    // a map needs a daemon
	filterQueries bool    // the filter does
	mapHides      bool    // a map is a file that hides STARTTLS, or that was exported
	mapExported   bool    // a map was exported
	// A map is that of submission, which never hides STARTTLS: it needs a daemon, or was exported.
	submissionQueries, submissionHides bool
}

func (e *exam) findSMTPDs() (out []smtpd) {
	for _, service := range e.pf.Services {
		if service.Command != "smtpd" {
			continue
		}
		s := smtpd{view: view{e.pf, service}}
		s.maps, s.filter = parseTables(s.value(smtpdMaps)), parseTables(s.value(smtpdFilter))
		for _, t := range s.maps {
			ofSubmission := e.isOfSubmission(s.view, t)
			s.mapQueries = s.mapQueries || t.needsDaemon() && !ofSubmission
			s.submissionQueries = s.submissionQueries || t.needsDaemon() && ofSubmission
			s.submissionHides = s.submissionHides || ofSubmission
			s.mapExported = s.mapExported || e.isExported(s.view, t) && !ofSubmission
		}
		s.filterQueries = slices.ContainsFunc(s.filter, table.needsDaemon)
		s.mapHides = s.mapExported || slices.ContainsFunc(s.maps, func(t table) bool { return e.hidesSTARTTLS(s.view, t) })
		out = append(out, s)
	}
	return out
}

// suppresses reports whether lists decide what the smtpd offers.
func (s smtpd) suppresses() bool { return s.mapQueries || s.filterQueries || s.mapHides }

// decidingParameter returns the parameter by which they do.
func (s smtpd) decidingParameter() string {
	if s.mapQueries || s.mapHides {
		return smtpdMaps
	}
	return smtpdFilter
}

func (e *exam) checkSMTPDs() {
	for _, s := range e.smtpds {
		for _, c := range smtpdChecks {
			c.run(e, s)
		}
	}
	if slices.ContainsFunc(e.smtpds, func(s smtpd) bool { return s.mapQueries || s.submissionQueries }) {
		e.checkNameEntries("Postfix", "by address only")
	}
}

func (e *exam) checkPostfixVersion() {
	if e.pf.foreign != "" {
		e.add(Note, "postfix-version", Place{File: "main.cf", Parameter: "mail_version", Value: e.pf.Main["mail_version"]}, e.pf.foreign,
			"Settings that main.cf does not have were taken to be the defaults of the Postfix on this machine. "+
				"If the copy of main.cf lacks the version, add the line that \"postconf -d mail_version\" prints on the other machine.")
	}
}

// checkInstances notes that there are more Postfix instances (postmulti) than the one that is examined.
func (e *exam) checkInstances() {
	const param = "multi_instance_directories"
	v := view{e.pf, nil}
	for _, dir := range splitList(v.value(param)) {
		e.add(Note, "other-instances", v.origin(param), "this Postfix has another instance, which was not examined: "+dir,
			"Each instance has settings of its own.", Write{shell, []string{e.command("doctor") + " --postfix-config " + quoteShell(dir)}})
	}
}

func (e *exam) checkPostfixQueries() {
	if slices.ContainsFunc(e.smtpds, smtpd.suppresses) {
		e.checkOtherPorts()
		return
	}
	if e.listsThat(decidesSTARTTLS) == "" && slices.ContainsFunc(e.smtpds, func(s smtpd) bool { return s.submissionHides }) {
		return // the lists are for submission alone
	}
	main := view{e.pf, nil}
	if main.value("multi_instance_directories") != "" && !slices.ContainsFunc(e.smtpds, func(s smtpd) bool { return s.isPublic() }) {
		return // another instance receives the mail
	}
	advice := []Write{e.copyExample(main), {shell, []string{"postconf -P 'smtp/inet/" + smtpdMaps + "=" + exampleMap + "' # with postscreen: smtpd/pass"}}}
	for _, s := range e.smtpds {
		if s.isPublic() {
			advice = e.adviseMap(s.view)
		}
	}
	e.add(Note, "ehlogate-not-queried", main.origin(smtpdMaps), "no smtpd queries ehlogate",
		"All clients are offered STARTTLS, whatever the lists say. Add the map to the smtpd on port 25, and to no other. "+
			"examples/postfix has ehlogate.cf, for /etc/postfix.", advice...)
}

// checkOtherPorts looks for services for other mail servers that do not query ehlogate, where another one does.
func (e *exam) checkOtherPorts() {
	for _, s := range e.smtpds {
		if s.isPublic() && !s.suppresses() {
			e.add(Warning, "port-not-queried", s.place(smtpdMaps), "this service does not query ehlogate, and another one does",
				"A client that connects here is offered STARTTLS, whatever the lists say.", e.adviseMap(s.view)...)
		}
	}
}

// checkAddressQueries looks for entries about addresses where Postfix queries about HELO names only.
func (e *exam) checkAddressQueries() {
	byAddress := func(s smtpd) bool { return s.mapQueries || s.mapHides }
	i := slices.IndexFunc(e.smtpds, func(s smtpd) bool { return s.filterQueries })
	if i < 0 || slices.ContainsFunc(e.smtpds, byAddress) {
		return
	}
	s := e.smtpds[i]
	if with := e.listsThat(func(l config.List) bool {
		return l.Action != lists.Require && l.Services.Has(lists.SMTP) && e.usesAddresses(l)
	}); with != "" {
		e.add(Warning, "addresses-never-queried", s.place(smtpdFilter),
			"the addresses in "+with+" never match: the filter queries about HELO names only, and no smtpd has the map",
			"A client is suppressed by its HELO name alone, whatever its address. Add the map beside the filter. It queries by address.", e.adviseMap(s.view)...)
	}
}

// checkLogins looks for lists that decide about STARTTLS where clients send passwords.
func (e *exam) checkLogins(s smtpd) {
	switch param := s.decidingParameter(); {
	case !s.suppresses():
	case s.isWrapped() && !s.filterQueries: // there is no STARTTLS to hide
	case s.isSubmission():
		e.add(Hazard, "submission-queries", s.place(param), submissionAsks,
			"A suppressed client is not offered STARTTLS, and sends its password in the clear or cannot send at all."+inherits(s, param),
			e.adviseSubmission(s, param))
	case s.isYes("smtpd_sasl_auth_enable") && (s.filterQueries || !slices.Contains(lowercase(e.config.AlwaysHide), "auth")):
		why := "A suppressed client that logs in sends its password in the clear."
		if s.isYes("smtpd_tls_auth_only") {
			why = "A suppressed client cannot log in: AUTH is offered only after STARTTLS."
		}
		e.add(Hazard, "auth-queries", s.place(param), "the lists decide about STARTTLS on a port where clients may log in",
			why+" Let clients log in on another port."+inherits(s, "smtpd_sasl_auth_enable"), s.setOption("smtpd_sasl_auth_enable", "no"))
	}
}

const submissionAsks = "the lists decide about STARTTLS for clients that log in"

// inherits explains why a service has a setting that master.cf does not give it.
func inherits(s smtpd, param string) string {
	if s.origin(param).File == "main.cf" {
		return fmt.Sprintf(" The service inherits %s from main.cf.", param)
	}
	return ""
}

// checkTLSLevel looks whether clients must use TLS, or are not offered it at all.
func (e *exam) checkTLSLevel(s smtpd) {
	if !s.suppresses() || s.isSubmission() {
		return
	}
	const param, old = "smtpd_tls_security_level", "smtpd_enforce_tls"
	level, must := strings.ToLower(s.value(param)), ""
	switch {
	case slices.Contains([]string{"encrypt", "verify", "secure", "fingerprint"}, level):
		must = param
	case level == "" && s.isYes(old):
		must = old
	case level == "none" || level == "" && !s.isYes("smtpd_use_tls"):
		e.add(Note, "no-starttls", s.place(param), "no client is offered STARTTLS here",
			s.decidingParameter()+" has nothing to hide: smtpd_tls_security_level is not \"may\".")
	}
	if must != "" {
		e.add(Hazard, "tls-required", s.place(must), "clients must use TLS, and suppressed clients are not offered it",
			"A suppressed client gets error 530 for every command.", s.setOption(param, "may"))
	}
}

// without returns the entries of a list that others do not have.
func without(list, others []string) (out []string) {
	for _, w := range list {
		if !slices.Contains(others, w) {
			out = append(out, w)
		}
	}
	return out
}

func quoteAll(list []string) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

func lowercase(list []string) []string {
	return strings.Fields(strings.ToLower(strings.Join(list, " ")))
}
