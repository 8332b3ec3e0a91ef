package milter

import (
	"strings"
	"testing"

	"ehlogate/lists"
)

// The version of TLS is reported once in a session, as soon as it is known.
func TestTLSVersions(t *testing.T) {
	const listed = "macros M {client_port} 4711"
	for what, tc := range map[string]struct {
		steps []string
		want  string
	}{
		"in the clear":                    {[]string{"connect x 192.0.2.9", "helo x", listed, "mail a@example", listed, "mail b@example"}, "none"},
		"no mail":                         {[]string{"connect x 192.0.2.9", "helo x"}, ""},
		"STARTTLS":                        {[]string{"connect x 192.0.2.9", "helo x", "macros H {tls_version} TLSv1", "helo x", listed + " {tls_version} TLSv1", "mail a@example"}, "TLSv1"},
		"STARTTLS, and no EHLO behind it": {[]string{"connect x 192.0.2.9", "helo x", listed + " {tls_version} TLSv1.3", "mail a@example"}, "TLSv1.3"},
		"no macro tells":                  {[]string{"connect x 192.0.2.9", "helo x", "mail a@example"}, ""},
		"submission":                      {[]string{"macros C {daemon_port} 587", "connect x 192.0.2.9", "helo x", listed + " {tls_version} TLSv1.3", "mail a@example"}, ""},
		"a login":                         {[]string{"connect x 192.0.2.9", "helo x", listed + " {tls_version} TLSv1.3 {auth_type} PLAIN", "mail a@example"}, ""},
		"two sessions on a connection": {[]string{"connect x 192.0.2.9", "helo x", listed + " {tls_version} TLSv1.1", "mail a@example",
			"macros C {daemon_port} 25", "connect x 192.0.2.9", "helo x", listed, "mail a@example"}, "TLSv1.1 none"},
	} {
		var r record
		var versions []string
		server := r.server(config)
		server.TLSVersion = func(v lists.TLSVersion, c lists.Client, _ lists.Decision) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if versions = append(versions, v.String()); c.Addr.String() != "192.0.2.9" {
				t.Errorf("%s: got client %s", what, c.Addr)
			}
		}
		s, end := start(t, server, all)
		sendPackets(t, s, tc.steps...)
		end()
		if got := strings.Join(versions, " "); got != tc.want {
			t.Errorf("%s: got %q, want %q", what, got, tc.want)
		}
	}
}
