package doctor

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/lists"
	"ehlogate/policyd/socketmap"
)

// The key_format of the map of port 25, and of that of submission.
const (
	starttlsKey   = "starttls:%s"
	submissionKey = "submission:%s"
)

// decidesSTARTTLS reports whether a list has anything to say to clients on port 25.
func decidesSTARTTLS(l config.List) bool { return l.Services.Has(lists.SMTP) }

// hidesOn returns a filter for the lists that hide one of some keywords from the clients of a service.
func hidesOn(s lists.Service, keywords lists.Keywords) func(config.List) bool {
	return func(l config.List) bool { return l.Services.Has(s) && l.Hide.Has(keywords) && l.Mode == lists.Enforce }
}

// hiddenKeywords returns what lists hide from clients of a service.
func (e *exam) hiddenKeywords(s lists.Service) (k lists.Keywords) {
	for _, l := range e.config.Lists {
		if hidesOn(s, l.Hide)(l) {
			k |= l.Hide
		}
	}
	return k
}

// isOfSubmission reports whether a table is about clients of submission: by its key or the name of its map, or because it
// was exported for them.
func (e *exam) isOfSubmission(v view, t table) bool {
	switch t.kind {
	case "memcache":
		if t.proxied {
			v = e.pf.proxymap()
		}
		m, err := e.readMemcacheTable(v, t, smtpdMaps, Place{})
		if err != nil {
			return false
		}
		format, _ := m.parameter("key_format", "")
		return format == submissionKey
	case "socketmap":
		return strings.HasSuffix(t.name, ":"+lists.Submission.String())
	}
	_, flags, _ := export.ParseHeader([]byte(e.textOf(v, t)))
	return slices.Contains(flags, "--service="+lists.Submission.String())
}

// isExported reports whether ehlogate exported a table, which may be empty by now.
func (e *exam) isExported(v view, t table) bool {
	format, _, ok := export.ParseHeader([]byte(e.textOf(v, t)))
	return ok && export.IsForPostfix(format) && servesAs(format, t.kind)
}

// adviseSubmission returns the advice to keep lists from deciding about STARTTLS where clients log in. The file for the map
// of submission lacks only its key.
func (e *exam) adviseSubmission(s smtpd, param string) Write {
	for _, t := range s.maps {
		if param == smtpdMaps && t.kind == "memcache" && path.Base(t.name) == exampleSubmissionFile && !e.isOfSubmission(s.view, t) {
			if m, err := e.readMemcacheTable(s.view, t, param, Place{}); err == nil {
				return m.adviseParameters("key_format = " + submissionKey)
			}
		}
	}
	if param == smtpdFilter {
		return s.setOption(param, e.withoutEhlogate(s.view, param))
	}
	return s.setOption(param, strings.Join(e.withoutSuppressing(s.view, s.origin(param).Value), ", "))
}

// withoutSuppressing returns the tables in a setting that do not decide about STARTTLS. An exported table does, and so does a
// table of the operator that hides STARTTLS.
func (e *exam) withoutSuppressing(v view, value string) []string {
	_, rest := separateEntries(v, value, false, func(entry string) bool {
		return slices.ContainsFunc(parseTables(entry), func(t table) bool {
			return (t.needsDaemon() || e.isExported(v, t)) && !e.isOfSubmission(v, t) || e.hidesSTARTTLS(v, t)
		})
	})
	return rest
}

// firstPlace returns the place of the first list of the config that matches.
func (e *exam) firstPlace(match func(config.List) bool) Place {
	i := slices.IndexFunc(e.config.Lists, match)
	return e.configPlace("list", e.config.Lists[i].Name)
}

// checkSubmissionMap looks for the map of submission where other mail servers deliver.
func (e *exam) checkSubmissionMap(s smtpd) {
	if s.submissionHides && s.isPublic() {
		e.add(Hazard, "submission-map", s.place(smtpdMaps), "port 25 has the map of submission",
			"That map hides STARTTLS from no client, and other keywords only by lists with services = [\"submission\"].", e.adviseMap(s.view)...)
	}
}

// checkHiddenOnPostfix looks for lists that hide keywords where Postfix does not offer them, or does not query.
func (e *exam) checkHiddenOnPostfix() {
	public := func(s smtpd) bool { return s.isPublic() }
	offersAUTH := func(s smtpd) bool { return s.isPublic() && s.isYes("smtpd_sasl_auth_enable") }
	hidesAUTH := hidesOn(lists.SMTP, lists.MustParseKeyword("auth"))
	if named := e.listsThat(hidesAUTH); named != "" &&
		slices.ContainsFunc(e.smtpds, public) && !slices.ContainsFunc(e.smtpds, offersAUTH) {
		e.add(Note, "auth-not-offered", e.firstPlace(hidesAUTH), named+" hides AUTH on port 25, where no client is offered it",
			"Clients log in on submission. Write services = [\"submission\"] to hide AUTH there.")
	}
	hidesByHELO := func(l config.List) bool { return l.Hide != 0 && l.IsOfFiles() && e.usesHELO(l) }
	if named := e.listsThat(hidesByHELO); named != "" &&
		slices.ContainsFunc(e.smtpds, func(s smtpd) bool { return s.mapQueries || s.submissionQueries }) {
		e.add(Warning, "helo-never-hides", e.firstPlace(hidesByHELO), "the HELO names in "+named+" hide no keyword: Postfix queries by address only",
			"smtpd_command_filter passes the HELO name, and hides all keywords of a client that a list suppresses. Put addresses into the list.")
	}
	if slices.ContainsFunc(e.smtpds, smtpd.suppresses) || slices.ContainsFunc(e.smtpds, func(s smtpd) bool { return s.submissionHides }) {
		e.checkSubmissionQueried("no submission service has the map of submission",
			slices.ContainsFunc(e.smtpds, func(s smtpd) bool { return s.submissionHides && !s.isPublic() }))
	}
}

// checkSubmissionQueried looks for lists for submission where none of its services queries ehlogate about it. why says so.
func (e *exam) checkSubmissionQueried(why string, queried bool) {
	hides := func(l config.List) bool { return hidesOn(lists.Submission, l.Hide)(l) }
	if named := e.listsThat(hides); named != "" && !queried {
		e.add(Warning, "submission-not-queried", e.firstPlace(hides), named+" hides no keyword on submission: "+why,
			"The section Submission in examples/README.md has the steps.")
	}
}

// checkNeverHidden looks for lists that hide keywords which a mail server cannot hide from some clients only.
func (e *exam) checkNeverHidden(server string, can lists.Keywords) {
	for _, s := range []lists.Service{lists.SMTP, lists.Submission} {
		if vain := e.hiddenKeywords(s) &^ can &^ lists.SilentDiscard; vain != 0 {
			e.add(Warning, "keyword-never-hidden", e.firstPlace(hidesOn(s, vain)),
				fmt.Sprintf("%s does not hide %s: it offers that to all clients or to none", server, strings.ToUpper(vain.String())),
				fmt.Sprintf("It can hide %s. Remove the others from hide in %s.", strings.ToUpper((can&^lists.SilentDiscard).String()), e.listsThat(hidesOn(s, vain))))
		}
	}
}

// checkHiddenOnSendmail looks for lists that hide what Sendmail cannot hide, or where it does not query.
func (e *exam) checkHiddenOnSendmail(submission bool) {
	e.checkNeverHidden("Sendmail", socketmap.FeatureKeywords)
	e.checkSubmissionQueried("Sendmail has no map submission_features", submission)
}

// eximKeywords are the keywords that Exim can hide from some clients, each by an option of its own.
const eximKeywords = "auth chunking dsn pipelining smtputf8"

// checkHiddenOnExim is checkHiddenOnSendmail for Exim.
func (e *exam) checkHiddenOnExim(at Place) {
	var can lists.Keywords
	for name := range strings.FieldsSeq(eximKeywords) {
		can |= lists.MustParseKeyword(name)
	}
	e.checkNeverHidden("Exim", can)
	e.checkSubmissionQueried("Exim queries no key that begins with submission:", strings.Contains(e.exim.text, "submission:"))
}

// checkShownByExim looks for keywords that lists hide and Exim offers all the same, on port 25.
func (e *exam) checkShownByExim(trials []trial) {
	for _, t := range trials {
		if t.port != "25" || !t.queried {
			continue
		}
		hide := e.hiddenKeywords(lists.SMTP)
		for name := range strings.FieldsSeq(eximKeywords) {
			if hide.Has(lists.MustParseKeyword(name)) && slices.Contains(t.shown, name) {
				e.add(Warning, "keyword-never-hidden", Place{File: e.exim.file, Parameter: name + "_advertise_hosts"},
					fmt.Sprintf("Exim offers %s to a client from which a list hides it", strings.ToUpper(name)),
					"Exim was run with doctor in the place of ehlogate. examples/exim/hide.conf has the option for each keyword.")
			}
		}
		return
	}
}
