package mtatest_test

// dsnReadmeFile is the table that DSN_README of Postfix has as an example.
var dsnReadmeFile = map[string]string{"esmtp": "192.168.0.0/28 silent-discard\n0.0.0.0/0 silent-discard, dsn\n::/0 silent-discard, dsn\n"}

// accessRows differ in which users may connect to the sockets of ehlogate.
var accessRows = []postfixRow{
	{name: "a socket for root alone", access: "socket_mode = \"0600\"\n"},
	{name: "a socket of another group", access: "socket_group = \"root\"\n"},
	{name: "socketmap at a socket for root alone", access: "socket_mode = \"0600\"\n", master: "smtp inet n - n - - smtpd -o { " + mapParam + " = socketmap:unix:ehlogate/socketmap:starttls }\n" + usualLogin},
	{name: "require, by the policy service at a socket for root alone", strict: true, access: "socket_mode = \"0600\"\n", table: "memcache = inet:127.0.0.1:10046\nkey_format = starttls:%s\n" + oneSecond + emptyBackup,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the milter at a socket for root alone", strict: true, access: "socket_mode = \"0600\"\n", table: "memcache = inet:127.0.0.1:10046\nkey_format = starttls:%s\n" + oneSecond + emptyBackup,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_milters = " + milterAt + " }\n" + usualLogin},
}

// answerRows differ in what becomes of the answer of ehlogate: in the file of the map, or beside other tables.
var answerRows = []postfixRow{
	{name: "the parameters of the map are in main.cf", main: "gate_memcache = unix:ehlogate/memcache\ngate_key_format = starttls:%s\ngate_max_try = 1\ngate_timeout = 1\ngate_backup = cidr:/dev/null\n", master: withMap("memcache:gate")},
	{name: "the parameters of the map are in main.cf, no backup", main: "gate_memcache = unix:ehlogate/memcache\ngate_key_format = starttls:%s\ngate_max_try = 1\ngate_timeout = 1\n", master: withMap("memcache:gate")},
	{name: "the parameters of the map are in master.cf", master: "smtp inet n - n - - smtpd -o gate_memcache=unix:ehlogate/memcache -o gate_key_format=starttls:%s -o gate_max_try=1 -o gate_timeout=1 -o gate_backup=cidr:/dev/null -o " + mapParam + "=memcache:gate\n" + usualLogin},
	{name: "the map is for a domain alone", table: "memcache = unix:ehlogate/memcache\nkey_format = starttls:%s\ndomain = example.org\n" + oneSecond + emptyBackup},
	{name: "line_size_limit is too short", table: memcacheFile(oneSecond + "line_size_limit = 10\n" + emptyBackup)},
	{name: "data_size_limit is too short", table: memcacheFile(oneSecond + "data_size_limit = 4\n" + emptyBackup)},
	{name: "retry_pause = 5, max_try = 2", table: memcacheFile("max_try = 2\ntimeout = 1\nretry_pause = 5\n" + emptyBackup)},
	{name: "the map in an expression on compatibility_level", master: withMap("${{$compatibility_level} >=level {1} ? {" + memcacheMap + "} : {}}")},
	{name: "the map in a condition on service_name", main: mapParam + " = ${{$service_name} == {smtp} ? {" + memcacheMap + "} : {}}\n", master: plainMail + usualLogin},
	{name: "the map in braces", master: withMap("{" + memcacheMap + "}")},
	{name: "the map named with $(config_directory)", master: withMap("memcache:$(config_directory)/ehlogate.cf")},
	{name: "the map through nested parameters", main: "dir = $config_directory\nname = ehlogate\na = memcache:$dir/${name}.cf\nb = $a\nc = ${b}, \nwhole = $c\n", master: withMap("$whole")},
	{name: "pipemap whose first table has other clients", master: withMap("pipemap:{cidr:{ { 127.0.0.200 127.0.0.66 } }, " + memcacheMap + "}")},
	{name: "a table that always fails", master: withMap(memcacheMap + ", fail:all")},
	{name: "an own cidr table that hides STARTTLS from all", master: withMap(memcacheMap + ", cidr:$config_directory/own"), files: map[string]string{"own": "0.0.0.0/0 starttls\n::/0 starttls\n"}},
	{name: "an own table that hides STARTTLS from an allowed client, before the map", master: withMap("cidr:{ { 127.0.0.70 starttls } }, " + memcacheMap)},
	{name: "an own table that hides STARTTLS from an allowed client, behind the map", master: withMap(memcacheMap + ", cidr:{ { 127.0.0.70 starttls } }")},
	{name: "an own table that hides STARTTLS from an allowed client, in a unionmap", config: "explicit_offer = true", master: withMap("unionmap:{" + memcacheMap + ", cidr:{ { 127.0.0.70 starttls } }}")},
	{name: "the table of DSN_README behind the map", master: withMap(memcacheMap + ", cidr:$config_directory/esmtp"), files: dsnReadmeFile},
	{name: "a unionmap that hides DSN behind the map", master: withMap(memcacheMap + ", unionmap:{static:dsn}")},
	{name: "the table of DSN_README in a unionmap", master: withMap("unionmap:{" + memcacheMap + ", cidr:$config_directory/esmtp}"), files: dsnReadmeFile},
	{name: "the table of DSN_README before the map", master: withMap("cidr:$config_directory/esmtp, " + memcacheMap), files: dsnReadmeFile},
	{name: "the table of DSN_README behind the map, and always_hide", config: "always_hide = [\"dsn\"]", master: withMap(memcacheMap + ", cidr:$config_directory/esmtp"), files: dsnReadmeFile},
	{name: "an old export behind the map", master: withMap(memcacheMap + ", cidr:$config_directory/ehlogate.cidr"), files: map[string]string{"ehlogate.cidr": "OLD EXPORT"}},
	{name: "a backup that hides CHUNKING", table: memcacheFile(oneSecond + "backup = static:chunking\n")},
	{name: "a backup that hides CHUNKING, and always_hide", config: "always_hide = [\"chunking\"]", table: memcacheFile(oneSecond + "backup = static:chunking\n")},
	{name: "a texthash table before the map", master: withMap("texthash:$config_directory/own, " + memcacheMap), files: map[string]string{"own": "127.0.0.66 silent-discard\n127.0.0.64 silent-discard\n"}},
	{name: "a unionmap behind proxy:", main: mapParam + " = proxy:unionmap:{" + memcacheMap + ",static:silent-discard}\n", master: plainMail + "submission inet n - n - - smtpd -o " + mapParam + "=\n", advice: []string{"proxy-waits"}},
	{name: "two services with other keywords", main: "smtpd_discard_ehlo_keywords = chunking\n", config: "always_hide = [\"chunking\"]",
		master: usualMail + "2525 inet n - n - - smtpd MAP -o smtpd_discard_ehlo_keywords=\n" + usualLogin, mail: []port{{addr: "127.0.0.1:25"}, {addr: "127.0.0.1:2525"}}},
	{name: "port 25 by number, IPv6 on loopback without the map", master: "[::1]:25 inet n - n - - smtpd\n127.0.0.1:25 inet n - n - - smtpd MAP\n" + usualLogin},
}

// screenRows have a postscreen that answers EHLO itself.
var screenRows = []postfixRow{
	{name: "postscreen answers EHLO without TLS", main: screened + "postscreen_discard_ehlo_keyword_address_maps =\npostscreen_tls_security_level = none\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "postscreen hides STARTTLS from all", main: screened + "postscreen_discard_ehlo_keyword_address_maps =\npostscreen_discard_ehlo_keywords = starttls\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "postscreen has a table without the clients", main: screened + "postscreen_discard_ehlo_keyword_address_maps = cidr:{ { 127.0.0.98 dsn } }\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "postscreen has an own table with the clients", main: screened + "postscreen_discard_ehlo_keyword_address_maps = cidr:{ { 127.0.0.64/30 starttls } }\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin},
	{name: "postscreen has an old export", main: screened + "postscreen_discard_ehlo_keyword_address_maps = cidr:$config_directory/ehlogate.cidr\n", tests: true,
		master: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd MAP\n" + usualLogin, files: map[string]string{"ehlogate.cidr": "OLD EXPORT"}},
}

// classRows have a list with action = "require", and differ in when Postfix queries what enforces it.
var classRows = []postfixRow{
	{name: "require, by the policy service, in a restriction class that is not used", strict: true, main: "smtpd_restriction_classes = ours\nours = " + policyAt + "\n"},
	{name: "require, by the policy service, in a restriction class for one sender", strict: true, main: "smtpd_restriction_classes = ours\nours = " + policyAt + "\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_sender_access inline:{{x@other.example=ours}} }\n" + usualLogin},
	{name: "require, by the policy service, in a restriction class that a file names for other clients", strict: true, main: "smtpd_restriction_classes = ours\nours = " + policyAt + "\n", files: map[string]string{"from": "127.0.0.99 ours\n"},
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = check_client_access cidr:$config_directory/from }\n" + usualLogin},
	{name: "require, by the policy service, behind a restriction class that permits", strict: true, main: "smtpd_restriction_classes = fine\nfine = permit\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = fine, " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, in nested restriction classes", strict: true, main: "smtpd_restriction_classes = outer inner\nouter = inner\ninner = " + policyAt + "\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = outer }\n" + usualLogin},
	{name: "require, by the policy service, behind warn_if_reject", strict: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = warn_if_reject " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, at DATA", strict: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_data_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, after DATA", strict: true,
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_end_of_data_restrictions = " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, last of the relay restrictions", strict: true, main: "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination, " + policyAt + "\n"},
	{name: "require, by the policy service, behind permit_auth_destination", strict: true, main: "smtpd_recipient_restrictions = permit_mynetworks, permit_auth_destination, " + policyAt + "\n"},
	{name: "require, by the policy service, behind permit_mynetworks, other networks in a table", strict: true, main: "mynetworks = 127.0.0.1/32, cidr:$config_directory/nets\n", files: map[string]string{"nets": "10.0.0.0/8 OK\n"},
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = permit_mynetworks, " + policyAt + " }\n" + usualLogin},
	{name: "require, by the policy service, behind permit_mynetworks, the client excluded", strict: true, main: "mynetworks = !127.0.0.77, 127.0.0.0/8\n",
		master: "smtp inet n - n - - smtpd MAP -o { smtpd_sender_restrictions = permit_mynetworks, " + policyAt + " }\n" + usualLogin},
	{name: "require, by the milter, milter_protocol = 2", strict: true, main: "milter_protocol = 2\n", master: "smtp inet n - n - - smtpd MAP -o { smtpd_milters = " + milterAt + " }\n" + usualLogin},
	{name: "require, by the milter, daemon_name ORIGINATING", strict: true, main: "milter_macro_daemon_name = ORIGINATING\n", master: "smtp inet n - n - - smtpd MAP -o { smtpd_milters = " + milterAt + " }\n" + usualLogin},
}
