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
	var out []byte
	done := 0 // doc[:done] is in out
	for at := 0; at < len(doc); {
		r, n := utf8.DecodeRune(doc[at:])
		if isHiddenInJSON(r) {
			out = append(out, doc[done:at]...)
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
			done = at + n
		}
		at += n
	}
	if done == 0 {
		return doc
	}
	return append(out, doc[done:]...)
}

// isHiddenInJSON reports whether r is not visible. Below U+0020 are only the spaces between values.
func isHiddenInJSON(r rune) bool { return r >= 0x7f && !isVisible(r) }
