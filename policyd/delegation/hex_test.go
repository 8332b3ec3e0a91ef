package delegation

import (
	"strconv"
	"testing"
)

// A number is read as strconv.ParseUint reads it: each byte by itself and behind others, and as many digits as fit.
func TestParseHex(t *testing.T) {
	texts := []string{"", "0000000000000000f", "ffffffffffffffff", "10000000000000000", "0x1", "1_0", "+1"}
	for c := range 256 {
		texts = append(texts, string([]byte{byte(c)}), string([]byte{'1', byte(c)}))
	}
	for _, text := range texts {
		want, err := strconv.ParseUint(text, 16, 64)
		if got, ok := parseHex([]byte(text)); ok != (err == nil) || ok && got != want {
			t.Errorf("%q: got %d, %v, want %d, %v", text, got, ok, want, err)
		}
	}
}
