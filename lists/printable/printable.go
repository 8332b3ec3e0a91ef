// Package printable makes text safe to show that strangers wrote: names that clients have or claim, notes and lines of
// feeds, answers of DNS, replies of other programs. What is not visible could change what a terminal shows, reverse a line,
// or make two names look the same. It is escaped as in Go: \n, \x9b for an invalid byte, \u202e. Letters of all languages
// stay as they are.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s in one line, with what is not visible escaped. A backslash stays one: what is shown is for a reader, and
// is not parsed.
func Escape(s string) string { return EscapeExcept(s, "") }

// EscapeExcept is Escape, but leaves the ASCII characters in keep, such as a tab.
func EscapeExcept(s, keep string) string {
	return escapeIf(s, func(r rune) bool {
		return !isVisible(r) && (r > unicode.MaxASCII || strings.IndexByte(keep, byte(r)) < 0)
	}, appendEscape)
}

// EscapeASCII is Escape for a protocol that takes ASCII alone: all other characters are escaped too.
func EscapeASCII(s string) string {
	return escapeIf(s, func(r rune) bool { return r < ' ' || r >= 0x7f }, appendEscape)
}

// escapeIf returns s with each rune that hide is true for as escape appends it.
func escapeIf(s string, hide func(rune) bool, escape func([]byte, rune) []byte) string {
	var b []byte
	done := 0 // s[:done] is in b
	for at := 0; at < len(s); {
		r, n := utf8.DecodeRuneInString(s[at:])
		if isInvalid := r == utf8.RuneError && n == 1; isInvalid || hide(r) {
			b = append(b, s[done:at]...)
			if done = at + n; isInvalid {
				b = fmt.Appendf(b, `\x%02x`, s[at])
			} else {
				b = escape(b, r)
			}
		}
		at += n
	}
	if done == 0 {
		return s
	}
	return string(append(b, s[done:]...))
}

// appendEscape appends r as Go escapes it.
func appendEscape(b []byte, r rune) []byte {
	quoted := strconv.QuoteRuneToASCII(r)
	return append(b, quoted[1:len(quoted)-1]...)
}

// isVisible reports whether a reader sees r: as a letter, a mark on a letter, a number, a symbol, or as a space.
func isVisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f
	}
	return unicode.IsGraphic(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Shorten returns the first max bytes of s, or fewer, so as not to cut a character. What is missing shows as "...".
func Shorten(s string, max int) string {
	if len(s) <= max {
		return s
	}
	end := max - len("...")
	for end > 0 && max-end < 16 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
