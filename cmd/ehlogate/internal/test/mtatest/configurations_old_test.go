package mtatest_test

// The parts of rows with a legacy list. The clients of a row are on loopback, whose packets pass output and not prerouting.
const (
	strictTLS = "smtpd_tls_protocols = >=TLSv1.2\nsmtpd_tls_mandatory_protocols = >=TLSv1.2\n"
	second    = "10026 inet n - n - - smtpd"
	redirects = "table inet t {\n chain c {\n type nat hook output priority -100\n ip saddr 127.0.0.80 tcp dport 25 dnat to :10026\n }\n}\n"
)

// oldRows are configurations of Postfix with a legacy list.
var oldRows = []postfixRow{
	{name: "old TLS for one client", old: true, main: strictTLS, master: usualMaster + second + " -o smtpd_tls_protocols=>=TLSv1\n", rules: redirects},
	{name: "old TLS for one client, versions by name", old: true, main: "smtpd_tls_protocols = TLSv1.2, TLSv1.3\n",
		master: usualMaster + second + " -o { smtpd_tls_protocols = !SSLv2, !SSLv3 }\n", rules: redirects},
	{name: "old TLS for all", old: true, master: usualMaster + second + " -o smtpd_tls_protocols=>=TLSv1\n", rules: redirects},
	{name: "old TLS, and no service", old: true, main: strictTLS},
	{name: "old TLS, and no redirect", old: true, main: strictTLS, master: usualMaster + second + " -o smtpd_tls_protocols=>=TLSv1\n"},
	{name: "old TLS, a redirect of another port", old: true, main: strictTLS, master: usualMaster + second + " -o smtpd_tls_protocols=>=TLSv1\n",
		rules: "table inet t {\n chain c {\n type nat hook output priority -100\n ip saddr 127.0.0.80 tcp dport 26 redirect to :10026\n }\n}\n"},
	{name: "old TLS, a redirect to no service", old: true, main: strictTLS, rules: redirects},
	{name: "old TLS, the service has the versions of main.cf", old: true, main: strictTLS, master: usualMaster + second + "\n", rules: redirects},
	{name: "old TLS, the service excludes it", old: true, main: strictTLS, master: usualMaster + second + " -o { smtpd_tls_protocols = !SSLv3, !TLSv1 }\n", rules: redirects},
}

// oldEximRows are configurations of Exim with a legacy list. OLDTLS stands for examples/legacy-tls/exim.conf.
var oldEximRows = []eximRow{
	{name: "old TLS for one client", old: true, main: "EXAMPLEOLDTLS"},
	{name: "old TLS for one client, submission", old: true, main: "EXAMPLEOLDTLS" + ports},
	{name: "old TLS for all", old: true, main: "EXAMPLE"},
	{name: "old TLS for no client", old: true, main: "EXAMPLE" + "tls_require_ciphers = NORMAL:-VERS-TLS1.0:-VERS-TLS1.1\n"},
	{name: "old TLS, switched off in GnuTLS", old: true, main: "EXAMPLEOLDTLS", etc: map[string]string{"gnutls/config": "[overrides]\ndisabled-version = tls1.0\n"}},
}

// oldSendmailRows are configurations of Sendmail with a legacy list. OLDTLS stands for examples/legacy-tls/sendmail.mc.
var oldSendmailRows = []struct {
	sendmailRow
	etc map[string]string
}{
	{sendmailRow{name: "old TLS for one client", mc: "EXAMPLEOLDTLS"}, nil},
	{sendmailRow{name: "old TLS for no client", mc: "EXAMPLE"}, nil},
	{sendmailRow{name: "old TLS, and another ruleset", features: "FEATURE(`access_db', `hash -T<TMPF> -o /nonexistent/access')dnl\nFEATURE(`tls_session_features')dnl\n", mc: "EXAMPLEOLDTLS"}, nil},
	{sendmailRow{name: "old TLS, switched off by an option", mc: "LOCAL_CONFIG\nO ServerSSLOptions=+SSL_OP_NO_TLSv1\nEXAMPLEOLDTLS"}, nil},
	{sendmailRow{name: "old TLS, switched off in OpenSSL", mc: "EXAMPLEOLDTLS"}, opensslDefaults("MinProtocol = TLSv1.2")},
}
