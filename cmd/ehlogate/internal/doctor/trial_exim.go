package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/lazyregexp"
)

// eximDaemon is an address and a port at which Exim listens.
type eximDaemon struct{ addr, port string }

// splitEximList splits a list as Exim does: at colons, or at the character behind a leading "<". Two of them are one
// in an item.
func splitEximList(list string) (items []string) {
	separator := ":"
	if list = strings.TrimSpace(list); len(list) > 1 && list[0] == '<' {
		separator, list = list[1:2], list[2:]
	}
	const doubled = "\x00"
	for item := range strings.SplitSeq(strings.ReplaceAll(list, separator+separator, doubled), separator) {
		if item = strings.TrimSpace(strings.ReplaceAll(item, doubled, separator)); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// daemons returns where Exim listens for clients that use STARTTLS.
func (x *Exim) daemons() (out []eximDaemon) {
	usual := splitEximList(x.values[daemonPorts])
	implicit := splitEximList(x.values[tlsPorts])
	for _, item := range splitEximList(x.values[localInterfaces]) {
		addr, ports := item, usual
		switch i := strings.LastIndexByte(item, '.'); {
		case strings.HasPrefix(item, "["):
			var port string
			if addr, port, _ = strings.Cut(item[1:], "]"); port != "" {
				ports = []string{strings.TrimLeft(port, ":.")}
			}
		case strings.Count(item, ".") == 4 || strings.Contains(item, ":") && i > 0 && strings.Count(item, ".") == 1:
			addr, ports = item[:i], []string{item[i+1:]}
		}
		if addr == "::0" {
			addr = "::"
		}
		for _, port := range ports {
			d := eximDaemon{addr, portNumber(port)}
			if !slices.Contains(out, d) && !slices.ContainsFunc(implicit, func(p string) bool { return portNumber(p) == d.port }) {
				out = append(out, d)
			}
		}
	}
	return out
}

// received returns the address and port for -oMi.
func (d eximDaemon) received() string {
	switch ip, err := netip.ParseAddr(d.addr); {
	case err != nil || ip.IsUnspecified() && ip.Is4():
		return "198.51.100.1." + d.port
	case ip.IsUnspecified():
		return "2001:db8::1." + d.port
	}
	return d.addr + "." + d.port
}

// tryExim has Exim play sessions with a copy of the configuration, in which doctor has the address of ehlogate.
func (e *exam) tryExim(at Place) { e.tryServer("Exim", at, e.runExim, e.exemptEximPorts) }

var eximPrograms = []string{"exim", "exim4"}

// eximTrial is the copy of a configuration, and what answers in the place of ehlogate.
type eximTrial struct {
	*exam
	file   string
	stands map[string]*standIn // by protocol
}

func (e *exam) runExim(dir string) (trials []trial, err error) {
	defer func() {
		if err != nil {
			err = errors.New(strings.TrimSpace(eximReason(err.Error())))
		}
	}()
	x := eximTrial{e, "", make(map[string]*standIn)}
	stop := func() {
		for _, s := range x.stands {
			s.stop()
		}
	}
	defer stop()
	text, err := x.redirect(dir)
	if err != nil {
		return nil, err
	}
	x.file = filepath.Join(dir, "exim.conf")
	if err := os.WriteFile(x.file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var daemons []eximDaemon
	for _, d := range e.exim.daemons() {
		if isSubmissionPort(d.port) && isLoopbackHost(d.addr) {
			continue // for this machine alone
		}
		suppressed, allowed := trialClient(len(trials), true), trialClient(len(trials), false)
		t := trial{service: "port " + d.port, port: d.port, submission: isSubmissionPort(d.port), local: isLoopbackHost(d.addr)}
		if t.suppressed, t.shown, err = x.playSession(d, suppressed); err != nil {
			return nil, err
		}
		if t.allowed, _, err = x.playSession(d, allowed); err != nil {
			return nil, err
		}
		for _, s := range x.stands {
			t.queried = t.queried || s.wasQueried(suppressed) || s.wasQueried(allowed)
		}
		trials, daemons = append(trials, t), append(daemons, d)
	}
	stop()
	e.checkShownByExim(trials)
	for i, d := range daemons {
		if trials[i].down, _, err = x.playSession(d, trialClient(i, false)); err != nil {
			return nil, err
		}
	}
	return trials, nil
}

// eximAside finds the settings that have nothing to do with STARTTLS, and may query or delay: ACLs, lookups of names, logs.
var eximAside = lazyregexp.New(`(?m)^(hide\s+)?(acl_(not_)?smtp\w*|host_lookup\w*|host_reject_connection|rfc1413_\w+|smtp_banner|helo_(try_)?verify_hosts|` +
	`log_file_path|keep_environment|process_log_path|smtp_(accept|load)_\w+)\s*=.*\n`)

// readsACL finds an option that reads a variable which an ACL sets.
var readsACL = lazyregexp.New(`(?m)^\w+_advertise_hosts\s*=.*\$\{?acl_`)

// redirect returns a configuration with other addresses where it queries ehlogate. What ACLs do matters only if they set
// variables for the setting.
func (x *eximTrial) redirect(dir string) (string, error) {
	text := x.exim.text
	if x.exim.textErr != nil {
		return "", x.exim.textErr
	}
	if !readsACL.MatchString(text) {
		text = "keep_environment =\nlog_file_path = " + dir + "/%slog\n" + eximAside.ReplaceAllString(text, "")
	}
	const call = "readsocket"
	parts := strings.Split(text, call)
	for i, part := range parts[1:] {
		inner, n := balanced(strings.TrimLeft(part, " \t"))
		if n == 0 {
			continue
		}
		where := strings.TrimSpace(inner)
		proto := x.protocolAt(eximEndpoint(where))
		if proto != tcpTableProto && proto != memcacheProto {
			continue
		}
		if x.stands[proto] == nil {
			s, err := startStandIn(x.ctx, proto, x.hiddenKeywords(lists.SMTP))
			if err != nil {
				return "", err
			}
			x.stands[proto] = s
		}
		parts[i+1] = strings.Replace(part, where, "inet:127.0.0.1:"+x.stands[proto].port(), 1)
	}
	return strings.Join(parts, call), nil
}

func eximEndpoint(where string) endpoint {
	if rest, ok := strings.CutPrefix(where, "inet:"); ok {
		p, _ := parseInet(rest)
		return p
	}
	return endpoint{network: "unix", addr: where, path: where}
}

var eximReply = lazyregexp.New(`(?m)^(\d\d\d)[ -](\S*)`)

// playSession returns whether a client is offered STARTTLS, and the keywords that it is offered.
func (x *eximTrial) playSession(d eximDaemon, client netip.Addr) (v verdict, keywords []string, err error) {
	out, err := programRun{env: []string{}, input: "EHLO client.example\r\nQUIT\r\n"}.output(x.ctx, eximPrograms,
		"-C", x.file, "-oMi", d.received(), "-bh", fmt.Sprintf("%s.4711", client))
	for _, m := range eximReply.FindAllStringSubmatch(out, -1) {
		if m[1] == "250" {
			keywords = append(keywords, strings.ToLower(m[2]))
		}
	}
	switch {
	case len(keywords) == 0:
		return refused, nil, err
	case slices.Contains(keywords, "starttls"):
		return offered, keywords, nil
	}
	return hidden, keywords, nil
}

// exemptEximPorts returns the setting that queries nothing on those ports.
func (e *exam) exemptEximPorts(ports []string) []Write {
	slices.Sort(ports)
	setting := "${if inlist{$received_port}{" + strings.Join(slices.Compact(ports), ":") + "}{*}{" + e.exim.values[advertiseHosts] + "}}"
	if strings.Contains(e.exim.path, "autogenerated") {
		return []Write{{"/etc/exim4/exim4.conf.localmacros (or, if split, /etc/exim4/conf.d/main/000_localmacros)", []string{"MAIN_TLS_ADVERTISE_HOSTS = " + setting}}, {shell, []string{"update-exim4.conf && systemctl reload exim4"}}}
	}
	return []Write{{e.exim.file + ", in place of " + advertiseHosts, []string{advertiseHosts + " = " + setting}}}
}
