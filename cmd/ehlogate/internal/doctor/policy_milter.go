package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest timeout that is taken for intended. The examples have 2 s.
const maxWait = 5 * time.Second

// serviceEntry is one { ADDRESS, NAME=VALUE ... } of check_policy_service or smtpd_milters.
type serviceEntry struct {
	addr  string
	attrs map[string]string
	bad   string // an attribute without its value
}

func parseServiceEntry(spec string) serviceEntry {
	a := serviceEntry{addr: spec, attrs: make(map[string]string)}
	inner, n := balanced(spec)
	if n == 0 {
		return a
	}
	a.addr = ""
	for i, w := range splitList(inner) {
		if i == 0 {
			a.addr = w
			continue
		}
		if inner, n := balanced(w); n > 0 {
			w = inner
		}
		name, value, ok := strings.Cut(w, "=")
		if !ok || strings.TrimSpace(name) == "" {
			a.bad = w
		}
		a.attrs[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return a
}

// attribute returns an attribute, or the parameter with the default of all entries.
func (a serviceEntry) attribute(v view, attr, param string) string {
	if value, ok := a.attrs[attr]; ok {
		return value
	}
	return v.value(param)
}

// findEntry returns an entry of a setting, where it is, and what to write in its place. ok is false if it does not query
// ehlogate, or Postfix does not take its attributes.
func (e *exam) findEntry(v view, param, spec, proto, options string) (a serviceEntry, at Place, write Write, ok bool) {
	a, at = parseServiceEntry(spec), v.holder(param, spec)
	write = at.adviseReplacement(spec, "{"+a.addr+","+options+"}")
	if !e.reachesEhlogate(v, a.addr, proto) {
		return a, at, write, false
	}
	if a.bad != "" {
		e.add(Hazard, "bad-attribute", at, fmt.Sprintf("invalid attribute %q: it must be NAME=VALUE", a.bad),
			"smtpd ends with a fatal error. Write no space around the =, or put the attribute in braces of its own.", write)
	}
	return a, at, write, a.bad == ""
}

func (e *exam) checkPolicyServices(s smtpd) {
	for _, param := range s.restrictionLists() {
		words := splitList(s.value(param))
		for i := 1; i < len(words); i++ {
			if strings.EqualFold(words[i-1], policyKeyword) {
				e.checkPolicyService(s.view, param, words[i])
			}
		}
	}
}

func (e *exam) checkPolicyService(v view, param, spec string) {
	a, at, write, ok := e.findEntry(v, param, spec, policyProto, policyOptions)
	if !ok {
		return
	}
	action := a.attribute(v, "default_action", "smtpd_policy_service_default_action")
	if word, _, _ := strings.Cut(strings.ToLower(action), " "); !slices.Contains([]string{"dunno", "info", "warn"}, word) {
		e.add(Hazard, "policy-default-action", at, fmt.Sprintf("while ehlogate is unreachable, every client gets %q", action),
			"The policy service should log and enforce, not stop mail. DUNNO leaves the decision to the other restrictions.", write)
	}
	timeout := a.attribute(v, "timeout", "smtpd_policy_service_timeout")
	e.checkDNSWait("the policy client of Postfix", timeout, at, Warning, "Its default_action decides then, and the decision of ehlogate is neither logged nor enforced.")
	if isSlow(timeout) || a.attribute(v, "try_limit", "smtpd_policy_service_try_limit") != "1" {
		e.add(Warning, "policy-slow", at, "clients wait too long for the policy service",
			"With the defaults, they wait 100 s while ehlogate hangs. With more than one try, they wait 1 s for each recipient while it is unreachable.", write)
	}
	e.checkEndpoint(v, a.addr, policyProto, at)
}

func (e *exam) checkMilters(s smtpd) {
	for _, spec := range splitList(s.value(smtpdMilters)) {
		a, at, write, ok := e.findEntry(s.view, smtpdMilters, spec, milterProto, milterOptions)
		if !ok {
			continue
		}
		if action := a.attribute(s.view, "default_action", "milter_default_action"); !strings.EqualFold(action, "accept") {
			e.add(Hazard, "milter-default-action", at, fmt.Sprintf("while ehlogate is unreachable, every message gets %q", action), milterPurpose, write)
		}
		timeout := a.attribute(s.view, "command_timeout", "milter_command_timeout")
		e.checkDNSWait("the milter client of Postfix", timeout, at, Warning, "Its default_action decides then, and the decision of ehlogate is neither logged nor enforced.")
		if isSlow(timeout) || isSlow(a.attribute(s.view, "connect_timeout", "milter_connect_timeout")) || isSlow(a.attribute(s.view, "content_timeout", "milter_content_timeout")) {
			e.add(Warning, "milter-slow", at, milterSlow,
				"With the defaults, while ehlogate hangs, the banner is 30 s late, and the reply to the message that has begun 300 s.", write)
		}
		e.checkEndpoint(s.view, a.addr, milterProto, at)
	}
}

const (
	milterPurpose = "The milter should log and enforce, not stop mail."
	milterSlow    = "clients wait too long for the milter"
)

// isSlow reports whether a time such as 100s or 2m is longer than maxWait. An invalid time is reported by the mail
// server.
func isSlow(s string) bool {
	d, ok := parseTime(s)
	return ok && d > maxWait
}

func parseTime(s string) (time.Duration, bool) {
	number := strings.TrimRight(s, "smhdw")
	n, err := strconv.ParseUint(number, 10, 24)
	unit := map[string]time.Duration{"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[s[len(number):]]
	return time.Duration(n) * unit * time.Second, err == nil && unit > 0
}
