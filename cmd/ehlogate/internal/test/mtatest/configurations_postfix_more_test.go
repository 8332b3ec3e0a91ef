package mtatest_test

const (
	screened = "postscreen_access_list = static:dunno\npostscreen_greet_wait = 1s\npostscreen_bare_newline_enable = yes\npostscreen_cache_map =\n"
	policyAt = "check_policy_service { unix:ehlogate/policy, timeout=2s, try_limit=1, default_action=DUNNO }"
	milterAt = "{ unix:ehlogate/milter, default_action=accept, connect_timeout=2s, command_timeout=2s, content_timeout=2s }"
	sasl     = "cyrus_sasl_config_path = CONFIG\nsmtpd_sasl_security_options = noanonymous\n"
)

var saslFile = map[string]string{"smtpd.conf": "pwcheck_method: auxprop\nmech_list: PLAIN LOGIN\n"}

// serviceRows differ in the services.
var serviceRows = []postfixRow{
	{name: "postscreen, and the map behind it", main: "postscreen_access_list = permit_mynetworks, static:permit\n",
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "postscreen, and no map behind it", main: "postscreen_access_list = static:permit\n",
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n" + usualLogin},
	{name: "postscreen, and an empty map behind it", main: inMain + "postscreen_discard_ehlo_keyword_address_maps =\npostscreen_access_list = static:permit\n",
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd -o " + mapParam + "=\n10025 inet n - n - - smtpd\n" + "submission inet n - n - - smtpd -o " + mapParam + "=\n"},
	{name: "postscreen inherits the map, and answers EHLO", main: screened + inMain, tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\nsubmission inet n - n - - smtpd -o " + mapParam + "=\n"},
	{name: "postscreen has the map as its own, and answers EHLO", main: screened, tests: true,
		master: "smtp inet n - n - 1 postscreen -o postscreen_discard_ehlo_keyword_address_maps=" + memcacheMap + "\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "postscreen has an exported table, and answers EHLO", main: screened + "postscreen_discard_ehlo_keyword_address_maps = cidr:$config_directory/ehlogate.cidr\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin, files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "postscreen has no map, and answers EHLO", main: screened + "postscreen_discard_ehlo_keyword_address_maps =\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "the PROXY protocol", main: "smtpd_upstream_proxy_protocol = haproxy\n", master: usualMail + "submission inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=\n",
		mail: []port{{addr: "127.0.0.1:25", proxy: true}}},
	{name: "IPv6 alone, and the map at 127.0.0.1", main: "inet_protocols = ipv6\n", ipv6: true,
		table: "memcache = inet:127.0.0.1:10046\nkey_format = starttls:%s\n" + oneSecond + emptyBackup,
		mail:  []port{{addr: "[::1]:25"}}, login: []port{{addr: "[::1]:587"}}},
	{name: "IPv6 alone, and socketmap at 127.0.0.1", main: "inet_protocols = ipv6\n", ipv6: true,
		master: withMap("socketmap:inet:127.0.0.1:10041:starttls"),
		mail:   []port{{addr: "[::1]:25"}}, login: []port{{addr: "[::1]:587"}}},
	{name: "IPv6 alone, and the map at a socket file", main: "inet_protocols = ipv6\n", ipv6: true,
		mail: []port{{addr: "[::1]:25"}}, login: []port{{addr: "[::1]:587"}}},
	{name: "IPv4 alone, and the map at [::1]", main: "inet_protocols = ipv4\nmynetworks = 127.0.0.1/32\n",
		table: "memcache = inet:[::1]:10046\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
	{name: "a proxy filter before the queue", main: "smtpd_proxy_filter =\n",
		master: "smtp inet n - n - - smtpd MAP -o smtpd_proxy_filter=127.0.0.1:10025\n127.0.0.1:10025 inet n - n - - smtpd -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n" + usualLogin},
	{name: "smtps in wrapper mode with the map", master: usualMail + usualLogin + "smtps inet n - n - - smtpd MAP -o smtpd_tls_wrappermode=yes\n",
		login: []port{{addr: "127.0.0.1:587"}, {addr: "127.0.0.1:465", tls: true}}},
	{name: "smtps in wrapper mode inherits socketmap", main: mapParam + " = socketmap:inet:127.0.0.1:10041:starttls\n",
		master: plainMail + "submission inet n - n - - smtpd -o " + mapParam + "=\nsubmissions inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n",
		login:  []port{{addr: "127.0.0.1:587"}, {addr: "127.0.0.1:465", tls: true}}},
	{name: "wrapper mode on another port", master: usualMail + usualLogin + "2465 inet n - n - - smtpd MAP -o smtpd_tls_wrappermode=yes\n",
		login: []port{{addr: "127.0.0.1:587"}, {addr: "127.0.0.1:2465", tls: true}}},
	{name: "smtps in wrapper mode with the map by HELO name", helo: true, main: sasl, files: saslFile,
		master: usualMail + usualLogin + "smtps inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o { smtpd_command_filter = pipemap:{regexp:$config_directory/ehlogate-helo.regexp,memcache:$config_directory/ehlogate-helo.cf} }\n",
		login:  []port{{addr: "127.0.0.1:587"}, {addr: "127.0.0.1:465", tls: true}}},
	{name: "port 465 with STARTTLS, with the map", master: usualMail + usualLogin + "smtps inet n - n - - smtpd MAP\n",
		login: []port{{addr: "127.0.0.1:587"}, {addr: "127.0.0.1:465"}}},
	{name: "a second port for mail with the map", master: usualMail + "2525 inet n - n - - smtpd MAP\n" + usualLogin,
		mail: []port{{addr: "127.0.0.1:25"}, {addr: "127.0.0.1:2525"}}},
}

// tlsRows differ in TLS and logins.
var tlsRows = []postfixRow{
	{name: "TLS is required", main: "smtpd_tls_security_level = encrypt\n"},
	{name: "TLS is required on submission alone", master: usualMail + "submission inet n - n - - smtpd -o smtpd_tls_security_level=encrypt\n"},
	{name: "TLS is required by the old parameter", main: "smtpd_tls_security_level =\nsmtpd_use_tls = yes\nsmtpd_enforce_tls = yes\n"},
	{name: "TLS is off", main: "smtpd_tls_security_level = none\n"},
	{name: "logins on port 25", main: sasl, files: saslFile, master: "smtp inet n - n - - smtpd MAP -o smtpd_sasl_auth_enable=yes\n" + usualLogin},
	{name: "logins on port 25 under TLS alone", main: sasl, files: saslFile, master: "smtp inet n - n - - smtpd MAP -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes\n" + usualLogin},
	{name: "logins on port 25, AUTH always hidden", main: sasl, files: saslFile, config: "always_hide = [\"auth\"]",
		master: "smtp inet n - n - - smtpd MAP -o smtpd_sasl_auth_enable=yes -o smtpd_discard_ehlo_keywords=auth\n" + usualLogin},
	{name: "logins on submission alone", main: sasl, files: saslFile, master: usualMail + "submission inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes\n"},
}

// enforceRows have a list with action = "require", and differ in what enforces it.
var enforceRows = []postfixRow{
	{name: "require, and nothing enforces it", strict: true},
	{name: "require, by the policy service", strict: true, master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the milter", strict: true, master: "smtp inet n - n - - smtpd MAP -o { smtpd_milters = " + milterAt + " }\n" + usualLogin},
	{name: "require, by the milter, in non_smtpd_milters", strict: true, main: "non_smtpd_milters = " + milterAt + "\n"},
	{name: "require, by the milter, which port 25 sets to nothing", strict: true, main: "smtpd_milters = " + milterAt + "\n",
		master: "smtp inet n - n - - smtpd MAP -o smtpd_milters=\n" + usualLogin},
	{name: "require, by the milter, with receive_override_options = no_milters", strict: true, main: "smtpd_milters = " + milterAt + "\n",
		master: "smtp inet n - n - - smtpd MAP -o receive_override_options=no_milters\n" + usualLogin},
	{name: "require, by the milter, not for clients in smtpd_milter_maps", strict: true,
		main: "smtpd_milters = " + milterAt + "\nsmtpd_milter_maps = cidr:{ { 127.0.0.77 DISABLE } }\n"},
	{name: "require, by the milter, not for other clients in smtpd_milter_maps", strict: true,
		main: "smtpd_milters = " + milterAt + "\nsmtpd_milter_maps = cidr:{ { 127.0.0.200 DISABLE } }\n"},
	{name: "require, by the milter, for clients in smtpd_milter_maps alone", strict: true,
		main: "smtpd_milter_maps = cidr:{ { 127.0.0.77 " + milterAt + " } { 5.5.5.77 " + milterAt + " } { fd00::4d " + milterAt + " } }\n"},
	{name: "require, by the policy service, before HELO", strict: true, master: "smtp inet n - n - - smtpd MAP -o { smtpd_helo_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, before HELO, which is required", strict: true, main: "smtpd_helo_required = yes\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_helo_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, for clients, at once", strict: true, main: "smtpd_delay_reject = no\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_client_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, for clients", strict: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_client_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, behind a table that permits", strict: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_sender_access inline:{{a@client.example=OK}}, " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, behind permit_mynetworks, other networks", strict: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = permit_mynetworks, " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, behind permit_mynetworks, with the clients", strict: true, main: "mynetworks = 127.0.0.0/8\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = permit_mynetworks, " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, in a restriction class", strict: true, main: "smtpd_restriction_classes = ours\nours = " + policyAt + "\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_client_access static:ours }\n" + usualLogin},
	{name: "policy service with the defaults", master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_policy_service unix:ehlogate/policy }\n" + usualLogin},
	{name: "policy service with a long timeout", master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_policy_service { unix:ehlogate/policy, timeout=60s, default_action=DUNNO } }\n" + usualLogin},
	{name: "policy service at the port of the milter", strict: true, master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_policy_service { inet:127.0.0.1:10044, timeout=2s, try_limit=1, default_action=DUNNO } }\n" + usualLogin, advice: []string{"wrong-listener in smtpd_sender_restrictions"}},
	{name: "IPv6 alone, and the policy service at 127.0.0.1", strict: true, main: "inet_protocols = ipv6\n", ipv6: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_policy_service { inet:127.0.0.1:10043, timeout=2s, try_limit=1, default_action=DUNNO } }\n" + usualLogin,
		mail:   []port{{addr: "[::1]:25"}}, login: []port{{addr: "[::1]:587"}}, advice: []string{"address-family in smtpd_sender_restrictions"}},
	{name: "milter with the defaults", master: "smtp inet n - n - - smtpd MAP -o smtpd_milters=unix:ehlogate/milter\n" + usualLogin},
	{name: "milter with an attribute that lacks its value", master: "smtp inet n - n - - smtpd MAP -o { smtpd_milters = { unix:ehlogate/milter, default_action } }\n" + usualLogin},
}
