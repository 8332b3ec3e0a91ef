package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
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

// EscapeJSON returns a JSON document with what is not visible in its strings escaped. Below U+0020 are only the spaces
// between values.
func EscapeJSON(doc []byte) []byte {
	hide := func(r rune) bool { return r >= 0x7f && !isVisible(r) }
	return []byte(escapeIf(string(doc), hide, func(b []byte, r rune) []byte {
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
		return b
	}))
}
