package listfile

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"ehlogate/lists/lazyregexp"
)

// repair is a typical mistake in a line: what is wrong, and how the line is probably meant.
type repair struct {
	mistake *lazyregexp.Regexp // in the line without its note and the blanks around it
	msg     string             // what is wrong; "": the message of the parser says it
	write   string             // what takes the place of the mistake, with $1 and so on
	// rewrite is in place of write, and gets the match and its groups.
	rewrite func(groups []string) string
	hint    string // if the line cannot be repaired, as when there is neither write nor rewrite
}

const (
	address4 = `\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}`
	address  = `(?:` + address4 + `|[0-9a-fA-F]*:[0-9a-fA-F:.]*)`
	commands = `allow|deny|permit|reject|block|accept|drop|discard|pass|ok|relay|dunno|whitelist(?:ed)?|blacklist(?:ed)?`
	// alone leaves it open which list the entry belongs on: "allow" on a list that suppresses means the opposite of the entry.
	alone    = "write the entry alone, on a list for such clients: the action of a list is in the config"
	noRegexp = "list files have no regular expressions: write addresses, networks, host names, or .DOMAIN for all names below it"
)

// deleteIt is in place of what is written: a group that no pattern has, which is empty.
const deleteIt = "$9"

// repairs are applied in this order, one after the other, so that a line with two mistakes is repaired as well. A
// repaired line becomes a hint only if the parser takes it.
var repairs = []repair{
	// Characters that look like others.
	{lazyregexp.New(`[\x{200b}-\x{200f}\x{2060}\x{feff}]+`), "invisible character in the line", deleteIt, nil, ""},
	{lazyregexp.New(`[\x{a0}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]+`), "character that looks like a blank", " ", nil, ""},
	{lazyregexp.New(`[\x{2010}-\x{2015}\x{2212}\x{fe58}\x{fe63}\x{ff0d}]`), "dash that is not the - of ASCII", "-", nil, ""},
	{lazyregexp.New(`[\x{2018}-\x{201f}\x{ab}\x{bb}]`), "quotation mark", deleteIt, nil, ""},

	// Lines of other languages.
	{lazyregexp.New(`^(?://|;|--|%|/\*|(?i:rem|dnl)\s)\s*(.*)$`), "comment that does not begin with #", "# $1", nil, "begin comments with #"},
	{lazyregexp.New(`\s+(?://|;|--|%)\s*(.*)$`), "note that does not begin with #", " # $1", nil, "begin the note with #"},
	{lazyregexp.New(`^(!?)/?\^?((?:[A-Za-z0-9-]+\\\.)+[A-Za-z][A-Za-z0-9-]*)\$?(?:/[a-z]*)?$`), "regular expression", "", nameOf, noRegexp},
	{lazyregexp.New(`^(!?)/?\^?(?:\.[*+])?(\\\.(?:[A-Za-z0-9-]+\\\.)+[A-Za-z][A-Za-z0-9-]*)\$?(?:/[a-z]*)?$`), "regular expression", "", nameOf, noRegexp},
	{lazyregexp.New(`^\S*\\\.\S*$`), "regular expression", "", nil, noRegexp},
	{lazyregexp.New(`^!?/\S*[^0-9]$|\\[.dDwWsSb]|^\^|\$$|\[[0-9a-zA-Z]-[0-9a-zA-Z]\]|\(\S*\|\S*\)`), "regular expression", "", nil, noRegexp},
	{lazyregexp.New(`(?i)^[$@.]?include\b.*$`), "list files cannot include others", "", nil, "name all files of a list in the config: files = [...]"},
	{lazyregexp.New(`^[+?~-]?(?:include|exists|ptr|mx|a|redirect)[:=][^:]*\.[A-Za-z]\S*$`), "mechanism of SPF (RFC 7208)", "", nil, "write the addresses that it stands for"},
	{lazyregexp.New(`(?i)^AS\d+$`), "number of an autonomous system, which matches no client", "", nil, "write the networks that it announces"},
	{lazyregexp.New(`(?i)^!?(?:all|any|everyone|default|\*)$`), "this matches no client", "", nil, "for clients that are on no list, set default in the config"},
	{lazyregexp.New(`(?i)^!?(?:unknown|known|paranoid|none)$`), "this matches no client", "", nil, "write names that clients have; no entry is about clients without a verified name"},
	{lazyregexp.New(`^!?(?i:` + commands + `)(?:[:=\s]|$)`), "command before the entry", "", nil, alone},
	{lazyregexp.New(`^\S+\s+(?:[=:]\s*)?(?i:` + commands + `)\b`), "command after the entry", "", nil, alone},
	{lazyregexp.New(`^(?i:add|route)[:=\s]\s*(?:from\s+)?(\S.*)$`), "command before the entry", "$1", nil, "write the entry alone: the action of the list is in the config"},
	{lazyregexp.New(`^\S+\s.*(?i:\b(?:except|excluding|not|but|without)\s+|!\s*)\S*[0-9A-Za-z][.:]`), "exception behind an entry", "", nil, "write one entry a line, and ! before each exception"},
	{lazyregexp.New(`^(?i:not|except|exclude)\s+(\S+)$|^-([^-\s]\S*)$`), "exceptions begin with !", "!$1$2", nil, ""},
	{lazyregexp.New(`^!\s+|^!!+`), "", "!", nil, ""},

	// What stands around an entry.
	{lazyregexp.New(`[,;]+$`), "comma or semicolon at the end of the line", deleteIt, nil, ""},
	{lazyregexp.New(`^(!?)(["'<({` + "`" + `]+)([^"'<>(){}` + "`" + `\s]+)["'>)}` + "`" + `]+$`), "quotation marks or brackets around the entry", "$1$3", nil, ""},
	{lazyregexp.New(`^(?i:smtps?|https?|ftp)://([^/:?#\s]+)\S*$`), "URL", "$1", nil, "write the host name or the address alone"},
	{lazyregexp.New(`^(!?)\[([^\][\s]+)\](?::\d+)?$`), "address in brackets", "$1$2", nil, ""},
	{lazyregexp.New(`^(!?)[+?~-]?(?i:ipv?[46]|ip|addr|address|host|hostname|net|network|cidr|connect|from|client|src|inet6?|dns)[:=]\s*(\S+)$`), "prefix of another program before the entry", "$1$2", nil, ""},
	{lazyregexp.New(`^(!?` + address4 + `|[^:\s]*[A-Za-z][^:\s]*):\d+$`), "port after the entry", "$1", nil, ""},

	// HELO names.
	{lazyregexp.New(`^(?i:helo|ehlo|hello)(?:\s*[:=]\s*|\s+)(\S+)$`), "", "helo:$1", nil, ""},
	{lazyregexp.New(`^helo:\*([A-Za-z0-9])`), "", "helo:*.$1", nil, ""},
	{lazyregexp.New(`^(helo:)["'<]+|["'>,;]+$`), "", "$1", nil, ""},

	// After an entry.
	{lazyregexp.New(`\s+(?i:until|expires?|expiry)\s*[:=]?\s*(\d\S*)$`), "", " until=$1", nil, ""},
	{lazyregexp.New(`until=(\d{4})[/.](\d\d)[/.](\d\d)$`), "", "until=$1-$2-$3", nil, ""},
	{lazyregexp.New(`until=(\d\d)\.(\d\d)\.(\d{4})$`), "", "until=$3-$2-$1", nil, ""},
	{lazyregexp.New(`(until=\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?Z?$`), "", "", withTime, ""},

	// Networks and ranges.
	{lazyregexp.New(`^\S+/\d+-\S+/\d+$`), "range of prefixes", "", nil, "write each prefix in a line of its own, or a range without lengths: FIRST-LAST"},
	{lazyregexp.New(`^(!?` + address4 + `)(?:\s+(?:net)?mask\s+|\s*[/,;]\s*|\s+)(` + address4 + `)$`), "", "", withLength, ""},
	{lazyregexp.New(`^(!?` + address + `)\s*(?:-|\.\.+|\bto\b)\s*(` + address + `)$`), "", "$1-$2", nil, ""},
	{lazyregexp.New(`^(!?)((?:\d{1,3}\.){3})(\d{1,3})\s*-\s*(\d{1,3})$`), "", "$1$2$3-$2$4", nil, ""},
	{lazyregexp.New(`^(\S+?)\s*[/\\]\s*(\d+)/?$`), "", "$1/$2", nil, ""},
	{lazyregexp.New(`/0+(\d)`), "", "/$1", nil, ""},
	{lazyregexp.New(`^!?/\d+$`), "prefix length without an address", "", nil, "write ADDRESS/LENGTH"},
	{lazyregexp.New(`^(!?\d+),(\d+),(\d+),(\d+)$`), "commas in an address", "$1.$2.$3.$4", nil, ""},
	{lazyregexp.New(`^(!?)(\d{1,3}(?:\.\d{1,3}){0,2})(?:\.[*xX])+$`), "wildcard in an address", "", withZeros, "write the network with its length: ADDRESS/LENGTH"},
	{lazyregexp.New(`^(!?)(\d{1,3}(?:\.\d{1,3}){1,2})\.?(/\d+)?$|^(!?)(\d{1,3})(/\d+|\.)$`), "incomplete address", "", withZeros, "write the network with its length: ADDRESS/LENGTH"},
	{lazyregexp.New(`^(!?` + address4 + `)\.$`), "dot at the end of an address", "$1", nil, ""},
	{lazyregexp.New(`^!?[0-9./-]+$`), "", "", withoutLeadingZeros, ""},
	{lazyregexp.New(`:::+`), "", "::", nil, ""},
	{lazyregexp.New(`^(!?)([0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){1,6}):?(/\d+)?$`), "incomplete address", "", withGroups, ""},

	// Names.
	{lazyregexp.New(`^(!?)(?:\.\*|\*)\.`), "", "$1.", nil, ""},
	{lazyregexp.New(`^(!?)\*([A-Za-z0-9])`), "wildcard in a host name", "$1.$2", nil, ""},
	{lazyregexp.New(`^\S*[^\x00-\x7f]\S*$`), "", "", withALabels, ""},
}

// nameOf returns the name that a regular expression matches, or with a dot before it all names below a domain.
func nameOf(groups []string) string { return groups[1] + strings.ReplaceAll(groups[2], `\`, "") }

// withLength returns an address with the prefix length of the mask behind it. A mask may also be written as its
// complement, as in the access lists of routers.
func withLength(groups []string) string {
	bits, ok := ParseMask(groups[2])
	if a, err := netip.ParseAddr(groups[2]); !ok && err == nil {
		mask := a.As4()
		bits, ok = ParseMask(netip.AddrFrom4([4]byte{^mask[0], ^mask[1], ^mask[2], ^mask[3]}).String())
	}
	if !ok {
		return groups[0]
	}
	return groups[1] + "/" + strconv.Itoa(bits)
}

// withZeros returns the network of an address whose last octets are missing.
func withZeros(groups []string) string {
	sign, octets, length := groups[1], groups[2], ""
	if len(groups) > 3 {
		if length = groups[3]; octets == "" {
			sign, octets, length = groups[4], groups[5], groups[6]
		}
	}
	n := strings.Count(octets, ".") + 1
	if length = strings.TrimSuffix(length, "."); length == "" {
		length = "/" + strconv.Itoa(8*n)
	}
	return sign + octets + strings.Repeat(".0", 4-n) + length
}

// withGroups returns the network of an IPv6 address whose last groups are missing.
func withGroups(groups []string) string {
	length := "/" + strconv.Itoa(16*(strings.Count(groups[2], ":")+1))
	return groups[1] + groups[2] + "::" + cmp.Or(groups[3], length)
}

var leadingZeros = lazyregexp.New(`(^!?|[.-])0+(\d)`)

// withoutLeadingZeros returns addresses whose numbers are padded as they are written.
func withoutLeadingZeros(groups []string) string {
	return leadingZeros.ReplaceAllString(groups[0], "$1$2")
}

// withALabels returns a name as DNS has it (RFC 5890).
func withALabels(groups []string) string {
	prefix, name := "", groups[0]
	for _, p := range []string{"!", "helo:", "*", "."} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			prefix, name = prefix+p, rest
		}
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return groups[0]
	}
	return prefix + ascii
}

// withTime returns until= with an RFC 3339 time.
func withTime(groups []string) string {
	return groups[1] + "T" + groups[2] + cmp.Or(groups[3], ":00") + "Z"
}
