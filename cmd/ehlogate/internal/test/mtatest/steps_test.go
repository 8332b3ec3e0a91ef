package mtatest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is a part of a document that is meant for a shell: a block of lines, or a command in running text.
type step struct {
	doc, heading string
	item         string // the number of the list's item that it stands in
	text         string
	prints       []string // what a transcript ("$ command") shows below the command
}

func (s step) String() string { return s.doc + ": " + s.text }

// notRun are the steps that no test machine can run as they stand, with the reason; a text that replaces one is run in its
// place. Each is one line.
var notRun = map[string]struct{ instead, why string }{
	"go run ./cmd/ehlogate serve -c examples/ehlogate.toml": {"", "it serves until it is stopped; TestExamples runs it"},

	".ci/test":          {"", "these tests"},
	"make demo":         {"", "it needs no package"},
	"make demo-sending": {"", "TestSending"},
	"make faults":       {"", "these tests"},
	"make safety":       {"", "TestSafety"},
	"make bench":        {"", "takes fifteen minutes"},

	"apt remove ehlogate": {"", "TestPackage removes it"},
	"apt purge ehlogate":  {"", "TestPackage purges it"},

	"systemctl edit":           {"", "names the command; it opens an editor"},
	"systemctl reload":         {"", "names the command"},
	"ehlogate serve":           {"", "it serves until it is stopped"},
	"ehlogate explain":         {"", "names the command"},
	"ehlogate replay":          {"", "names the command"},
	"ehlogate fallback forbid": {"", "names the command"},
	"ehlogate tlsrpt":          {"", "names the command"},

	"ehlogate list undo":          {"", "names the command; there may be no edit, and the scripts of cmd/ehlogate run it"},
	"ehlogate list show --unused": {"", "names the command; the daemon writes what it needs after ten minutes, and TestListUnused runs it"},

	"make demo-fallback":                    {"", "TestFallback"},
	"ehlogate fallback list":                {"", "no list learns here; TestServiceLearns runs it"},
	"ehlogate fallback show 203.0.113.7":    {"", "the same"},
	"ehlogate fallback promote 203.0.113.7": {"", "the same"},
	"ehlogate fallback forget 203.0.113.7":  {"", "the same"},
	"ehlogate fallback forbid 203.0.113.7":  {"", "the same"},
	"ehlogate fallback export":              {"", "the same"},

	"ehlogate tlsrpt --record": {"", "names the command; TestReportAlias runs it"},

	"curl -fsS -o drop.new URL && mv drop.new drop_v4.json":                              {"", "there is no such URL"},
	"systemctl restart rsyslog":                                                          {"", "there is no unit of rsyslog; TestRsyslogSocket runs it with that file"},
	"chgrp ehlogate FILE && chmod 0640 FILE":                                             {"chgrp ehlogate /etc/ehlogate/lists/deny.list && chmod 0640 /etc/ehlogate/lists/deny.list", "FILE is any list"},
	"conntrack -D -p tcp --dport 25 -s ADDRESS":                                          {"", "conntrack is a package of its own"},
	"postconf -n >DIR/main.cf && postconf -d mail_version >>DIR/main.cf":                 {"mkdir -p DIR && postconf -n >DIR/main.cf && postconf -d mail_version >>DIR/main.cf", "DIR is any directory"},
	"nft -j list ruleset >DIR/nft-ruleset":                                               {"mkdir -p DIR && nft -j list ruleset >DIR/nft-ruleset", "DIR is any directory"},
	"ehlogate doctor --saved copies-of-mx1 -c mx1.toml":                                  {"cp /etc/ehlogate/ehlogate.toml mx1.toml && cp /etc/postfix/ehlogate* /etc/ehlogate/lists/* DIR && ehlogate doctor --saved DIR -c mx1.toml", "the directory is that of the step before"},
	"ehlogate replay --since 7d":                                                         {"curl -s smtp://127.0.0.1/ >/dev/null || true; journalctl --sync; ehlogate replay --since 7d", "no client has connected yet"},
	"ehlogate replay --diff /etc/ehlogate/ehlogate.toml COPY/ehlogate.toml":              {"cp -r /etc/ehlogate COPY && ehlogate replay --diff /etc/ehlogate/ehlogate.toml COPY/ehlogate.toml", "COPY is any copy"},
	"ehlogate replay --diff /etc/ehlogate/ehlogate.toml new.toml":                        {"cd /etc/ehlogate && ehlogate replay --diff ehlogate.toml new.toml", "the config is that of the step before"},
	`ehlogate replay -c new.toml "/var/log/mail.log*"`:                                   {`cd /etc/ehlogate && cp ehlogate.toml new.toml && journalctl -o json >/var/log/mail.log && ehlogate replay -c new.toml "/var/log/mail.log*"`, "the config and the log are any"},
	`ehlogate export --format postfix-cidr -o FILE --if-changed --then "postfix reload"`: {`ehlogate export --format postfix-cidr -o /etc/postfix/ehlogate.cidr --if-changed --then "postfix reload"`, "FILE is any table"},

	"postconf -PX smtp/inet/smtpd_discard_ehlo_keyword_address_maps": {
		"postconf -PX smtp/inet/smtpd_discard_ehlo_keyword_address_maps && postconf -P 'smtp/inet/smtpd_discard_ehlo_keyword_address_maps=memcache:$config_directory/ehlogate.cf'",
		"the steps behind it need the map"},
	"postconf -PX smtp/inet/smtpd_command_filter": {
		"postconf -PX smtp/inet/smtpd_command_filter && postconf -P 'smtp/inet/smtpd_command_filter=pipemap:{regexp:$config_directory/ehlogate-helo.regexp,memcache:$config_directory/ehlogate-helo.cf}'",
		"what is promised behind it needs the filter"},

	"ehlogate import cidr:/etc/postfix/esmtp_access -o /etc/ehlogate/lists >>/etc/ehlogate/ehlogate.toml": {
		`printf '198.51.100.0/24 dsn\n' >/etc/postfix/esmtp_access && ehlogate import cidr:/etc/postfix/esmtp_access -o /etc/ehlogate/lists >>/etc/ehlogate/ehlogate.toml`,
		"Debian has no such table"},
	"ehlogate import cidr:/etc/postfix/discard.cidr -o /etc/ehlogate/lists >>/etc/ehlogate/ehlogate.toml": {"", "examples/README.md has the step, with another table"},
	"ehlogate import $(postconf -hx smtpd_discard_ehlo_keyword_address_maps) -o lists":                    {"", "the same"},
	"postconf -P 'submission/inet/smtpd_discard_ehlo_keyword_address_maps=memcache:$config_directory/ehlogate-submission.cf'": {
		"postconf -M 'submission/inet=submission inet n - y - - smtpd' && postconf -P submission/inet/smtpd_tls_security_level=encrypt 'submission/inet/smtpd_discard_ehlo_keyword_address_maps=memcache:$config_directory/ehlogate-submission.cf'",
		"Debian's master.cf has no submission service"},
	"ehlogate export --format nft --action legacy -o legacy.nft": {
		"cd /usr/share/doc/ehlogate/examples/legacy-tls && cat list.toml >>/etc/ehlogate/ehlogate.toml && cp legacy.list /etc/ehlogate/lists/ && cd /root && " +
			"ehlogate export --format nft --action legacy -o legacy.nft",
		"the gateway has no such list"},

	"check-rules FILE [RELAY...]": {"", "names the arguments"},

	"ehlogate replay --diff OLD.toml NEW.toml":               {"", "OLD.toml and NEW.toml are any configs; the same with a copy is run"},
	"rsync -a /etc/ehlogate/ mx2.example.org:/etc/ehlogate/": {"", "there is no other machine"},

	"ssh -L 10045:127.0.0.1:10045 mx.example.org":                  {"", "there is no other machine"},
	"ssh -L 10045:/var/spool/postfix/ehlogate/http mx.example.org": {"", "the same"},

	"ehlogate doctor --exim /var/lib/exim4/config.autogenerated":                                                                                     {eximWrapper + " && ehlogate doctor --exim /usr/share/doc/ehlogate/examples/exim/ehlogate.conf", "Debian has Postfix or Exim"},
	"ehlogate doctor --sendmail /etc/mail/sendmail.cf":                                                                                               {"", "Debian has Postfix or Sendmail; TestConfigurations runs it"},
	"cat /usr/share/doc/ehlogate/examples/sendmail/ehlogate.mc >>/etc/mail/sendmail.mc":                                                              {"", "the same"},
	"make -C /etc/mail && systemctl restart sendmail":                                                                                                {"", "the same"},
	"sed 's/^tls_advertise_hosts/MAIN_TLS_ADVERTISE_HOSTS/' /usr/share/doc/ehlogate/examples/exim/ehlogate.conf >>/etc/exim4/exim4.conf.localmacros": {"", "Debian has Postfix or Exim; TestConfigurations runs it"},
	`sed 's/^\(tls\|smtputf8\)_advertise_hosts/MAIN_\U&/' /usr/share/doc/ehlogate/examples/exim/hide.conf >>/etc/exim4/exim4.conf.localmacros`:       {"", "the same; TestHideExim runs it"},
	"systemctl reload exim4": {"", "the same"},
	"cat /usr/share/doc/ehlogate/examples/legacy-tls/exim.conf >>/etc/exim4/exim4.conf.localmacros": {"", "Debian has Postfix or Exim; TestLegacyExim runs it"},
	"cat /usr/share/doc/ehlogate/examples/legacy-tls/sendmail.mc >>/etc/mail/sendmail.mc":           {"", "Debian has Postfix or Sendmail; TestLegacySendmail runs it"},
	"ehlogate export --format exim-hosts -o /etc/exim4/ehlogate.hosts":                              {"mkdir -p /etc/exim4 && ehlogate export --format exim-hosts -o /etc/exim4/ehlogate.hosts", "Debian has Postfix or Exim"},
	"ehlogate check --list broken-tls /tmp/new.list":                                                {"", "the files of a deployment tool"},
	"ehlogate check --format drop /tmp/drop_v4.json":                                                {"", "the files of a deployment tool"},
}

// eximWrapper makes the Exim that .ci/deps unpacks a program of the machine.
const eximWrapper = `echo 'LD_LIBRARY_PATH=/var/cache/ehlogate-test/exim/usr/lib/x86_64-linux-gnu exec /var/cache/ehlogate-test/exim/usr/sbin/exim4 "$@"' >/usr/local/sbin/exim && ` +
	"sed -i 1i#!/bin/sh /usr/local/sbin/exim && chmod 755 /usr/local/sbin/exim"

// command returns a line of a step as notRun has it: without a comment behind it.
func command(line string) string {
	line, _, _ = strings.Cut(line, "  #")
	return strings.TrimSpace(line)
}

// synopses are headings below which commands are described, by their synopsis.
var synopses = []string{"## Commands"}

// isStep reports whether a text begins with a command: a program of this machine, or one of the words of a shell.
func isStep(text string) bool {
	word, _, _ := strings.Cut(text, " ")
	if slices.Contains([]string{"ehlogate", "for", "cd", "check-rules", "conntrack", "go", "rsync", "ssh", ".ci/test"}, word) {
		return true
	}
	if strings.Contains(word, "/") && !filepath.IsAbs(word) || strings.HasPrefix(text, "ip saddr") { // a path; a rule of nftables
		return false
	}
	_, err := exec.LookPath(word)
	return err == nil
}

var (
	item   = regexp.MustCompile(`^ *(\d+\.|-) `)
	quoted = regexp.MustCompile("`([^`]+)`")
	// Of the comments in a file: a line with more than one space before it, and what is in quotes.
	comment       = regexp.MustCompile(`^\s*(?:#|dnl)( .*)?$`)
	commentQuoted = regexp.MustCompile("\"([^\"]+)\"|`([^`']+)'")
)

// markdown returns the steps of a document. A block of lines is a step if its first line that is no comment is a command, or
// begins with "$ "; a command in running text has two words at least.
func markdown(doc, text string) (steps []step) {
	like, paragraph := step{doc: doc}, ""
	var block []string
	flush := func() {
		steps = append(steps, quotedSteps(quoted, like, paragraph)...)
		if len(block) > 0 {
			steps = append(steps, blockSteps(like, block)...)
		}
		paragraph, block = "", nil
	}
	blank, fenced := true, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			flush()
			fenced = !fenced
		case fenced:
			block = append(block, trimmed)
		case trimmed == "":
			if len(block) == 0 {
				flush()
			}
		case strings.HasPrefix(line, "    ") && (len(block) > 0 || blank) && !item.MatchString(line):
			if paragraph != "" {
				flush()
			}
			block = append(block, trimmed)
		default:
			if len(block) > 0 || strings.HasPrefix(line, "|") || item.MatchString(line) {
				flush()
			}
			if found := item.FindStringSubmatch(line); found != nil {
				like.item = found[1]
			} else if line[0] != ' ' && blank {
				like.item = ""
			}
			if strings.HasPrefix(line, "#") {
				flush()
				like.heading = line
			} else {
				paragraph += line + " "
			}
		}
		blank = trimmed == ""
	}
	flush()
	return steps
}

// quotedSteps returns the commands in running text.
func quotedSteps(quotes *regexp.Regexp, like step, text string) (steps []step) {
	for _, found := range quotes.FindAllStringSubmatch(text, -1) {
		like.text = strings.Join(strings.Fields(strings.Join(found[1:], "")), " ")
		if strings.Contains(like.text, " ") && isStep(like.text) {
			steps = append(steps, like)
		}
	}
	return steps
}

// blockSteps returns the step that a block is, if it is one.
func blockSteps(like step, block []string) []step {
	if command, ok := strings.CutPrefix(block[0], "$ "); ok {
		like.text, like.prints = command, block[1:]
		return []step{like}
	}
	first := slices.IndexFunc(block, func(l string) bool { return !strings.HasPrefix(l, "#") })
	if first < 0 || !isStep(block[first]) {
		return nil
	}
	like.text = strings.Join(block, "\n")
	return []step{like}
}

// comments returns the steps in the comments of a file: indented lines, each by itself, and what is in quotes.
func comments(doc, text string) (steps []step) {
	running := ""
	for line := range strings.Lines(text) {
		found := comment.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if found == nil {
			running += "\n"
			continue
		}
		if line := found[1]; strings.HasPrefix(line, "   ") {
			if line = strings.TrimSpace(line); isStep(line) {
				steps = append(steps, step{doc: doc, text: line})
			}
			continue
		}
		running += found[1] + " "
	}
	for paragraph := range strings.Lines(running) {
		steps = append(steps, quotedSteps(commentQuoted, step{doc: doc}, paragraph)...)
	}
	return steps
}

// manualSteps returns the steps in a man page: each line of its examples (.EX).
func manualSteps(t *testing.T, page string) (steps []step) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "cmd/ehlogate/man", page))
	if err != nil {
		t.Fatal(err)
	}
	inExample := false
	for line := range strings.Lines(strings.NewReplacer(`\-`, "-", `\&`, "", " \\e\n", " ").Replace(string(text))) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == ".EX" || line == ".EE":
			inExample = line == ".EX"
		case inExample && strings.Contains(line, " ") && isStep(line):
			steps = append(steps, step{doc: page + " in the manual", text: line})
		}
	}
	return steps
}

// exampleSteps returns the steps in the comments of all examples below a folder, but those in or below one of but.
func exampleSteps(t *testing.T, folder string, but ...string) (steps []step) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(examples, folder), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(examples, path)
		switch {
		case err != nil:
			return err
		case slices.Contains(but, name):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		text := example(t, name)
		if strings.HasSuffix(name, ".md") {
			steps = append(steps, markdown("examples/"+name, text)...)
		} else {
			steps = append(steps, comments("examples/"+name, text)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestStepsAreFound checks what is taken for a step, and what is not.
func TestStepsAreFound(t *testing.T) {
	got := markdown("doc", "# Head\n\nRun `ls -l\n/` or `ls`, not `192.0.2.1 x`:\n\n1. One\n\n       cd /\n       ls\n\n   and\n\n       192.0.2.1\n\n"+
		"2. Two `echo 2`\n\n## Next\n\n    $ cat x\n    y\n\n| `echo cell` | |\n\n```sh\n# why\necho fenced\n```\n")
	want := []string{"ls -l /", "cd /\nls", "echo 2", "cat x", "echo cell", "# why\necho fenced"}
	got = append(got, comments("doc", "# Use \"ls -l\n# /x\" or\n#   ls -a\n#   192.0.2.1\n# ls of prose\nls\ndnl x\ndnl   ls -b\n")...)
	want = append(want, "ls -a", "ls -b", "ls -l /x")
	var texts []string
	for _, s := range got {
		texts = append(texts, s.text)
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%q, want %q", texts, want)
	}
	if got[1].item != "1." || got[2].item != "2." || got[3].item != "" {
		t.Errorf("%+v", got)
	}
	if s := got[3]; s.heading != "## Next" || !slices.Equal(s.prints, []string{"y"}) {
		t.Errorf("%+v", s)
	}
}
