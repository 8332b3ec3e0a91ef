package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
	"ehlogate/policyd/socketmap"
	"ehlogate/policyd/tcptable"
)

// addHidden adds the lists that hide keywords from the client of a service.
func (r *Report) addHidden(service lists.Service, d *lists.Decision) {
	if d.Hidden == nil {
		return
	}
	for _, v := range d.Hidden.By {
		r.Hidden = append(r.Hidden, HiddenText{Service: service, Keywords: slices.Collect(v.List.Hide.All()),
			Observed: v.List.Mode == lists.Observe || d.Hide() == 0, VerdictText: newVerdictText(v)})
	}
}

// verb returns whether the keywords are hidden, or only would be.
func (h *HiddenText) verb() string {
	if h.Observed {
		return "observed"
	}
	return "hides"
}

// text returns which keywords they are, and why.
func (h *HiddenText) text() string {
	on := ""
	if h.Service == lists.Submission {
		on = " on submission"
	}
	return strings.ToUpper(strings.Join(h.Keywords, ", ")) + on + ": " + formatReason(h.VerdictText)
}

// answerer asks the protocols about a client.
type answerer struct {
	ctx     context.Context
	backend policyd.Backend
	out     []Answer
}

// effect returns what a mail server does that gets a value; "" if the map has no entry for the client.
type effect = func(value string) string

// addAnswers adds what each protocol answers about a client, and what the mail server does then.
func (r *Report) addAnswers(ctx context.Context, c lists.Client, p *lists.Policy, b policyd.Backend) {
	a := &answerer{ctx: ctx, backend: b}
	addr := c.Addr.String()
	addrName := strings.TrimSpace(addr + " " + c.Name)
	a.askMemcache("starttls:"+addr, unlessBackup(hides("Postfix")))
	if c.HELO != "" {
		a.askMemcache("helo:"+c.HELO, hidesAll)
	}
	a.askSocketmap("starttls "+addr, hides("Postfix"))
	a.askSocketmap("srv_features "+addrName, hides("Sendmail"))
	a.askTCPTable(addr, hides("Postfix or Exim"))
	if c.HELO != "" {
		a.askTCPTable(addr+"%20"+strings.ReplaceAll(c.HELO, "%", "%25"), hides("Exim"))
	}
	if slices.ContainsFunc(p.Lists, func(l *lists.List) bool { return l.Services.Has(lists.Submission) }) {
		a.askMemcache("submission:"+addr, unlessBackup(hides("Postfix on submission")))
		a.askSocketmap("submission "+addr, hides("Postfix on submission"))
		a.askSocketmap("submission_features "+addrName, hides("Sendmail on submission"))
		a.askTCPTable("submission:"+addr, hides("Postfix or Exim on submission"))
	}
	if slices.ContainsFunc(p.Lists, func(l *lists.List) bool { return l.Action == lists.Legacy }) {
		a.askSocketmap("tls_profile "+addrName, allows("Sendmail"))
		a.askTCPTable("tls_profile:"+addr, allows("Exim"))
	}
	r.Answers = a.out
}

func (a *answerer) askMemcache(key string, effect effect) {
	reply := a.ask(&memcache.Server{Backend: a.backend}, "get "+key+"\r\n")
	lines := strings.Split(reply, "\r\n")
	value := ""
	if len(lines) > 2 { // VALUE, the value, END
		value = lines[1]
	}
	a.out = append(a.out, Answer{"memcache", key, strings.TrimRight(reply, "\r\n"), effect(value)})
}

func (a *answerer) askSocketmap(query string, effect effect) {
	reply := a.ask(&socketmap.Server{Backend: a.backend}, fmt.Sprintf("%d:%s,", len(query), query))
	_, value, _ := strings.Cut(strings.TrimSuffix(reply, ","), ":OK ")
	a.out = append(a.out, Answer{"socketmap", query, reply, effect(value)})
}

func (a *answerer) askTCPTable(key string, effect effect) {
	reply := strings.TrimSpace(a.ask(&tcptable.Server{Backend: a.backend}, "get "+key+"\n"))
	value, ok := strings.CutPrefix(reply, "200 ")
	if !ok {
		value = ""
	}
	a.out = append(a.out, Answer{"tcp_table", "get " + key, reply, effect(value)})
}

func (a *answerer) ask(p policyd.Protocol, frame string) string {
	_, out, _ := p.Answer(a.ctx, []byte(frame), nil)
	return string(out)
}

// sendmailLetters are the keywords that Sendmail hides by the letters of srv_features.
var sendmailLetters = map[string]string{"S": "STARTTLS", "A": "AUTH", "D": "DSN", "E": "ETRN", "P": "PIPELINING"}

// hides returns the effect of a value that has EHLO keywords, or letters of srv_features.
func hides(server string) effect {
	return func(value string) string {
		var hidden []string
		for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }) {
			if !strings.EqualFold(word, "silent-discard") {
				hidden = append(hidden, cmp.Or(sendmailLetters[word], strings.ToUpper(word)))
			}
		}
		switch what := strings.Join(hidden, ", "); {
		case slices.Contains(hidden, "STARTTLS"):
			return server + " hides " + what
		case what != "":
			return server + " offers STARTTLS and hides " + what
		}
		return server + " offers STARTTLS"
	}
}

// unlessBackup adds to an effect that a memcache map without an entry for the client queries its backup.
func unlessBackup(e effect) effect {
	return func(value string) string {
		if value == "" {
			return e(value) + ", unless its backup map hides it"
		}
		return e(value)
	}
}

func hidesAll(value string) string {
	if value == "" {
		return "Postfix does not change EHLO"
	}
	return "Postfix hides all keywords"
}

// allows returns the effect of a TLS profile.
func allows(server string) effect {
	return func(value string) string {
		if value == "legacy" {
			return server + " allows old versions of TLS"
		}
		return server + " allows its usual versions of TLS"
	}
}
