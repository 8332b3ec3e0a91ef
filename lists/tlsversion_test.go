package lists

import "testing"

func TestTLSVersions(t *testing.T) {
	for name, want := range map[string]TLSVersion{"": NoTLS, "TLSv1": TLS10, "TLSv1.0": TLS10, "none": OtherTLS, "TLSv1.4": OtherTLS, "\xff\n": OtherTLS} {
		if got := ParseTLSVersion(name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
	for v := range TLSVersionCount {
		if got := ParseTLSVersion([]byte(v.String())); got != v && v != NoTLS {
			t.Errorf("%s: got %s", v, got)
		}
		if old := v == SSL3 || v == TLS10 || v == TLS11; v.IsOld() != old {
			t.Errorf("%s is old: got %v", v, v.IsOld())
		}
	}
}
