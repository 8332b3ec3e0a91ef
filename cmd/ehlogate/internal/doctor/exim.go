package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Exim is its configuration file, without comments and with long lines joined.
type Exim struct {
	name  string
	lines []line
}

// ParseExim reads a configuration of Exim.
func ParseExim(name, text string) *Exim {
	x := &Exim{name: name}
	num, open := 0, false
	for l := range strings.Lines(text) {
		num++
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' { // also between the parts of a long line
			continue
		}
		more := strings.HasSuffix(l, `\`)
		l = strings.TrimSuffix(l, `\`)
		if open {
			x.lines[len(x.lines)-1].text += l
		} else {
			x.lines = append(x.lines, line{num, l})
		}
		open = more
	}
	return x
}

// option gives a setting of the main section, with the macros in it replaced.
func (x *Exim) option(name string) (value string, ok bool) {
	macros := make(map[string]string)
	for _, l := range x.lines {
		left, right, is := strings.Cut(l.text, "=")
		left, right = strings.TrimSpace(left), strings.TrimSpace(right)
		switch {
		case !is:
		case left == name:
			value, ok = right, true
		case left != "" && left[0] >= 'A' && left[0] <= 'Z':
			macros[strings.TrimRight(left, "= ")] = right
		}
	}
	for range 5 { // a macro may use others that were defined before it
		for name, text := range macros {
			if len(value)+strings.Count(value, name)*len(text) < maxExpanded {
				value = strings.ReplaceAll(value, name, text)
			}
		}
	}
	return value, ok
}

// question is one ${readsocket{where}{request}{options}...}.
type question struct {
	where, request, options string
}

func questions(text string) (out []question) {
	const begin = "readsocket"
	for {
		_, rest, ok := strings.Cut(text, begin)
		if !ok {
			return out
		}
		text = rest
		var q question
		for _, into := range []*string{&q.where, &q.request, &q.options} {
			rest = strings.TrimSpace(rest)
			inner, n := balanced(rest)
			if n == 0 || rest[0] != '{' {
				break
			}
			*into, rest = strings.TrimSpace(inner), rest[n:]
		}
		out = append(out, q)
	}
}

// paths finds names of files in a setting.
var paths = regexp.MustCompile(`/[^\s{}:;,]+`)

// exim looks at how tls_advertise_hosts asks ehlogate.
func (e *exam) exim(x *Exim) {
	const param = "tls_advertise_hosts"
	value, _ := x.option(param)
	at := Place{File: x.name, Parameter: param, Value: value}
	asked, exported := false, false
	for _, name := range slices.Compact(slices.Sorted(slices.Values(paths.FindAllString(value, -1)))) {
		if data, err := e.host.ReadFile(name); err == nil && e.inStep("exim-hosts", name, data, at) {
			exported = true
		}
	}
	for _, q := range questions(value) {
		p, err := q.endpoint()
		if err != nil {
			continue
		}
		proto := e.gate.protocolAt(p)
		asked = asked || proto != ""
		switch {
		case proto == "":
			continue
		case proto == memcacheProto && strings.Contains(q.request, "starttls:"): // it can be asked by hand, too
		case proto != tcpTableProto:
			e.add(Finding{
				ID: "wrong-listener", Severity: Hazard, Place: at,
				What: fmt.Sprintf("%s is asked in the protocol of tcp_table, and speaks that of %s", p, proto),
				Why:  "No question is understood. For tcp_table, ehlogate is configured to listen on " + list(e.gate.TCPTable) + ".",
			})
			continue
		}
		e.eximOptions(q, at)
		e.probe(p, proto, at, Warning)
	}
	switch {
	case asked:
		e.names("Exim", "by address and HELO name")
	case !exported:
		e.add(Finding{
			ID: "ehlogate-not-asked", Severity: Note, Place: at,
			What: "Exim does not ask ehlogate", Why: "No ${readsocket...} in tls_advertise_hosts names an address of " + e.gate.File + ".",
		})
		return
	}
	ports, _ := x.option("daemon_smtp_ports")
	interfaces, _ := x.option("local_interfaces")
	submission := regexp.MustCompile(`\b(587|submission)\b`)
	if submission.MatchString(ports+" "+interfaces) && !strings.Contains(value, "_port") {
		e.add(Finding{
			ID: "submission-asks", Severity: Hazard, Place: at,
			What:  "the lists decide about STARTTLS for clients that log in",
			Why:   "Exim listens on port 587 too, and a suppressed client sends its password in the clear there, or cannot send at all.",
			Write: Write{x.name, []string{param + " = ${if eq{$received_port}{587}{*}{...what it is now...}}"}},
		})
	}
}

func (e *exam) eximOptions(q question, at Place) {
	options := strings.Split(q.options, ":")
	timeout := strings.TrimSpace(options[0])
	e.late("Exim", timeout, at, Warning, "Such a client is offered STARTTLS.")
	if tooSlow(timeout) {
		e.add(Finding{
			ID: "exim-slow", Severity: Warning, Place: at,
			What: "every EHLO waits " + options[0] + " while ehlogate hangs",
			Why:  "Two seconds are enough for a daemon on the same machine.",
		})
	}
	if slices.Contains(options, "shutdown=no") {
		e.add(Finding{
			ID: "exim-no-shutdown", Severity: Hazard, Place: at,
			What: "Exim waits for ehlogate to hang up, which waits for Exim",
			Why:  "Without shutdown=no Exim ends its side behind the question. With it every EHLO takes the whole timeout, and no client is suppressed.",
		})
	}
}

// endpoint is where Exim asks: inet:HOST:PORT or the path of a socket.
func (q question) endpoint() (endpoint, error) {
	if rest, ok := strings.CutPrefix(q.where, "inet:"); ok {
		return inet(rest)
	}
	if strings.HasPrefix(q.where, "/") {
		return endpoint{network: "unix", addr: q.where, path: q.where}, nil
	}
	return endpoint{}, fmt.Errorf("%q is no address", q.where)
}
