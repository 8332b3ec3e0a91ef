package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// keys looks at what a memcache table asks for.
func (e *exam) keys(p *parameters, t table, param string, at Place) {
	want := "starttls:%s"
	if param == smtpdFilter {
		want = "helo:%s"
		if !t.piped {
			e.add(Finding{
				ID: "filter-never-asks", Severity: Warning, Place: at,
				What:  "the table is never asked about an EHLO",
				Why:   "It is handed whole commands, and a key with a space is not asked for. A regexp table before it has to let the name through.",
				Write: at.replace(t.full(), "pipemap:{regexp:$config_directory/ehlogate-helo.regexp,"+t.full()+"}"),
			})
		}
	}
	if format, where := p.get("key_format", "%s"); format != want {
		e.add(Finding{
			ID: "key-format", Severity: Hazard, Place: where,
			What:  fmt.Sprintf("the key is %q, and for this map it has to be %q", format, want),
			Why:   "ehlogate knows no such key, or takes it for another question: no client is suppressed.",
			Write: p.write("key_format = " + want),
		})
	}
	if digest, where := p.get("key_digest", ""); digest != "" {
		e.add(Finding{
			ID: "key-digest", Severity: Hazard, Place: where,
			What:  "ehlogate is asked for digests of addresses",
			Why:   "It cannot tell the address from them: no client is suppressed. From Postfix 3.11 on; before, the setting does nothing.",
			Write: p.write("key_digest ="),
		})
	}
}

// waits looks at how long clients wait while ehlogate hangs.
func (e *exam) waits(p *parameters) {
	slow := false
	var first Place
	for _, name := range []string{"max_try", "timeout"} {
		value, where := p.get(name, "2")
		n, err := strconv.ParseInt(value, 10, 32)
		switch {
		case err != nil || name == "max_try" && n < 1:
			e.add(Finding{
				ID: "memcache-bad-number", Severity: Hazard, Place: where,
				What: fmt.Sprintf("%s has to be a number, without a unit", name), Why: "smtpd ends with a fatal error before its banner.",
				Write: p.write(name + " = 1"),
			})
		case n != 1:
			if !slow {
				first = where
			}
			slow = true
		}
	}
	if slow {
		if first.Value == "" {
			first.Value = "(not set: 2)"
		}
		e.add(Finding{
			ID: "memcache-slow", Severity: Warning, Place: first,
			What:  "every client waits long while ehlogate hangs",
			Why:   "With the defaults of 2 tries of 2 s it is about 6 s; 0 is without a limit. One try of one second is enough for a daemon on the same machine.",
			Write: p.write("max_try = 1", "timeout = 1"),
		})
	}
}

// backup looks at the table that decides while ehlogate is away.
func (e *exam) backup(v view, p *parameters) {
	value, where := p.get("backup", "")
	write := p.write("backup = cidr:/dev/null")
	if value == "" {
		e.add(Finding{
			ID: "memcache-no-backup", Severity: Hazard, Place: where,
			What:  p.table.String() + " has no backup",
			Why:   "Without an answer of ehlogate there is none at all, and " + refuses + " It does not show before that.",
			Write: write,
		})
		return
	}
	for _, t := range tables(value) {
		if t.proxied {
			e.proxied(t, where, value)
		}
		switch {
		case t.asks():
			e.add(Finding{
				ID: "backup-asks", Severity: Hazard, Place: where,
				What:  "the backup asks a daemon, too",
				Why:   "Two may be away. Name a file: an exported table, or the empty table /dev/null.",
				Write: write,
			})
		case t.kind == "inline" && emptyInline(t.name):
			e.add(Finding{
				ID: "backup-inline-empty", Severity: Hazard, Place: where,
				What:  "the backup is an empty inline table, and Postfix refuses those",
				Why:   e.whenBackupFails(),
				Write: write,
			})
		default:
			e.checkFile(v, t, where, "backup-unreadable", e.whenBackupFails(), write)
		}
	}
	if !e.gate.ExplicitOffer && slices.ContainsFunc(tables(value), func(t table) bool { return e.hides(v, t) }) {
		e.add(Finding{
			ID: "backup-suppresses", Severity: Warning, Place: where,
			What:  "the backup also decides while ehlogate answers",
			Why:   "It is asked about every client that is not suppressed, so what ehlogate offers meanwhile (an expired entry, a new exception) is hidden by the older table.",
			Write: Write{e.gate.File, []string{"explicit_offer = true"}},
		})
	}
}

// whenBackupFails says what a backup means that Postfix cannot use.
func (e *exam) whenBackupFails() string {
	if e.gate.ExplicitOffer {
		return "It does not show while ehlogate answers, since the backup is not asked then (explicit_offer). As soon as ehlogate is away, " + refuses
	}
	return "It is asked about every client that is not suppressed, even while ehlogate answers, and then " + refuses
}

// emptyInline tells whether an inline table {...} has no entries.
func emptyInline(name string) bool {
	inner, n := balanced(name)
	return n == 0 || strings.Trim(inner, " ,\t") == ""
}
