package config

import (
	"strings"

	"ehlogate/lists/lazyregexp"
)

// repair is what to say about a line, or a value, that is a common mistake.
type repair struct {
	match *lazyregexp.Regexp
	msg   string // "": what the TOML library says
	hint  string
}

func newRepair(pattern, msg, hint string) repair {
	return repair{lazyregexp.New(pattern), msg, hint}
}

const isNotConfig = "; a config of ehlogate is TOML: see ehlogate.toml(5)"

// lineRepairs are for a line with an error of syntax. The first that matches counts.
var lineRepairs = []repair{
	// Another file.
	newRepair("^\x1f", "this is a gzip archive"+isNotConfig, "unpack it"),
	newRepair(`\x00`, "this is binary, or UTF-16 text", "save the file as UTF-8"),
	newRepair(`^(<<<<<<<|=======|>>>>>>>)`, "this is the mark of an unfinished merge", "choose one of the two versions, and remove the lines with <<<, === and >>>"),
	newRepair(`^\s*<[!?a-zA-Z]`, "this is HTML or XML"+isNotConfig, `begin comments with #, and write settings as in mode = "observe"`),
	newRepair(`^\s*\{`, "this is JSON"+isNotConfig, `write mode = "observe" in place of {"mode": "observe"}`),
	newRepair(`^---\s*$`, "this is YAML"+isNotConfig, `write mode = "observe" in place of mode: observe, and [listen] in place of listen:`),
	newRepair(`^(mynetworks|myhostname|mydestination|smtpd?_\w+)\s*=`, "this is a parameter of Postfix (main.cf)"+isNotConfig, "to check the configuration of Postfix, run ehlogate doctor"),
	newRepair(`^\S+\s+(inet|unix|fifo|pass)\s+[yn-]\s`, "this is a service of Postfix (master.cf)"+isNotConfig, "to check the configuration of Postfix, run ehlogate doctor"),
	newRepair(`^\s*!?(helo:\S+|\d+\.\d+\.\d+\.\d+\S*|[0-9a-fA-F]*:[0-9a-fA-F:]+\S*|[\w-]+(\.[\w-]+)+)(\s+[^=\s].*)?$`, "this is an entry of a list",
		`write entries into a file of their own, and its name into files = ["..."] of a [[list]]`),
	newRepair(`^(export|set)\s`, "this is a line of a shell script", `write the key alone, as in mode = "observe"`),
	// Characters.
	newRepair("[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb`]", "this quote is not the \" of TOML", `write "..." with straight quotes`),
	newRepair("[\u00a0\u2000-\u200f\u2028-\u202f\u2060\u3000\ufeff]", "invisible character that is no blank, as from a web page", "type the line anew"),
	newRepair("\r[^\r]", "carriage return within a line", "save the file with line ends of Unix"),
	// Comments, and what is around keys.
	newRepair(`^\s*(//|;|--|/\*)|["\d\]e]\s*(//|/\*|;\s*[^"\s])`, "", "begin comments with #"),
	newRepair(`^\s*(-\s+)?[\w.-]+\s*:\s*$`, "this is YAML"+isNotConfig, "write [listen] in place of listen:, and [[list]] for each list"),
	newRepair(`^\s*\[\[[^\]]*(\]\s*)?$|^\s*\[\[\w+\s+\S`, "", `write [[list]] alone in a line, and name = "..." below`),
	newRepair(`^\s*\[[^\]=]*$|^\s*[\w.]+\]\s*$`, "", "write the name of a section in brackets, as in [dns]"),
	newRepair(`^\s*[\w.-]+\s*(:=|==|:)`, "", `write = between a key and its value, as in mode = "observe"`),
	newRepair(`^\s*[\w.-]+\s*=\s*(#.*)?$`, "missing value", `write it in the same line, as in mode = "observe"`),
	newRepair(`^\s*[\w.-]+\s+[^=\s]|^\s*[\w"'-]+\s*$`, "", `write = between a key and its value, as in mode = "observe"`),
	// Values.
	newRepair(`=\s*-?\d+\s*(ns|us|ms|s|m|h|d|w)\b`, "a duration is a string", `write it in quotes, as in "300ms", "10s" or "7d"`),
	newRepair(`=\s*\d+,\d`, "", "write a number without commas: 1000000, or 0.5 with a point"),
	newRepair(`cpu_pressure\s*=\s*[\d.]+\s*%`, "", hintPressure),
	newRepair(`=\s*\+?[\d.]+[%a-zA-Z]`, "", "write a number alone, without a unit"),
	newRepair(`=\s*0\d`, "", "write the number without the zeros before it; a file mode is a string, as in \"0660\""),
	newRepair(`=\s*[+-]{2}`, "", "write a number with one sign at most"),
	newRepair(`"[^"]*\\`, `a \ in a string`, `write / in file names, or \\ for one \`),
	newRepair(`=\s*"[^"]*'?\s*$|=\s*'[^']*"?\s*$`, "string without its last quote", `write "..." with a quote at both ends`),
	newRepair(`\{\s*"[^"]*"\s*[,}]|\[\s*\[\s*\w+\s*=|\{\s*\w+\s*:`, "", `write {key = "value"} within braces, as in zones = [{zone = "DOMAIN"}]; for a list of strings write ["...", "..."]`),
	newRepair(`[=\[,{]\s*\d+\.\d+\.\d+`, "", `put addresses in quotes: "..."`),
	newRepair(`=\s*"[^"]*"\s*,\s*"`, "", `write several strings in brackets: ["...", "..."]`),
	newRepair(`=\s*("[^"]*"|\d+|true|false)\s*[,;]\s*$`, "", "remove the character after the value"),
	newRepair(`=\s*("[^"]*"|\d+|true|false)\s+\w+\s*=`, "", "write each key in a line of its own"),
	newRepair(`\{.*"[^"]*"\s+\w+\s*=`, "", "write a comma between the keys in braces"),
	newRepair(`=\s*\(`, "", `write brackets: ["...", "..."]`),
	newRepair(`=\s*\[.*["\d]\s*[;"]`, "", `write commas between strings: ["...", "..."]`),
}

// messageRepairs are for messages of the TOML library, where the line itself says no more.
var messageRepairs = []repair{
	newRepair(`^key \S+ is already defined`, "", "remove one of the two lines"),
	newRepair(`^array is incomplete|after array value`, "array without its last ]", `write ["...", "..."], with a comma between strings and ] at the end`),
	newRepair(`^cannot store an array table`, "this section is there once only, and is no list", "write its name in single brackets, as in [listen]; only [[list]] has two"),
	newRepair(`^(key|table) \S+ (should be a table|already exists as defined by a dotted key)`, "", "write all keys of the section below [section], or all of them with its name before them"),
	newRepair(`^strings must be quoted|at start of value`, "", `put strings in quotes: "..."`),
	newRepair(`invalid UTF-8`, "", "save the file as UTF-8"),
	newRepair(`.`, "", `write a key and its value, as in mode = "observe"`),
}

// fileRepairs are for names of files as a shell, a mail server or a download takes them.
var fileRepairs = []repair{
	newRepair(`^~`, "a ~ in a file name is not replaced", "write the whole path of the file, from / on"),
	newRepair(`\$\w|\$\{`, "variables in a file name are not replaced", "write the whole path of the file, from / on"),
	newRepair(`^file://`, "this is a URL", "write the path alone, from / on"),
	newRepair(`^\w+://`, "this is a URL: ehlogate downloads nothing", "download it, with a timer, and name the file"),
	newRepair(`^(cidr|hash|lmdb|btree|cdb|texthash|pcre|regexp|inline):`, "this is a table of Postfix with its type", `write the path of its source alone, and the format, such as format = "postfix-cidr"`),
	newRepair(`^\S+\.\w+,\s*\S`, "several files in one string", `write each in quotes: files = ["...", "..."]`),
	newRepair(`^\s|\s$`, "blank at the begin or end of a file name", "remove it"),
	newRepair(`^[A-Za-z]:[\\/]|^\\`, "this is a path of Windows", "write / in file names"),
	newRepair(`\*\*`, "** matches no directories below", "write a pattern for each directory: files = [\"*.list\", \"*/*.list\"]"),
	newRepair(`^!?\d+\.\d+\.\d+\.\d+(/\d+)?$|^[0-9a-fA-F]*::[0-9a-fA-F:]*(/\d+)?$`, "this is an address, and no file", "write the address into a file, and name the file"),
}

func findRepair(repairs []repair, text string) (repair, bool) {
	for _, r := range repairs {
		if r.match.MatchString(text) {
			return r, true
		}
	}
	return repair{}, false
}

// plainMessages replace the terms of the TOML library.
var plainMessages = []repair{
	newRepair(`^expected newline but got U\+\w+ ('.*')$`, "unexpected $1 after the value", ""),
	newRepair(`^expected newline but got (U\+\w+)$`, "unexpected character $1 after the value", ""),
	newRepair(`^expected '=' after key$`, "missing = after the key", ""),
	newRepair(`^invalid character at start of key: U\+\w+ ('.*')$`, "a line cannot begin with $1", ""),
	newRepair(`^expected keyword "nan"$`, "unexpected word at start of value", ""),
	newRepair(`^basic strings cannot have new lines$`, "string without its last quote", ""),
}

func simplifyMessage(msg string) string {
	if r, ok := findRepair(plainMessages, msg); ok {
		return r.match.ReplaceAllString(msg, r.msg)
	}
	return msg
}

// repairSyntax returns what to say about a line in which the TOML library found an error.
func repairSyntax(line, msg string) (plain, hint string) {
	r, ok := findRepair(lineRepairs, strings.TrimRight(line, "\r"))
	if !ok {
		r, _ = findRepair(messageRepairs, msg)
	}
	if r.msg != "" {
		return r.msg, r.hint
	}
	return simplifyMessage(msg), r.hint
}
