package doctor

import "testing"

// The values are those of postconf(5), and of TestConfigurations, which has real servers.
func TestIncludesTLS10(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, ">=TLSv1": true, ">=SSLv3": true, ">= TLSv1": true, ">=0301": true, ">=0300, <=0303": true, "!SSLv2, !SSLv3": true,
		"TLSv1": true, "TLSv1.2 TLSv1": true, "tlsv1:TLSv1.1": true, "!TLSv1.1": true, "<=TLSv1": true,
		">=TLSv1.1": false, ">=TLSv1.2, <=TLSv1.3": false, ">=0302": false, "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1": false, "TLSv1.2, TLSv1.3": false,
		"!tlsv1": false, "<=SSLv3": false, "TLSv1, !TLSv1": false,
	} {
		if got := includesTLS10(value); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func FuzzParseSections(f *testing.F) {
	f.Add("[overrides]\ndisabled-version = tls1.0\n")
	f.Add("openssl_conf = a\n[ a ]\nssl_conf = b # c\n[b\n= x\n[]\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseSections(text) {
			if len(s.key)+len(s.value) > len(text) {
				t.Errorf("%q: got %+v", text, s)
			}
		}
	})
}
