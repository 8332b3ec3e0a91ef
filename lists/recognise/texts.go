package recognise

import (
	"strconv"
	"strings"

	"ehlogate/lists/lazyregexp"
)

// text is a kind of text whose lines have a form.
type text struct {
	mark *lazyregexp.Regexp // in a line
	// share is how many percent of the lines have the mark; 0: one line is enough, which may also be a comment.
	share int
	line  *lazyregexp.Regexp // that every other line must match; nil: they may be anything
	Kind
	// kind returns more than Kind about a sample; nil: there is nothing more.
	kind func(Kind, sample) Kind
}

const (
	v4     = `\d{1,3}(?:\.\d{1,3}){3}`
	v6     = `[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*`
	host   = `(?:` + v4 + `|` + v6 + `)`
	prefix = host + `(?:/\d{1,3})?`
	name   = `[A-Za-z0-9_.*-]*[A-Za-z_*][A-Za-z0-9_.*-]*`
	// block is the first line of a block in a cidr table of Postfix.
	block = `^(?i:if)[\s!\[]+` + prefix
	// result is what stands behind a pattern in tables of Postfix.
	result = `(?:(?i:REJECT|OK|RELAY|DUNNO|PERMIT|DISCARD|HOLD|WARN|INFO|PREPEND|FILTER|DEFER|DEFER_IF_PERMIT|DEFER_IF_REJECT|BCC|REDIRECT|ERROR:|STARTTLS|SILENT-DISCARD|CHUNKING|DSN|PIPELINING|AUTH|ETRN|SIZE|VRFY|8BITMIME|SMTPUTF8|XCLIENT|permit_\w+|reject_\w+)\b|[45]\d\d\s)`
)

func compile(pattern string) *lazyregexp.Regexp { return lazyregexp.New(pattern) }

// texts are tried in this order.
var texts = []text{
	{compile(`^\[\[list\]\]|^\[(?:listen|guard|dns|limit|policy|milter|log)\]`), 0, nil, Kind{What: "a config of ehlogate", Hint: "name its lists in files = [...]"}, nil},
	{compile(`^(?:\S.*\s)?"?v=spf1\s`), 0, nil, Kind{What: "an SPF record", Command: "grep -oE 'ip[46]:[^ \"]+' FILE | cut -d: -f2-"}, nil},
	{compile(`^\*(?:filter|raw|mangle|nat)$|^-A [A-Z]\S* .*-j `), 0, nil, Kind{What: "rules of iptables", Command: "grep -oP -- '-s \\K\\S+' FILE"}, nil},
	{compile(`^(?:add |create |destroy |flush |delete )?(?:table|set|element) (?:ip|ip6|inet|arp|bridge|netdev) \S+|^table \S+ \{$|^define \S+ = \{`), 0, nil, Kind{What: "sets of nft", Formats: []string{"nft"}}, nil},
	{compile(`^(?:create|add|-A|-N)(?: -exist| -!)? \S+ \S+`), 80, nil, Kind{What: "the output of \"ipset save\"", Formats: []string{"ipset"}}, nil},
	{compile(`^\$(?:ORIGIN|INCLUDE)\b|\s(?:IN\s+)?(?:SOA\s+\S+\s+\S+\s+\(?|CNAME\s+\S+$)`), 0, compile(`^[^#]`), Kind{What: "a zone file of a DNS server", Hint: "query the zone as a DNS list, or fetch its list of addresses"}, notRbldnsd},
	{compile(`^[#;:]?\$(?:SOA|NS|TTL|TIMESTAMP|MAXRANGE4|DATASET|\d)\s|^:\d+(?:\.\d+)*:|^\S+\s+:\d*(?:\.\d+)*:`), 0, nil, Kind{What: "a data set of rbldnsd", Formats: []string{"rbldnsd-ip4set"}}, dataSet},
	{compile(`^!?/.*/[imxADEGUX]*\s+\S|^(?:if|endif)\b`), 60, compile(`^(?:/|!/|if|endif|\s)`), Kind{What: "a regexp or pcre table of Postfix", Hint: "write a list of the names and networks that it means: .DOMAIN is all names below a domain"}, nil},
	{compile(`^(?i:connect|from|to|spam|greetpause|clientrate|clientconn|try_tls|srv_features|tls_srv|tls_clt|authinfo):\S+\s+\S`), 50, nil, Kind{What: "an access file of Sendmail", Formats: []string{"sendmail-access"}}, nil},
	{compile(`^(?i:all|local|sendmail|smtpd|sshd|exim|postfix/\w+)\s*:\s*\S`), 50, nil, Kind{What: "a file of TCP wrappers (hosts_access)", Command: "grep -v '^#' FILE | cut -d: -f2 | tr ', ' '\\n\\n' | grep '[0-9]'"}, nil},
	{compile(`^(?:(?:trusted|internal|msa)_networks|(?:whitelist|blacklist|welcomelist|blocklist)_\w+|score|header|body|describe|required_score|rewrite_header|use_\w+)\s+\S`), 50, nil, Kind{What: "a config of SpamAssassin", Command: "sed -n 's/^\\(trusted\\|internal\\)_networks *//p' FILE | tr ' ' '\\n'"}, nil},
	{compile(`^(?:hostlist|domainlist|addresslist)\s+\S+\s*=`), 0, nil, Kind{What: "lists of an Exim config", Command: "sed -n 's/^hostlist [^=]*= *<\\?;\\? *//p' FILE | sed 's/ *[:;] /\\n/g'"}, nil},
	{compile(`\S ; \S.*\S ; \S|` + prefix + ` : ` + prefix), 50, compile(`\S\s*[:;]\s+\S`), Kind{What: "a host list of Exim", Command: "sed 's/ *[:;] /\\n/g' FILE"}, nil},
	{compile(`^(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+` + name + `(?:\s+` + name + `)*(?:\s*#.*)?$`), 60, compile(`^` + host + `\s+\S`), Kind{What: "a hosts file", Misread: true, Command: "awk '$1 == \"0.0.0.0\" || $1 == \"127.0.0.1\" {print $2}' FILE"}, nil},
	{compile(`^(?:127\.0\.0\.1|::1)\s(?:.*\s)?localhost\b`), 1, compile(`^` + host + `\s+` + name), Kind{What: "the hosts file of a machine", Misread: true, Command: "awk '$1 !~ /^(#|127|::1$|ff|fe)/ && NF {print $1}' FILE"}, nil},
	{compile(`^(?:\|\|\S+\^|\[Adblock)`), 30, nil, Kind{What: "a filter list of ad blockers", Hint: "it is about web servers, not about clients of a mail server"}, nil},
	{compile(`^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \S+:|^\d{4}-\d\d-\d\dT\S+ \S+ \S+\[\d+\]:|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+ `), 50, nil, Kind{What: "a log file", Hint: "write a list of the clients that are meant"}, nil},
	{compile(`^` + prefix + `\s*;\s*SBL\d+`), 25, compile(`^` + prefix + `\s*(?:;|$)`), Kind{What: "Spamhaus DROP as text", Formats: []string{"drop-txt"}}, nil},
	{compile(`^[!\[]*` + prefix + `\]?\s+` + result + `|` + block + `|^(?i:endif)$`), 60, nil, Kind{What: "a cidr table of Postfix", Formats: []string{"postfix-cidr"}}, tableOf},
	{compile(`^(?:\d{1,3}(?:\.\d{1,3}){0,3}|\.?` + name + `|` + v6 + `)\s+` + result), 60, nil, Kind{What: "an access table of Postfix", Formats: []string{"postfix-access", "postfix-access-exact", "sendmail-access"}}, nil},
	{compile(`^` + v4 + `\s*[,;\t ]\s*255\.` + `(?:\d+\.){2}\d+(?:[,;\s]|$)`), 60, nil, Kind{What: "a list of addresses with masks", Formats: []string{"addresses"}}, nil},
	{compile(`^(?:\d{3}\.){3}\d{3} *- *(?:\d{3}\.){3}\d{3}\s*,`), 60, nil, Kind{What: "a list of ranges for eMule or PeerGuardian", Command: "sed -E 's/ *,.*//; s/ //g; s/(^|[.-])0+([0-9])/\\1\\2/g' FILE | grep '^[0-9]'"}, nil},
	{compile(`[^#]:` + v4 + `-` + v4 + `$`), 60, nil, Kind{What: "a list of ranges for PeerGuardian", Command: "sed -nE 's/^.*:([0-9.]+-[0-9.]+)\\r?$/\\1/p' FILE"}, nil},
	{compile(`^"?` + host + `"?\s*[,;\t]\s*"?` + host + `"?(?:[,;\s]|$)`), 60, nil, twoAddresses, nil},
	{compile(`^` + prefix + `(?:[,;\s]+` + prefix + `){2,}[,;\s]*$`), 60, nil, Kind{What: "a list with several entries in a line", Command: "tr -s ',; \\t\\r' '\\n' < FILE"}, nil},
	{compile(`^[^,;\t]*(?:[,;\t]"?[^,;\t]*"?)+$`), 100, nil, Kind{What: "a table with named columns (CSV)"}, csv},
	{compile(`^Members:$`), 0, compile(`^[A-Z]|^` + prefix), Kind{What: "the output of \"ipset list\"", Hint: "write it with ipset save NAME, and set format = \"ipset\""}, nil},
	{compile(`^"?` + v4 + `(?:/\d+)?"?\s*:(?:\s|$)`), 60, nil, Kind{What: "a file for lsearch of Exim", Command: "sed -nE 's/^\"?([0-9./]+)\"? *:.*/\\1/p' FILE"}, nil},
	{compile(`^` + prefix + `(?:\s+[^#\s]|[,;])`), 60, compile(`^` + prefix + `(?:-` + host + `)?(?:[\s,;]|$)`), Kind{What: "a list of addresses with further columns", Formats: []string{"addresses", "postfix-cidr", "postfix-access", "postfix-access-exact", "sendmail-access"}}, ownList},
	{compile(`^[^\s#]*[A-Za-z|{<@-][^\s#]*[\s|(,"'=:{].*?\b` + v4 + `\b`), 50, nil, Kind{What: "a text with addresses among other words",
		Hint: "write the addresses that are meant into a file, one a line; this shows all in FILE: grep -oE '([0-9]{1,3}[.]){3}[0-9]{1,3}(/[0-9]+)?' FILE"}, ownNames},
}

// twoAddresses is what a line has whose second column may be the end of a range.
var twoAddresses = Kind{What: "a list with two addresses in a line", Formats: []string{"ranges"},
	Hint: "if the second one is the last address of a range, set format = \"ranges\" for this list in the config; else write one entry a line"}

func (k *text) matches(s sample) bool {
	if k.share == 0 {
		for _, line := range s.all {
			if k.mark.MatchString(line) {
				return k.kindOf(s).What != ""
			}
		}
		return false
	}
	marked := 0
	for _, line := range s.lines {
		switch {
		case k.mark.MatchString(line):
			marked++
		case k.line != nil && !k.line.MatchString(line):
			return false
		}
	}
	return marked*100 >= k.share*len(s.lines) && k.kindOf(s).What != ""
}

func (k *text) kindOf(s sample) Kind {
	if k.kind == nil {
		return k.Kind
	}
	return k.kind(k.Kind, s)
}

func (s sample) count(pattern *lazyregexp.Regexp) (n int) {
	for _, line := range s.lines {
		if pattern.MatchString(line) {
			n++
		}
	}
	return n
}

var special = compile(`^[#;:]?\$(?:SOA|NS)\b`)

// notRbldnsd returns no kind for a file with the special lines of rbldnsd, which look like those of a zone file.
func notRbldnsd(k Kind, s sample) Kind {
	for _, line := range s.all {
		if special.MatchString(line) {
			return Kind{}
		}
	}
	return k
}

var (
	trieEntry = compile(`^!?(?:[0-9a-fA-F]{1,4}:[0-9a-fA-F]|::[0-9a-fA-F]|[0-9a-fA-F]{1,4}::)`)
	octets    = compile(`^!?\d{1,3}(?:[./-]|$)`)
	nameEntry = compile(`^!?\.?` + name + `(?:\s|$)`)
)

// dataSet tells the data sets of rbldnsd apart, by what most of the entries are.
func dataSet(k Kind, s sample) Kind {
	names, networks, addresses := s.count(nameEntry), s.count(trieEntry), s.count(octets)
	switch {
	case names+networks+addresses == 0:
		k.Formats = []string{"rbldnsd-ip4set", "rbldnsd-ip6trie", "rbldnsd-dnset"}
	case networks > max(names, addresses):
		k.Formats = []string{"rbldnsd-ip6trie"}
	case names > max(networks, addresses):
		k.Formats = []string{"rbldnsd-dnset"}
	}
	return k
}

var length = compile(`^[!\[]*` + prefix + `/|^[!\[]*` + host + `/\d|` + block)

// tableOf adds the formats of access tables where there is no prefix, which those cannot have.
func tableOf(k Kind, s sample) Kind {
	if s.count(length) == 0 {
		k.What, k.Formats = "a table of Postfix", []string{"postfix-cidr", "postfix-access", "postfix-access-exact", "sendmail-access"}
	}
	return k
}

var ownAttribute = compile(`\suntil=`)

// ownList returns no kind for a list file.
func ownList(k Kind, s sample) Kind {
	if s.count(ownAttribute) > 0 {
		return Kind{}
	}
	return k
}

var ownEntry = compile(`^!?(?:helo:|[^\s.]+(?:\.[^\s.]+)+(?:\s+#|$)|\.)|^(?i:ipv?[46]|deny|allow|permit|reject|block|accept|drop|add|route)[:=\s]\s*(?:from\s+)?\S+;?$`)

// ownNames returns no kind for a list file, and for one whose lines say of each word what it is.
func ownNames(k Kind, s sample) Kind {
	if s.count(ownEntry)*2 > len(s.lines) {
		return Kind{}
	}
	return k
}

var column = compile(`^"?` + prefix + `"?$`)

// csv returns the command for a table whose first line names the columns and whose second one has an address.
func csv(k Kind, s sample) Kind {
	if len(s.lines) < 2 || column.MatchString(firstColumn(s.lines[0])) {
		return Kind{}
	}
	for _, separator := range []string{",", ";", "\t"} {
		header, row := strings.Split(s.lines[0], separator), strings.Split(s.lines[1], separator)
		if len(header) < 2 || len(header) != len(row) {
			continue
		}
		if column.MatchString(strings.TrimSpace(row[0])) && column.MatchString(strings.TrimSpace(row[1])) {
			return twoAddresses
		}
		for i, cell := range row {
			if column.MatchString(strings.TrimSpace(cell)) && !column.MatchString(strings.TrimSpace(header[i])) {
				by := map[string]string{",": "-d,", ";": "-d';'", "\t": "-d'\t'"}[separator]
				k.Command = "grep -v '^#' FILE | tail -n +2 | cut " + by + " -f" + strconv.Itoa(i+1) + " | tr -d '\" \\r'"
				return k
			}
		}
	}
	return Kind{}
}

func firstColumn(line string) string {
	if at := strings.IndexAny(line, ",;\t"); at >= 0 {
		line = line[:at]
	}
	return strings.TrimSpace(line)
}
