package doctor

import (
	"slices"
	"strings"

	"ehlogate/lists/lazyregexp"
)

// tlsProfile is the name of the map that Exim and Sendmail query for the clients on legacy lists.
const tlsProfile = "tls_profile"

// checkLegacyExim examines whether Exim allows old TLS for the clients on legacy lists alone.
func (e *exam) checkLegacyExim() {
	which := e.legacyLists()
	if which == "" {
		return
	}
	value := e.exim.values[requireCiphers]
	at := Place{File: e.exim.file, Parameter: requireCiphers, Value: value}
	if value == "" {
		e.add(Note, "legacy-needless", at, which+`: action = "legacy" has no effect: Exim treats all clients alike`,
			"Without this setting, Exim speaks what its TLS library allows with all clients, with GnuTLS also TLS 1.0. "+legacySteps)
		return
	}
	queries := slices.ContainsFunc(strings.Split(value, "readsocket")[1:], func(text string) bool {
		groups := append(splitGroups(text), "", "")
		return e.protocolAt(eximEndpoint(groups[0])) == tcpTableProto && strings.Contains(groups[1], tlsProfile+":")
	})
	if !queries {
		e.add(Warning, "legacy-unserved", at, which+`: action = "legacy" has no effect: Exim does not query `+tlsProfile, oldOnly+legacySteps)
		return
	}
	if s, ok := e.gnutlsRefusesTLS10(); ok {
		e.addLegacyLibrary(which, gnutlsConfig, s, "GnuTLS")
	}
}

func (e *exam) addLegacyLibrary(which, file string, s setting, library string) {
	e.add(Warning, "legacy-library", Place{File: file, Parameter: s.key, Value: s.value}, which+`: action = "legacy" has no effect: `+library+" refuses TLS 1.0 on this machine",
		oldOnly+"The setting holds for all programs with this library. Remove it, and have each program that is to refuse TLS 1.0 say so itself; then restart the mail server. "+
			"With crypto-policies (Fedora, RHEL): update-crypto-policies --set LEGACY.")
}

var (
	profileRuleset = lazyregexp.New(`^S\s*tls_srv_features\b`)
	serverOptions  = lazyregexp.New(`(?i)^O\s+ServerSSLOptions\s*=.*?\+?SSL_OP_NO_TLSv1\b`)
)

// checkLegacySendmail examines whether the ruleset tls_srv_features lowers the security level for the clients on legacy lists.
func (e *exam) checkLegacySendmail() {
	which := e.legacyLists()
	if which == "" {
		return
	}
	s, queries, rulesets := e.sendmail, false, 0
	at, why, library := Place{File: s.name}, "", opensslConfig
	for _, l := range s.lines {
		if m := socketMap.FindStringSubmatch(l.text); m != nil && m[1] == tlsProfile && e.protocolAt(parseSendmailAddress(m[3])) == socketmapProto {
			queries = true
		}
		if file, ok := strings.CutPrefix(l.text, "EOPENSSL_CONF="); ok { // confOPENSSL_CNF of Sendmail 8.18
			library = strings.TrimSpace(file)
		}
		if profileRuleset.MatchString(l.text) {
			rulesets++
		}
		if serverOptions.MatchString(l.text) {
			at, why = Place{File: s.name, Parameter: "O ServerSSLOptions", Value: l.text}, "this option switches TLS 1.0 off for all clients"
		}
	}
	switch {
	case !queries || rulesets == 0:
		why = "Sendmail does not query " + tlsProfile
	case rulesets > 1:
		why = "there are two rulesets tls_srv_features, and the first answers: remove FEATURE(`tls_session_features')"
	}
	if why != "" {
		e.add(Warning, "legacy-unserved", at, which+`: action = "legacy" has no effect: `+why, oldOnly+legacySteps)
	} else if s, ok := e.opensslRefusesTLS10(library); ok {
		e.addLegacyLibrary(which, library, s, "OpenSSL")
	}
}
