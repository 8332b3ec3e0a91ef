package doctor

import (
	"slices"
	"strings"

	"ehlogate/lists/lazyregexp"
)

// The files that configure a TLS library for all programs. On systems with crypto-policies they are links.
const (
	gnutlsConfig  = "/etc/gnutls/config"
	opensslConfig = "/etc/ssl/openssl.cnf"
)

// setting is one line of a file with sections.
type setting struct{ section, key, value string }

var sectionName = lazyregexp.New(`^\[\s*(.*?)\s*\]`)

// parseSections understands what the files of GnuTLS and OpenSSL have in common.
func parseSections(text string) (out []setting) {
	section := ""
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if m := sectionName.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			section = m[1]
		} else if key, value, ok := strings.Cut(line, "="); ok {
			out = append(out, setting{section, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return out
}

// gnutlsRefusesTLS10 returns the setting by which GnuTLS refuses TLS 1.0 to all programs, whatever their priority string;
// ok is false if there is none.
func (e *exam) gnutlsRefusesTLS10() (refusal setting, ok bool) {
	data, err := e.host.readFile(gnutlsConfig)
	if err != nil {
		return setting{}, false
	}
	all := parseSections(string(data))
	i := slices.IndexFunc(all, func(s setting) bool {
		return s.section == "overrides" && s.key == "disabled-version" && strings.EqualFold(s.value, "tls1.0")
	})
	if i < 0 {
		return setting{}, false
	}
	return all[i], true
}

var opensslInclude = lazyregexp.New(`^\s*\.include\s*=?\s*(/.*?)\s*$`)

// readOpenSSL returns the text of a file of OpenSSL with the files that it includes in their places, as crypto-policies has
// them; "" if it cannot be read, or is one of outer, which include it. A directory, or a path that is not absolute, is left
// out.
func (e *exam) readOpenSSL(file string, outer ...string) string {
	data, err := e.host.readFile(file)
	if err != nil || slices.Contains(outer, file) {
		return ""
	}
	outer = append(slices.Clone(outer), file)
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		if m := opensslInclude.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			line = e.readOpenSSL(m[1], outer...) + "\n"
		}
		text.WriteString(line)
	}
	return text.String()
}

// opensslRefusesTLS10 returns the setting in a file by which OpenSSL refuses TLS 1.0 to all programs that do not set
// versions themselves, whatever their security level; ok is false if there is none (config(5ssl), SSL_CONF_cmd(3ssl)).
func (e *exam) opensslRefusesTLS10(file string) (refusal setting, ok bool) {
	all := parseSections(e.readOpenSSL(file))
	find := func(section, key string) (found setting) { // the last one counts
		for _, s := range all {
			if s.section == section && strings.TrimPrefix(s.key, "TLS.") == key {
				found = s
			}
		}
		return found
	}
	defaults := find(find(find("", "openssl_conf").value, "ssl_conf").value, "system_default").value
	if defaults == "" {
		return setting{}, false
	}
	if s := find(defaults, "MinProtocol"); s.value != "" && !includesTLS10(">="+s.value) {
		return s, true
	}
	s := find(defaults, "Protocol")
	return s, !includesOpenSSL(s.value)
}

// includesOpenSSL reports whether a value of Protocol leaves TLS 1.0 on: the last word about it counts.
func includesOpenSSL(value string) bool {
	on := true
	for word := range strings.SplitSeq(value, ",") {
		switch word = strings.TrimSpace(word); word {
		case "-TLSv1", "-ALL":
			on = false
		case "TLSv1", "+TLSv1", "ALL", "+ALL":
			on = true
		}
	}
	return on
}
