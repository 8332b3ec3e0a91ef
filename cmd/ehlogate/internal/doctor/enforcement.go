package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

const (
	policyKeyword   = "check_policy_service"
	examplePolicy   = "ehlogate_policy" // set by one service, referenced in smtpd_sender_restrictions of main.cf
	exampleMilter   = "ehlogate_milter"
	exampleFile     = "ehlogate.cf" // in the configuration directory
	exampleHELOFile = "ehlogate-helo.cf"
	exampleMap      = "memcache:$config_directory/" + exampleFile
	exampleTable    = "/etc/postfix/ehlogate.cidr"
	policyOptions   = "timeout=2s,try_limit=1,default_action=DUNNO"
	milterOptions   = "default_action=accept,connect_timeout=2s,command_timeout=2s,content_timeout=2s"
	requireEscaped  = "A client on a list with action = \"require\" can deliver without TLS."
)

// checkEnforcement looks whether the policy service or the milter is queried about every message.
func (e *exam) checkEnforcement(s smtpd) {
	if s.isSubmission() {
		return
	}
	var in []string
	for _, param := range s.restrictionLists() {
		if e.hasAnswers(s.view, param, s.value(param), policyProto) {
			in = append(in, param)
		}
	}
	requires := e.listsThat(func(l config.List) bool { return l.Action == lists.Require && l.Mode == lists.Enforce })
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

// hasAnswers reports whether a list setting queries ehlogate where it speaks the protocol.
func (e *exam) hasAnswers(v view, param, value, proto string) bool {
	return slices.ContainsFunc(splitEntries(value), func(entry string) bool {
		if fields := strings.Fields(entry); proto == policyProto {
			entry = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(entry, "warn_if_reject "), fields[0]))
			if !strings.EqualFold(fields[0], policyKeyword) && !strings.EqualFold(fields[0], "warn_if_reject") {
				return false
			}
		}
		p, err := v.parseEndpoint(parseServiceEntry(entry).addr)
		return err == nil && e.protocolAt(p) == proto && v.hasFamily(p)
	})
}

// milterReach reports whether the milter is queried about clients that must use TLS, and about which of them it is not.
// why is the reason if a milter is set, and not queried.
func (e *exam) milterReach(s smtpd) (queried bool, skipped, why string) {
	const overrides = "receive_override_options"
	set := e.hasAnswers(s.view, smtpdMilters, s.value(smtpdMilters), milterProto)
	if slices.Contains(splitList(s.value(overrides)), "no_milters") {
		if set {
			why = "Postfix queries no policy service, and with " + overrides + " = no_milters no milter"
		}
		return false, "", why
	}
	table := s.value(smtpdMilterMaps)
	if table == "" {
		return set, "", ""
	}
	clients := e.listedClients(lists.Require)
	queriesFor := func(value string) bool { return e.hasAnswers(s.view, smtpdMilters, value, milterProto) }
	left := slices.Clone(clients)
	for _, entry := range splitEntries(table) {
		found, ok := e.lookUp(s.view, entry, left)
		if !ok {
			return set, "clients in a table that cannot be examined", ""
		}
		for _, a := range sortedAddrs(found) {
			if left = slices.DeleteFunc(left, func(l netip.Addr) bool { return l == a }); !queriesFor(found[a]) {
				skipped = cmp.Or(skipped, a.String())
			}
		}
	}
	if !set && len(left) > 0 {
		return false, "", ""
	}
	return set || len(clients) > 0, skipped, ""
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
	for _, entry := range splitEntries(v.value(param)) {
		if e.queriesEhlogate(v, param, entry) {
			break
		}
		if e.permitsNone(v, entry) {
			continue
		}
		if word := strings.ToLower(entry); strings.HasPrefix(word, "permit") || strings.HasPrefix(word, "check_") {
			return fmt.Sprintf("%s may end at %s", param, entry)
		}
	}
	return ""
}

// permitsNone reports whether an entry of a restriction list is sure not to permit a client that must use TLS.
func (e *exam) permitsNone(v view, entry string) bool {
	switch strings.ToLower(entry) {
	case "permit_mynetworks": // whose default is the networks of the machine
		at := v.origin("mynetworks")
		return (e.host.saved == "" || at.File != defaultFile) && !e.overlapsNetworks(splitList(v.value("mynetworks")), lists.Require)
	case "permit_sasl_authenticated":
		return !v.isYes("smtpd_sasl_auth_enable")
	case "permit_tls_all_clientcerts": // TLS is used
		return true
	}
	return false
}

// overlapsNetworks reports whether a list with an action may match a client in one of the networks.
func (e *exam) overlapsNetworks(networks []string, action lists.Action) bool {
	for _, l := range e.config.Lists {
		if l.Action != action || l.Mode != lists.Enforce {
			continue
		}
		list := e.loadFiles(l)
		for _, n := range networks {
			if prefix, err := parseNetwork(n); err != nil || matchesIn(list, prefix) {
				return true
			}
		}
	}
	return false
}

// matchesIn reports whether a list may match a client in a network.
func matchesIn(list *listfile.List, network netip.Prefix) bool {
	if list.Table() == nil || matches(list, network.Masked().Addr()) {
		return true
	}
	for a := range list.Table().Boundaries() {
		if network.Contains(a) && matches(list, a) {
			return true
		}
	}
	return false
}

// matches reports whether a list matches a client by its address.
func matches(list *listfile.List, a netip.Addr) bool {
	return list.Lookup(lists.Client{Addr: a}).Status == lists.Matched
}

// parseNetwork understands an address or a network as in mynetworks: IPv6 in brackets.
func parseNetwork(s string) (netip.Prefix, error) {
	s = strings.NewReplacer("[", "", "]", "").Replace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
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
