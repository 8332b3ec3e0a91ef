// Package secret has text that must not be shown as a whole, such as the name of a paid DNS list, which has the key of its
// customer in it.
package secret

import (
	"fmt"
	"unique"
)

// Text is a secret, and what is shown in its place. It cannot be printed: all verbs of package fmt, and JSON, have what is
// shown, and if Text is in a field that fmt must not call, fmt prints a pointer. Two Texts are equal (==) if both the
// secret and what is shown are.
type Text struct {
	value unique.Handle[string] // a string would be printed from within a struct that hides its fields
	shown string
}

var (
	_ fmt.Formatter = Text{}
	_ fmt.Stringer  = Text{}
)

// New returns a secret that is shown as shown.
func New(value, shown string) Text { return Text{unique.Make(value), shown} }

// Reveal returns the secret. It is for the one place that cannot do without; TestReveal names it.
func (t Text) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.value.Value()
}

// IsZero reports whether there is no secret.
func (t Text) IsZero() bool { return t == Text{} }

// HasSameSecret reports whether both have the same secret, whatever is shown for it.
func (t Text) HasSameSecret(o Text) bool { return t.value == o.value }

// String returns what is shown.
func (t Text) String() string { return t.shown }

// Format implements fmt.Formatter: every verb, %#v and %x among them, formats what is shown.
func (t Text) Format(f fmt.State, verb rune) { fmt.Fprintf(f, fmt.FormatString(f, verb), t.shown) }

// MarshalText returns what is shown; it never fails.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.shown), nil }

// UnmarshalText implements encoding.TextUnmarshaler for programs that read what MarshalText wrote: t is what was shown, and
// no secret.
func (t *Text) UnmarshalText(shown []byte) error {
	*t = New(string(shown), string(shown))
	return nil
}
