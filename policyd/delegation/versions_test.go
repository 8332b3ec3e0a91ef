package delegation

import (
	"slices"
	"strings"
	"testing"

	"ehlogate/lists"
)

// The version of TLS is reported once in a session, as soon as it is known.
func TestTLSVersions(t *testing.T) {
	for what, tc := range map[string]struct {
		requests []string // STATE PORT [VERSION [ATTRIBUTE]]
		want     string
	}{
		"in the clear":                        {[]string{"CONNECT 1", "EHLO 1", "MAIL 1", "RCPT 1"}, "none"},
		"no mail":                             {[]string{"CONNECT 1", "EHLO 1", "VRFY 1"}, ""},
		"STARTTLS":                            {[]string{"CONNECT 1", "EHLO 1", "EHLO 1 TLSv1", "MAIL 1 TLSv1", "RCPT 1 TLSv1"}, "TLSv1"},
		"STARTTLS, and no EHLO behind it":     {[]string{"MAIL 1 TLSv1.3"}, "TLSv1.3"},
		"two sessions":                        {[]string{"MAIL 1 TLSv1.1", "MAIL 2 TLSv1.2", "RCPT 2 TLSv1.2"}, "TLSv1.1 TLSv1.2"},
		"a version that is not known yet":     {[]string{"MAIL 1 TLSv1.9"}, "other"},
		"submission":                          {[]string{"MAIL 1 TLSv1.3 server_port=587", "MAIL 2 TLSv1.3 sasl_username=a"}, ""},
		"a version that changes in a session": {[]string{"MAIL 1 TLSv1.2", "RCPT 1 TLSv1.3"}, "TLSv1.2"},
	} {
		var outcomes, faults, versions []string
		s := server(DefaultActions(), &outcomes, &faults)
		s.TLSVersion = func(v lists.TLSVersion, c lists.Client, _ lists.Decision) {
			if versions = append(versions, v.String()); c.Addr.String() != "192.0.2.1" {
				t.Errorf("%s: got client %s", what, c.Addr)
			}
		}
		c := s.Connection()
		for _, r := range tc.requests {
			word := append(strings.Fields(r), "")
			more := append([]string{"protocol_state=" + word[0], "client_port=" + word[1], "encryption_protocol=" + word[2]}, slices.DeleteFunc(word[min(3, len(word)):], func(w string) bool { return w == "" })...)
			if _, _, err := c.Answer(t.Context(), []byte(fullRequest(more...)), nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(versions, " "); got != tc.want {
			t.Errorf("%s: got %q, want %q", what, got, tc.want)
		}
	}
}
