package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest timeout that is taken for meant. The examples say 2 s.
const maxWait = 5 * time.Second

// asked is one { ADDRESS, NAME=VALUE ... } of check_policy_service or smtpd_milters.
type asked struct {
	addr  string
	attrs map[string]string
	bad   string // an attribute without its value
}

func parseAsked(spec string) asked {
	a := asked{addr: spec, attrs: make(map[string]string)}
	inner, n := balanced(spec)
	if n == 0 || spec[0] != '{' {
		return a
	}
	a.addr = ""
	for i, w := range words(inner) {
		if i == 0 {
			a.addr = w
			continue
		}
		if inner, n := balanced(w); n > 0 && w[0] == '{' {
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

// get gives an attribute, or the parameter that stands for all of its kind.
func (a asked) get(v view, attr, param string) string {
	if value, ok := a.attrs[attr]; ok {
		return value
	}
	return v.get(param)
}

// malformed looks for attributes that Postfix does not take.
func (e *exam) malformed(a asked, at Place, write Write) bool {
	if a.bad != "" {
		e.add(Finding{
			ID: "bad-attribute", Severity: Hazard, Place: at,
			What: fmt.Sprintf("%q is not NAME=VALUE", a.bad),
			Why:  "smtpd ends with a fatal error. There is no space around the =, unless the attribute is in braces of its own.", Write: write,
		})
	}
	return a.bad != ""
}

// policies looks over the policy services of one smtpd that are ehlogate.
func (e *exam) policies(v view) {
	for _, param := range append(slices.Clip(restrictions), words(v.get("smtpd_restriction_classes"))...) {
		ws := words(v.get(param))
		for i := 1; i < len(ws); i++ {
			if strings.EqualFold(ws[i-1], policyKeyword) {
				e.policy(v, param, ws[i])
			}
		}
	}
}

func (e *exam) policy(v view, param, spec string) {
	a := parseAsked(spec)
	p, err := v.endpoint(a.addr)
	if err != nil || e.gate.protocolAt(p) == "" && !e.outside(v, p, policyProto) {
		return // another policy service
	}
	at := v.holder(param, spec)
	write := at.replace(spec, "{"+a.addr+","+policyOptions+"}")
	if e.malformed(a, at, write) {
		return
	}
	action := a.get(v, "default_action", "smtpd_policy_service_default_action")
	switch word, _, _ := strings.Cut(strings.ToLower(action), " "); word {
	case "dunno", "info", "warn":
	default:
		e.add(Finding{
			ID: "policy-default-action", Severity: Hazard, Place: at,
			What:  fmt.Sprintf("while ehlogate is away, every client gets %q", action),
			Why:   "The policy service is to log and to enforce, not to stop mail. DUNNO leaves the decision to the other restrictions.",
			Write: write,
		})
	}
	timeout := a.get(v, "timeout", "smtpd_policy_service_timeout")
	e.late("the policy client of Postfix", timeout, at, Warning, "Its default_action decides then, and what was decided is neither logged nor enforced.")
	if tooSlow(timeout) || a.get(v, "try_limit", "smtpd_policy_service_try_limit") != "1" {
		e.add(Finding{
			ID: "policy-slow", Severity: Warning, Place: at,
			What:  "clients wait for the policy service longer than they have to",
			Why:   "By default it is 100 s while ehlogate hangs; and with more than one try, 1 s a recipient while it is away.",
			Write: write,
		})
	}
	if p, ok := e.endpoint(v, a.addr, policyProto, at); ok {
		e.probe(p, policyProto, at, Warning)
	}
}

// milters looks over the milters of one smtpd that are ehlogate.
func (e *exam) milters(v view) {
	for _, w := range words(v.get(smtpdMilters)) {
		a := parseAsked(w)
		p, err := v.endpoint(a.addr)
		if err != nil || e.gate.protocolAt(p) == "" && !e.outside(v, p, milterProto) {
			continue
		}
		at := v.holder(smtpdMilters, w)
		write := at.replace(w, "{"+a.addr+","+milterOptions+"}")
		if e.malformed(a, at, write) {
			continue
		}
		if action := a.get(v, "default_action", "milter_default_action"); !strings.EqualFold(action, "accept") {
			e.add(Finding{
				ID: "milter-default-action", Severity: Hazard, Place: at,
				What:  fmt.Sprintf("while ehlogate is away, every message gets %q", action),
				Why:   "The milter is to log and to enforce, not to stop mail.",
				Write: write,
			})
		}
		timeout := a.get(v, "command_timeout", "milter_command_timeout")
		e.late("the milter client of Postfix", timeout, at, Warning, "Its default_action decides then, and what was decided is neither logged nor enforced.")
		if tooSlow(timeout) || tooSlow(a.get(v, "connect_timeout", "milter_connect_timeout")) || tooSlow(a.get(v, "content_timeout", "milter_content_timeout")) {
			e.add(Finding{
				ID: "milter-slow", Severity: Warning, Place: at,
				What:  "clients wait for the milter longer than they have to",
				Why:   "By default, if ehlogate hangs, the banner is 30 s late, and the reply to a message that has begun 300 s.",
				Write: write,
			})
		}
		if p, ok := e.endpoint(v, a.addr, milterProto, at); ok {
			e.probe(p, milterProto, at, Warning)
		}
	}
}

// outside tells whether a jail is all that is between the service and a listener of ours.
func (e *exam) outside(v view, p endpoint, proto string) bool {
	if p.network == "unix" && v.chrooted() {
		p.addr = p.path
		return e.gate.protocolAt(p) == proto
	}
	return false
}

// tooSlow tells whether a time such as 100s or 2m is longer than maxWait; what
// is no time is for Postfix to complain about.
func tooSlow(s string) bool {
	d, ok := duration(s)
	return ok && d > maxWait
}

// duration understands a time such as 100s, 2m or 5, in seconds.
func duration(s string) (time.Duration, bool) {
	number := strings.TrimRight(s, "smhdw")
	n, err := strconv.ParseUint(number, 10, 24)
	unit := map[string]time.Duration{"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[s[len(number):]]
	return time.Duration(n) * unit * time.Second, err == nil && unit > 0
}
