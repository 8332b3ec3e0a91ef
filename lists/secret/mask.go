package secret

import (
	"strings"

	"ehlogate/lists/lazyregexp"
)

// masked stands for a key.
const masked = "***"

const (
	// minKey is the least length of a key that has a digit, and minLetters that of one that may have none. Keys of DNS lists
	// have 26 (Spamhaus) or 32 characters (Abusix). The labels of public lists are shorter.
	minKey, minLetters = 16, 20
)

var uuid = lazyregexp.New(`^(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// looksLikeKey reports whether a word is long and mixed enough to be a key, and no word of a language. A word in which
// letters alone are upper and lower case is a name, such as RestrictAddressFamilies: domains are in lower case.
func looksLikeKey(word string) bool {
	isOther := func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' }
	isDigit := func(r rune) bool { return '0' <= r && r <= '9' }
	if strings.ContainsFunc(word, func(r rune) bool { return isOther(r) && !isDigit(r) }) {
		return uuid.MatchString(word)
	}
	if strings.ContainsFunc(word, isDigit) {
		return len(word) >= minKey
	}
	return len(word) >= minLetters && (strings.ToLower(word) == word || strings.ToUpper(word) == word)
}

// MaskDomain returns a domain with *** in place of each label that looks like a key. The last two stay: they are public.
func MaskDomain(domain string) string {
	labels := strings.Split(domain, ".")
	for i, l := range labels[:max(len(labels)-2, 0)] {
		if looksLikeKey(l) {
			labels[i] = masked
		}
	}
	return strings.Join(labels, ".")
}

var (
	word = lazyregexp.New(`[A-Za-z0-9_-]+`)
	// domain is a domain with at least three labels, and what is before it: one / makes it a part of a path.
	domain = lazyregexp.New(`(^|//|[^A-Za-z0-9_./-])([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2,})`)
	// aboutZones is what a line has that may be about zones, whatever is wrong with it: the word, or only values of an array.
	aboutZones = lazyregexp.New(`(?i)zon|dnsbl|dnswl|rbl|^\s*["'{]`)
	letter     = lazyregexp.New(`[A-Za-z]`)
	url        = lazyregexp.New(`[A-Za-z]://[^\s"'<>]+`)
)

// MaskText returns text with its domains as MaskDomain returns them, and with *** in place of each key in a URL. Paths stay
// as they are.
func MaskText(text string) string {
	text = url.ReplaceAllStringFunc(text, func(s string) string { return maskWords(s, func(string) string { return masked }) })
	return domain.ReplaceAllStringFunc(text, func(s string) string {
		at := strings.IndexFunc(s, isWordRune)
		return s[:at] + MaskDomain(s[at:])
	})
}

func isWordRune(r rune) bool { return word.MatchString(string(r)) }

// MaskLine returns a line of the config without keys. Since the key of a zone with a name can be short, it covers all labels
// but the last two of each domain in a line that may be about zones. Columns stay where they are.
func MaskLine(line string) string {
	if aboutZones.MatchString(line) {
		line = domain.ReplaceAllStringFunc(line, func(s string) string {
			if !letter.MatchString(s) { // an address
				return s
			}
			public := strings.LastIndexByte(s[:strings.LastIndexByte(s, '.')], '.')
			return word.ReplaceAllStringFunc(s[:public], coverWord) + s[public:]
		})
	}
	return maskWords(line, coverWord)
}

// maskWords returns text with mask of each word that looks like a key.
func maskWords(text string, mask func(string) string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if looksLikeKey(w) {
			return mask(w)
		}
		return w
	})
}

func coverWord(w string) string { return strings.Repeat("*", len(w)) }
