package fallback

import "testing"

// The rules know classes by their names in the log's words.
func TestClassNames(t *testing.T) {
	for _, name := range []string{
		"lost-after-starttls", "no-mail-after-starttls", "accept-zero", "starttls-refused",
		"unsupported-protocol", "version-too-low", "unknown-protocol", "alert-protocol-version", "no-shared-cipher",
		"no-suitable-signature-algorithm", "alert-handshake-failure", "alert-insufficient-security",
	} {
		if _, ok := classByName[name]; !ok {
			t.Errorf("there is no class %s", name)
		}
	}
	if n := len(remedies); n != 8 {
		t.Errorf("%d classes that old TLS may help; want 8", n)
	}
}
