package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
)

const (
	smtpdSender    = "smtpd_sender_restrictions"
	smtpdMilters   = "smtpd_milters"
	policyKeyword  = "check_policy_service"
	examplePolicy  = "ehlogate_policy" // set by one service, referenced in smtpd_sender_restrictions of main.cf
	exampleMilter  = "ehlogate_milter"
	exampleMap     = "memcache:$config_directory/ehlogate.cf"
	exampleTable   = "/etc/postfix/ehlogate.cidr"
	policyOptions  = "timeout=2s,try_limit=1,default_action=DUNNO"
	milterOptions  = "default_action=accept,connect_timeout=2s,command_timeout=2s,content_timeout=2s"
	requireEscaped = "A client on a list with action = \"require\" delivers without TLS."
)

// restrictions are the lists of access restrictions, in the order of a session.
var restrictions = []string{"smtpd_client_restrictions", "smtpd_helo_restrictions", smtpdSender, "smtpd_relay_restrictions",
	"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"}

// hooks looks at whether ehlogate is asked where it matters, and beside what the operator has there.
func (e *exam) hooks(v view, asks bool) {
	e.replaced(v)
	e.doubled(v)
	if v.forSubmission() {
		return
	}
	var in []string
	for _, param := range append(slices.Clip(restrictions), words(v.get("smtpd_restriction_classes"))...) {
		if gate, _ := e.split(v, param, v.get(param)); len(gate) > 0 {
			in = append(in, param)
		}
	}
	milter, _ := e.split(v, smtpdMilters, v.get(smtpdMilters))
	requires := e.requires()
	switch {
	case len(milter) > 0:
		if maps := v.get("smtpd_milter_maps"); maps != "" && requires != "" && len(in) == 0 {
			e.add(Finding{
				ID: "milter-skipped", Severity: Warning, Place: v.place("smtpd_milter_maps"),
				What: "the milter is not asked about clients that smtpd_milter_maps knows",
				Why:  "What the table says replaces smtpd_milters. " + requireEscaped + " Add the milter to the values of the table.",
			})
		}
	case len(in) > 0:
		e.skipped(v, in, requires)
	case requires != "" && (asks || v.public()):
		e.advise(Finding{
			ID: "require-unenforced", Severity: Hazard, Place: v.place(smtpdSender),
			What: requires + ": action = \"require\" is not enforced, since neither the policy service nor the milter is asked",
			Why:  requireEscaped,
		}, e.askPolicy(v))
		return
	}
	if len(in) == 0 {
		e.unreached(v, examplePolicy, smtpdSender, e.askPolicy)
	}
	if len(milter) == 0 {
		e.unreached(v, exampleMilter, smtpdMilters, e.askMilter)
	}
}

// requires names the lists whose clients must use TLS, or returns "".
func (e *exam) requires() string {
	var names []string
	for _, l := range e.gate.config.Lists {
		if l.Action == lists.Require && l.Mode == lists.Enforce {
			names = append(names, fmt.Sprintf("list %q", l.Name))
		}
	}
	return strings.Join(names, ", ")
}

// skipped looks at whether a client can avoid each restriction list that asks the policy service.
func (e *exam) skipped(v view, in []string, requires string) {
	var how string
	for _, param := range in {
		if how = e.avoid(v, param, requires != ""); how == "" {
			return // asked about every message
		}
	}
	f := Finding{
		ID: "policy-skipped", Severity: Warning, Place: v.place(in[len(in)-1]),
		What: "the policy service is not asked about every message: " + how,
		Why:  "Then the decision is not in the log of Postfix. Clients cannot avoid the start of the sender restrictions.",
	}
	if requires != "" {
		f.Why = requireEscaped + " Clients cannot avoid the start of the sender restrictions."
		if !strings.Contains(how, " may ") {
			f.Severity = Hazard
		}
	}
	e.advise(f, e.askPolicy(v))
}

// avoid says how a client delivers without a question to the policy service in a restriction list; mail: in time to refuse
// the message.
func (e *exam) avoid(v view, param string, mail bool) (how string) {
	delayed := !strings.EqualFold(v.get("smtpd_delay_reject"), "no")
	switch {
	case param == "smtpd_etrn_restrictions":
		return param + " is for ETRN alone"
	case param == "smtpd_helo_restrictions" && !v.yes("smtpd_helo_required"):
		return "a client that says no HELO skips " + param
	case mail && !delayed && (param == "smtpd_helo_restrictions" || param == "smtpd_client_restrictions"):
		return "with smtpd_delay_reject = no, " + param + " ends before MAIL"
	case !mail:
		return ""
	}
	for _, entry := range entries(v.get(param)) {
		if e.asksEhlogate(v, param, entry) {
			break
		}
		if word := strings.ToLower(entry); strings.HasPrefix(word, "permit") || strings.HasPrefix(word, "check_") {
			return fmt.Sprintf("%s may end at %s", param, entry)
		}
	}
	return ""
}

// unreached looks whether a parameter of the examples is set, and the setting that should contain it does not.
func (e *exam) unreached(v view, name, param string, ask func(view) []Write) {
	if v.svc.Params[name] == "" {
		return
	}
	e.advise(Finding{
		ID: "never-asked", Severity: Warning, Place: v.place(name),
		What: fmt.Sprintf("%s is set, and %s does not contain it", name, param),
		Why:  "ehlogate is not asked: decisions are not in the log of Postfix, and require is not enforced.",
	}, ask(v))
}

// advise notes a finding with what to write in several places, in that order.
func (e *exam) advise(f Finding, writes []Write) {
	var all []Write
	for _, w := range writes {
		if n := len(all); n > 0 && all[n-1].In == w.In {
			all[n-1].Lines = append(all[n-1].Lines, w.Lines...)
		} else if len(w.Lines) > 0 {
			all = append(all, w)
		}
	}
	f.Write, f.Also = all[0], all[1:]
	e.add(f)
}

// askMap is the advice to have one smtpd ask the map, beside the tables that the operator has.
func (e *exam) askMap(v view) Write {
	if _, both := e.merged(v, smtpdMaps); both != "" {
		return v.option(smtpdMaps, both)
	}
	_, own := e.split(v, smtpdMaps, v.svc.Params[smtpdMaps])
	if len(own) == 0 {
		_, own = e.split(v, smtpdMaps, v.pf.Main[smtpdMaps])
	}
	return v.option(smtpdMaps, beside(smtpdMaps, []string{exampleMap}, own))
}

// without is a setting without what asks ehlogate.
func (e *exam) without(v view, param string) string {
	value, _, _ := v.raw(param)
	_, own := e.split(v, param, value)
	return strings.Join(own, ", ")
}

func (e *exam) askMilter(v view) []Write {
	return e.ask(v, smtpdMilters, exampleMilter, "{"+e.address(v, milterProto)+","+milterOptions+"}", smtpdMilters)
}

func (e *exam) askPolicy(v view) []Write {
	return e.ask(v, smtpdSender, examplePolicy, policyKeyword+",{"+e.address(v, policyProto)+","+policyOptions+"}", restrictions...)
}

// ask is the advice to have one smtpd ask ehlogate in a list setting, before what the operator has there. Where that is in
// main.cf, it refers to a parameter that is empty for all other services. The settings that ask instead no longer do.
func (e *exam) ask(v view, param, name, gate string, elsewhere ...string) []Write {
	here := v.option(name, gate)
	var main []string // settings
	var more []Write
	var gone []string // options that the new ones stand in for
	for _, p := range elsewhere {
		value, set := v.svc.Params[p]
		if !set {
			value = v.pf.Main[p]
		}
		found, own := e.split(v, p, value)
		rest := strings.Join(own, ", ")
		if len(found) == 0 {
			rest = value // as it is written
		}
		switch {
		case p == param && set && len(own) > 0: // the operator's own -o line
			here = v.option(p, gate+", "+rest)
		case p == param:
			if set {
				gone = append(gone, p)
			}
			main = append(e.refer(v, p, name), main...)
		case len(found) == 0:
		case !set:
			main = append(main, strings.TrimSpace(p+" = "+rest))
		case len(own) > 0:
			more = append(more, v.option(p, rest))
		default:
			gone = append(gone, p)
		}
	}
	commands := inMain(main...)
	for _, p := range gone {
		commands.Lines = append(commands.Lines, v.remove(p))
	}
	return append(more, commands, here)
}

// refer returns the lines by which a list in main.cf begins with a reference to a parameter that is empty there, as far as
// they are not there yet.
func (e *exam) refer(v view, param, name string) (lines []string) {
	value := v.pf.Main[param]
	refers := slices.ContainsFunc(words(value), func(w string) bool { return w == "$"+name || w == "${"+name+"}" || w == "$("+name+")" })
	if set, is := v.pf.Main[name]; !is || set != "" {
		lines = append(lines, name+" =")
	}
	if refers {
		return lines
	}
	if gate, own := e.split(v, param, value); len(gate) > 0 {
		value = strings.Join(own, ", ")
	}
	if value != "" {
		value = ", " + value
	}
	return append(lines, param+" = $"+name+value)
}

// address is where a service finds ehlogate: a socket in the queue directory, which works in a jail too, or the first other.
func (e *exam) address(v view, proto string) string {
	listeners := e.gate.listeners(proto)
	for _, l := range listeners {
		if rel, ok := strings.CutPrefix(l, v.get(queueDirectory)+"/"); ok {
			return "unix:" + rel
		}
	}
	if strings.HasPrefix(listeners[0], "/") {
		return "unix:" + listeners[0]
	}
	return "inet:" + listeners[0]
}

// public reports whether other mail servers deliver to this service.
func (v view) public() bool {
	port := v.svc.Name[strings.LastIndexByte(v.svc.Name, ':')+1:]
	return v.svc.Type == "pass" || v.svc.Type == "inet" && (port == "smtp" || port == "25")
}
