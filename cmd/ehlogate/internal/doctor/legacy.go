package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// legacySteps are where the operator finds what to do.
const legacySteps = `The section "Old TLS for some clients" in examples/README.md has the steps.`

// oldOnly is the cost of an action = "legacy" without effect.
const oldOnly = "A client that speaks TLS 1.0 and nothing later still fails. "

// legacyLists returns the lists that have old TLS allowed.
func (e *exam) legacyLists() string {
	if e.config.Mode == lists.Observe {
		return ""
	}
	return e.listsThat(func(l config.List) bool { return l.Action == lists.Legacy && l.Mode == lists.Enforce })
}

// liveRules returns the rules of nftables on this machine.
func liveRules() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return nft.ListRules(ctx)
}

const savedRules = "nft-ruleset" // the copy of what "nft -j list ruleset" writes

// checkLegacyPostfix examines how the clients on legacy lists get old TLS: by a second smtpd, to which rules redirect them.
func (e *exam) checkLegacyPostfix() {
	which := e.legacyLists()
	if which == "" {
		return
	}
	var second []smtpd // that speak old TLS, and are for no other clients
	for _, s := range e.smtpds {
		switch {
		case s.isSubmission():
		case s.isPublic() && s.speaksTLS10():
			e.add(Note, "legacy-needless", s.place(s.protocolsParameter()), which+`: action = "legacy" has no effect: this service speaks TLS 1.0 with all clients`,
				"To allow it for the clients on the list alone, have all other services refuse it. "+legacySteps,
				setMain("smtpd_tls_protocols = >=TLSv1.2", "smtpd_tls_mandatory_protocols = >=TLSv1.2"))
			return
		case s.svc.Type == "inet" && !s.isPublic() && s.speaksTLS10():
			second = append(second, s)
		}
	}
	text, err := e.host.Rules()
	var ports []int
	if err == nil {
		ports, err = nft.Redirects(text, 25)
	}
	at := Place{File: "nftables", Parameter: "tcp dport", Value: "25"}
	if err != nil {
		e.addUnread(at, "the rules of nftables", err)
		return
	}
	if len(ports) == 0 && len(second) == 0 {
		e.add(Warning, "legacy-unserved", Place{File: "master.cf"}, which+`: action = "legacy" has no effect: no smtpd speaks TLS 1.0`, oldOnly+legacySteps)
		return
	}
	if len(ports) == 0 {
		e.add(Warning, "legacy-no-redirect", second[0].place(second[0].protocolsParameter()),
			which+`: action = "legacy" has no effect: no rule of nftables redirects port 25 to this service`, oldOnly+legacySteps, Write{shell, []string{"systemctl enable --now ehlogate-legacy"}})
		return
	}
	for _, port := range ports {
		e.checkLegacyPort(which, port)
	}
}

// checkLegacyPort examines the smtpd on a port to which port 25 is redirected.
func (e *exam) checkLegacyPort(which string, port int) {
	i := slices.IndexFunc(e.smtpds, func(s smtpd) bool { return s.svc.Type == "inet" && portNumber(s.svc.portName()) == strconv.Itoa(port) })
	if i < 0 {
		e.add(Hazard, "legacy-refused", Place{File: "master.cf"}, fmt.Sprintf("rules of nftables redirect port 25 to port %d, and no smtpd is there", port),
			"The clients on the list are refused: they deliver nothing. End the redirect until the service is there. "+legacySteps, Write{shell, []string{"systemctl stop ehlogate-legacy"}})
		return
	}
	if s := e.smtpds[i]; !s.speaksTLS10() {
		param := s.protocolsParameter()
		e.add(Warning, "legacy-strict", s.place(param), which+`: action = "legacy" has no effect: the service to which port 25 is redirected refuses TLS 1.0`, oldOnly,
			s.setOption(param, ">=TLSv1"))
	}
}

// protocolsParameter returns the parameter that has the versions of TLS of the service.
func (s smtpd) protocolsParameter() string {
	if s.value("smtpd_tls_security_level") == "encrypt" {
		return "smtpd_tls_mandatory_protocols"
	}
	return "smtpd_tls_protocols"
}

func (s smtpd) speaksTLS10() bool { return includesTLS10(s.value(s.protocolsParameter())) }

// tlsOrder are the versions of TLS as Postfix writes them, from the oldest.
var tlsOrder = []string{"SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// includesTLS10 reports whether TLS 1.0 is among the versions of smtpd_tls_protocols (postconf(5)): those that are named, or
// all; without those behind "!", and those out of the bounds ">=" and "<=". An unknown word excludes nothing.
func includesTLS10(value string) bool {
	const wanted = 2 // in tlsOrder
	order := func(name string) int {
		if n, err := strconv.ParseInt(name, 16, 32); err == nil && n >= 0x0300 { // 0301 is TLS 1.0
			return int(n-0x0300) + 1
		}
		return slices.IndexFunc(tlsOrder, func(known string) bool { return strings.EqualFold(known, name) })
	}
	named, found := false, false
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n:", r) }) {
		if name, ok := strings.CutPrefix(word, ">="); ok {
			if order(name) > wanted {
				return false
			}
		} else if name, ok := strings.CutPrefix(word, "<="); ok {
			if n := order(name); n >= 0 && n < wanted {
				return false
			}
		} else if name, ok := strings.CutPrefix(word, "!"); ok {
			if order(name) == wanted {
				return false
			}
		} else {
			named, found = true, found || order(word) == wanted
		}
	}
	return !named || found
}
