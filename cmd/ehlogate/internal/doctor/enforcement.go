package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
)

const (
	policyKeyword   = "check_policy_service"
	examplePolicy   = "ehlogate_policy" // set by one service, referenced in smtpd_sender_restrictions of main.cf
	exampleMilter   = "ehlogate_milter"
	exampleFile     = "ehlogate.cf" // in the configuration directory
	exampleHELOFile = "ehlogate-helo.cf"
	// The map of submission.
	exampleSubmissionFile = "ehlogate-submission.cf"

	exampleMap     = "memcache:$config_directory/" + exampleFile
	exampleTable   = "/etc/postfix/ehlogate.cidr"
	policyOptions  = "timeout=2s,try_limit=1,default_action=DUNNO"
	milterOptions  = "default_action=accept,connect_timeout=2s,command_timeout=2s,content_timeout=2s"
	requireEscaped = "A client on a list with action = \"require\" can deliver without TLS."
)

// checkEnforcement looks whether the policy service or the milter is queried about every message.
func (e *exam) checkEnforcement(s smtpd) {
	if s.isSubmission() {
		return
	}
	var in []string
	for _, param := range restrictions {
		if queried, _ := e.findPolicy(s.view, param, 0); queried {
			in = append(in, param)
		}
	}
	requires := e.requireLists()
	milter, skipped, why := e.milterReach(s)
	switch {
	case milter && requires != "" && len(in) == 0:
		if skipped != "" {
			e.add(Warning, "milter-skipped", s.place(smtpdMilterMaps), "the milter is not queried about "+skipped+" (smtpd_milter_maps)",
				"The value in the table replaces smtpd_milters. "+requireEscaped+" Add the milter to the values of the table.")
		}
	case milter:
	case len(in) > 0:
		e.checkPolicySkipped(s.view, in, requires)
	case requires != "" && (s.suppresses() || s.isPublic()):
		e.add(Hazard, "require-unenforced", s.place(smtpdSender),
			requires+": action = \"require\" is not enforced: "+cmp.Or(why, "Postfix queries neither the policy service nor the milter"), requireEscaped, e.advisePolicy(s.view)...)
		return
	}
	if len(in) == 0 {
		e.checkExampleUsed(s.view, examplePolicy, smtpdSender, e.advisePolicy)
	}
	if !milter {
		e.checkExampleUsed(s.view, exampleMilter, smtpdMilters, e.adviseMilter)
	}
}

// requireLists names the lists whose clients must use TLS, or returns "".
func (e *exam) requireLists() string {
	return e.listsThat(func(l config.List) bool { return l.Action == lists.Require && l.Mode == lists.Enforce })
}

// checkPolicySkipped looks whether a client can avoid each restriction list that queries the policy service.
func (e *exam) checkPolicySkipped(v view, in []string, requires string) {
	var how string
	for _, param := range in {
		if how = e.avoids(v, param, requires != ""); how == "" {
			return // queried about every message
		}
	}
	severity, why := Warning, "Then the decision is not in the log of Postfix."
	if requires != "" {
		why = requireEscaped
		if !strings.Contains(how, " may ") {
			severity = Hazard
		}
	}
	e.add(severity, "policy-skipped", v.place(in[len(in)-1]), "the policy service is not queried about every message: "+how,
		why+" Clients cannot avoid the start of the sender restrictions.", e.advisePolicy(v)...)
}

// avoids returns how a client can avoid the policy service in a restriction list, or "". With enforce, the list must
// also be in time to refuse the message.
func (e *exam) avoids(v view, param string, enforce bool) (how string) {
	delayed := !strings.EqualFold(v.value("smtpd_delay_reject"), "no")
	switch {
	case param == "smtpd_etrn_restrictions":
		return param + " applies to ETRN only"
	case param == "smtpd_helo_restrictions" && !v.isYes("smtpd_helo_required"):
		return "a client that sends no HELO skips " + param
	case enforce && !delayed && (param == "smtpd_helo_restrictions" || param == "smtpd_client_restrictions"):
		return "with smtpd_delay_reject = no, " + param + " ends before MAIL"
	case !enforce:
		return ""
	}
	_, how = e.findPolicy(v, param, 0)
	return how
}

// checkExampleUsed looks for a parameter of the examples that is set and not used.
func (e *exam) checkExampleUsed(v view, name, param string, advise func(view) []Write) {
	if v.svc.Params[name] != "" {
		e.add(Warning, "never-queried", v.place(name), fmt.Sprintf("%s is set, but %s does not contain it", name, param),
			"ehlogate is not queried: its decisions are not in the log of Postfix, and require is not enforced.", advise(v)...)
	}
}

// adviseMap returns the advice to have one smtpd use the map, beside the tables of the operator.
func (e *exam) adviseMap(v view) []Write {
	if _, both := e.mergeOptions(v, smtpdMaps); both != "" {
		return []Write{v.setOption(smtpdMaps, both)}
	}
	_, own := e.separate(v, smtpdMaps, v.svc.Params[smtpdMaps])
	if len(own) == 0 {
		_, own = e.separate(v, smtpdMaps, v.pf.Main[smtpdMaps])
	}
	return []Write{e.copyExample(v), v.setOption(smtpdMaps, combine(smtpdMaps, []string{exampleMap}, own))}
}

func (e *exam) adviseMilter(v view) []Write {
	return e.adviseService(v, smtpdMilters, exampleMilter, "{"+e.addressFor(v, milterProto)+","+milterOptions+"}", smtpdMilters)
}

func (e *exam) advisePolicy(v view) []Write {
	return e.adviseService(v, smtpdSender, examplePolicy, policyKeyword+",{"+e.addressFor(v, policyProto)+","+policyOptions+"}", restrictions...)
}

// adviseService returns the advice to have one smtpd query ehlogate in a list setting, before the entries of the
// operator. If these are in main.cf, the setting refers to a parameter that is empty for all other services. Other
// settings that query ehlogate no longer do.
func (e *exam) adviseService(v view, param, name, entry string, elsewhere ...string) []Write {
	here := v.setOption(name, entry)
	var main []string // settings
	var more []Write
	var gone []string // options that the new ones replace
	for _, p := range elsewhere {
		value, set := v.svc.Params[p]
		if !set {
			value = v.pf.Main[p]
		}
		asking, own := e.separate(v, p, value)
		rest := strings.Join(own, ", ")
		if len(asking) == 0 {
			rest = value // as it is written
		}
		switch {
		case p == param && set && len(own) > 0: // the operator's own -o line
			here = v.setOption(p, entry+", "+rest)
		case p == param:
			if set {
				gone = append(gone, p)
			}
			main = append(e.adviseReference(v, p, name), main...)
		case len(asking) == 0:
		case !set:
			main = append(main, strings.TrimSpace(p+" = "+rest))
		case len(own) > 0:
			more = append(more, v.setOption(p, rest))
		default:
			gone = append(gone, p)
		}
	}
	commands := setMain(main...)
	for _, p := range gone {
		commands.Lines = append(commands.Lines, v.removeCommand(p))
	}
	return append(more, commands, here)
}

// adviseReference returns the settings by which a list in main.cf begins with a reference to a parameter that is
// empty there, unless main.cf has them.
func (e *exam) adviseReference(v view, param, name string) (lines []string) {
	value := v.pf.Main[param]
	refers := slices.ContainsFunc(splitList(value), func(w string) bool { return w == "$"+name || w == "${"+name+"}" || w == "$("+name+")" })
	if set, is := v.pf.Main[name]; !is || set != "" {
		lines = append(lines, name+" =")
	}
	if refers {
		return lines
	}
	if asking, own := e.separate(v, param, value); len(asking) > 0 {
		value = strings.Join(own, ", ")
	}
	if value != "" {
		value = ", " + value
	}
	return append(lines, param+" = $"+name+value)
}

// addressFor returns where a service finds ehlogate: a socket in the queue directory, which works in a jail too, or
// the first other address.
func (e *exam) addressFor(v view, proto string) string {
	listeners := e.listeners(proto)
	for _, l := range listeners {
		if rel, ok := strings.CutPrefix(l, v.value(queueDirectory)+"/"); ok {
			return "unix:" + rel
		}
	}
	if strings.HasPrefix(listeners[0], "/") {
		return "unix:" + listeners[0]
	}
	return "inet:" + listeners[0]
}
