package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteJSON writes v as JSON with indents. What is not visible is escaped, as JSON escapes: a terminal shows it safely, and
// the values stay the same for a program that reads them.
func WriteJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(EscapeJSON(b.Bytes()))
	return err
}

// EscapeJSON returns a JSON document with what is not visible in its strings escaped.
func EscapeJSON(doc []byte) []byte {
	clean := bytes.IndexFunc(doc, isHiddenInJSON)
	if clean < 0 {
		return doc
	}
	out := append(make([]byte, 0, len(doc)+64), doc[:clean]...)
	for rest := doc[clean:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case !isHiddenInJSON(r):
			out = append(out, rest[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	return out
}

// isHiddenInJSON reports whether r is not visible. Below U+0020 are only the spaces between values.
func isHiddenInJSON(r rune) bool { return r >= 0x7f && !isVisible(r) }
