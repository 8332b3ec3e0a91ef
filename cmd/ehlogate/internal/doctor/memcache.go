package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"time"

	"ehlogate/lists/diag"
)

// memcacheTable is a memcache table with its parameters.
type memcacheTable struct {
	table
	view   view
	param  string            // the setting that uses it
	at     Place             // where that is
	file   string            // the file of the parameters; empty: main.cf
	params map[string]string // of the file
}

// readMemcacheTable reads the parameters of a table. It fails if they are in a file that cannot be read.
func (e *exam) readMemcacheTable(v view, t table, param string, at Place) (m *memcacheTable, err error) {
	m = &memcacheTable{table: t, view: v, param: param, at: at}
	if t.name[0] != '/' && t.name[0] != '.' {
		return m, nil
	}
	m.file = t.paramFile(v)
	data, err := e.host.readFile(m.file)
	if err != nil {
		return nil, err
	}
	var problems diag.Problems
	m.params = parseSettings(m.file, string(data), &problems)
	return m, problems.Err()
}

func (t table) paramFile(v view) string {
	if path.IsAbs(t.name) {
		return t.name
	}
	return path.Join(v.value(queueDirectory), t.name)
}

// parameter returns a parameter, and where it is or would be. Files are not expanded.
func (m *memcacheTable) parameter(name, def string) (value string, at Place) {
	if m.file != "" {
		value, set := m.params[name]
		at = Place{File: m.file, Parameter: name, Value: value}
		if !set {
			return def, at
		}
		return value, at
	}
	full := m.name + "_" + name
	if at := m.view.origin(full); at.File != defaultFile {
		return m.view.value(full), at
	}
	return def, Place{File: "main.cf", Parameter: full}
}

func (m *memcacheTable) adviseParameters(settings ...string) Write {
	if m.file != "" {
		return Write{m.file, settings}
	}
	for i := range settings {
		settings[i] = m.name + "_" + settings[i]
	}
	return setMain(settings...)
}

func (e *exam) checkMemcache(v view, t table, param string, at Place) {
	m, err := e.readMemcacheTable(v, t, param, at)
	switch {
	case errors.Is(err, errNotCopied):
		e.addUnread(at, t.name, err)
		return
	case err != nil:
		e.add(Hazard, "memcache-file-unreadable", at, fmt.Sprintf("cannot read %s: %s", t.setting(), plainReason(err)),
			refuses+" It goes on to do so until a reload, even if the file is there again.", e.adviseRestored(v, t, param, err)...)
		return
	}
	addr, where := m.parameter("memcache", "inet:localhost:11211")
	where.Value = cmp.Or(where.Value, "(not set: "+addr+")")
	e.checkEndpoint(v, addr, memcacheProto, where)
	e.checkKeys(m)
	e.checkTimeouts(m)
	if timeout, where := m.parameter("timeout", "2"); param == smtpdMaps { // the filter by HELO name does not wait for DNS
		e.checkDNSWait("Postfix", timeout, where, Warning, "The backup decides about such a client.")
	}
	e.checkBackup(m)
}

// adviseRestored returns the advice to restore the file of a memcache table, which cannot be read because of err.
func (e *exam) adviseRestored(v view, t table, param string, err error) []Write {
	reload := Write{shell, []string{postfixReload}}
	if !errors.Is(err, fs.ErrNotExist) {
		return []Write{reload}
	}
	example := exampleFile
	switch {
	case param == smtpdFilter:
		example = exampleHELOFile
	case v.isSubmission(): // the other file would hide STARTTLS there
		example = exampleSubmissionFile
	}
	return []Write{{shell, []string{copyCommand("postfix/"+example, t.paramFile(v))}}, reload}
}

func (e *exam) checkKeys(m *memcacheTable) {
	want, effect := starttlsKey, "no client is suppressed"
	if m.param == smtpdMaps && m.view.isSubmission() {
		want, effect = submissionKey, "no list hides a keyword"
	}
	if m.param == smtpdFilter {
		want = "helo:%s"
		if !m.piped {
			e.add(Warning, "filter-never-queries", m.at, "the table is never queried about an EHLO",
				"The filter looks up whole commands, and Postfix sends no key with a space. A regexp table before it must extract the name.",
				m.at.adviseReplacement(m.setting(), "pipemap:{regexp:$config_directory/ehlogate-helo.regexp,"+m.setting()+"}"))
		}
	}
	if format, where := m.parameter("key_format", "%s"); format != want && !(m.param == smtpdMaps && (format == starttlsKey || format == submissionKey)) {
		e.add(Hazard, "key-format", where, fmt.Sprintf("wrong key %q: for this map it must be %q", format, want),
			"ehlogate does not know such a key, or takes it for another query: "+effect+".", m.adviseParameters("key_format = "+want))
	}
	if digest, where := m.parameter("key_digest", ""); digest != "" {
		e.add(Hazard, "key-digest", where, "the keys are digests of addresses",
			"ehlogate cannot tell the address: no client is suppressed. That is so from Postfix 3.11 on; before, the setting has no effect.", m.adviseParameters("key_digest ="))
	}
}

// checkTimeouts computes how long a client waits while ehlogate hangs: for each try, and a second between two. If the
// backup has the client, Postfix writes that to ehlogate, and waits as long again.
func (e *exam) checkTimeouts(m *memcacheTable) {
	numbers, at := map[string]int64{}, Place{}
	for _, name := range []string{"max_try", "timeout"} {
		value, where := m.parameter(name, "2")
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || name == "max_try" && n < 1 {
			e.add(Hazard, "memcache-bad-number", where, fmt.Sprintf("invalid %s: it must be a number of at least 1, without a unit", name),
				"smtpd ends with a fatal error before its banner.", m.adviseParameters(name+" = 1"))
			return
		}
		if numbers[name] = n; n != 1 && at.File == "" {
			at = where
			at.Value = cmp.Or(where.Value, "(not set: 2)")
		}
	}
	pause, _ := m.parameter("retry_pause", "1")
	between, _ := strconv.ParseInt(pause, 10, 32)
	tries, timeout := numbers["max_try"], numbers["timeout"]
	wait := time.Duration(tries*timeout+(tries-1)*between) * time.Second
	if backup, _ := m.parameter("backup", ""); slices.ContainsFunc(parseTables(backup), func(t table) bool { return e.hidesSTARTTLS(m.view, t) }) {
		wait *= 2
	}
	if long := fmt.Sprint(wait); timeout == 0 || wait >= maxWait {
		if timeout == 0 {
			long = "without a limit"
		}
		e.add(Warning, "memcache-slow", at, fmt.Sprintf("every client waits long while ehlogate hangs: %s (%d tries, timeout %d s)", long, tries, timeout),
			"One try of one second is enough for a daemon on the same machine.", m.adviseParameters("max_try = 1", "timeout = 1"))
	}
}

// checkBackup examines the table that decides while ehlogate is unreachable.
func (e *exam) checkBackup(m *memcacheTable) {
	value, where := m.parameter("backup", "")
	write := m.adviseParameters("backup = cidr:/dev/null")
	if value == "" {
		e.add(Hazard, "memcache-no-backup", where, m.String()+" has no backup",
			"While ehlogate is unreachable, "+refuses+" The fault does not show until then.", write)
		return
	}
	hides := false
	fails := "The backup is used for every client that is not suppressed, even while ehlogate answers, and then " + refuses
	if e.config.ExplicitOffer {
		fails = "While ehlogate answers, the backup is not used (explicit_offer), so the fault does not show. As soon as ehlogate is unreachable, " + refuses
	}
	e.checkPairs(m.view, value, where, true)
	for _, t := range parseTables(value) {
		opens := true
		if t.proxied {
			e.checkProxied(t, where, value)
		}
		if t.needsDaemon() {
			e.add(Hazard, "backup-needs-daemon", where, "the backup needs a daemon too",
				"Both daemons may be unreachable. Name a file: an exported table, or the empty table /dev/null.", write)
		} else {
			opens = e.checkFile(m.view, t, where, "backup-unreadable", fails, write)
		}
		hides = hides || opens && e.hidesSTARTTLS(m.view, t)
	}
	format, _ := m.parameter("key_format", "")
	if i := slices.IndexFunc(parseTables(value), func(t table) bool { return !t.needsDaemon() && e.isOfSubmission(m.view, t) }); i >= 0 && format == starttlsKey {
		e.add(Warning, "submission-map", where, "the backup of this map was exported for submission",
			"While ehlogate is down, lists for port 25 hide nothing. Export a table without --service, and name that one.", write)
	}
	if hides && format == submissionKey {
		e.add(Hazard, "submission-queries", where, "the backup hides STARTTLS from clients that log in",
			"A client of submission for which ehlogate returns nothing, or that connects while ehlogate is down, sends its password in the clear or cannot "+
				"send at all. The backup of this map is a table of its own, exported with --service submission.", write)
		return
	}
	if hides && !e.config.ExplicitOffer {
		e.add(Warning, "backup-suppresses", where, "the backup also decides while ehlogate answers",
			"Postfix uses the backup for every client that is not suppressed. A client that ehlogate offers STARTTLS by now "+
				"(an expired entry, a new exception) is still suppressed by the older table.",
			e.atTop("explicit_offer", "true"), reloadDaemon)
	}
}
