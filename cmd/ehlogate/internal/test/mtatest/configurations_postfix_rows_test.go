package mtatest_test

import "slices"

const (
	mapParam    = "smtpd_discard_ehlo_keyword_address_maps"
	memcacheMap = "memcache:$config_directory/ehlogate.cf"
	inMain      = mapParam + " = " + memcacheMap + "\n"
	plainMail   = "smtp inet n - n - - smtpd\n"
	oneSecond   = "max_try = 1\ntimeout = 1\n"
	emptyBackup = "backup = cidr:/dev/null\n"
)

// memcacheFile returns an ehlogate.cf whose last lines are given.
func memcacheFile(lines string) string {
	return "memcache = unix:ehlogate/memcache\nkey_format = starttls:%s\n" + lines
}

// withMap returns services of which the one for mail has a map, as an option in braces.
func withMap(table string) string {
	return "smtp inet n - n - - smtpd -o { " + mapParam + " = " + table + " }\n" + usualLogin
}

// postfixRows returns the configurations of Postfix.
func postfixRows() []postfixRow {
	return slices.Concat(placeRows, tableRows, databaseRows, backupRows, serviceRows, tlsRows, enforceRows, accessRows, answerRows, screenRows, classRows, hideRows, oldRows)
}

const (
	dnsList   = "[[list]]\nname = \"dnswl\"\naction = \"offer\"\nzones = [{zone = \"dnswl.example\"}]\n"
	shortWait = "[dns]\nresolvers = [\"127.0.0.1\"]\nwait = \"200ms\"\ntimeout = \"300ms\"\n"
)

// placeRows differ in where the map is set, and how it is written.
var placeRows = []postfixRow{
	{name: "as in the examples"},
	{name: "no map", master: plainMail + usualLogin},
	{name: "submission has the map", master: usualMail + "submission inet n - n - - smtpd MAP\n"},
	{name: "main.cf has the map, and submission inherits it", main: inMain, master: plainMail + usualLogin},
	{name: "main.cf has the map, and submission sets it to nothing", main: inMain, master: plainMail + "submission inet n - n - - smtpd -o " + mapParam + "=\n"},
	{name: "the map is an option in braces", master: withMap(memcacheMap)},
	{name: "the map through two parameters", main: "a_map = $b_map\nb_map = " + memcacheMap + "\n", master: withMap("$a_map")},
	{name: "the map in a condition that holds", main: "on = yes\n", master: withMap("${on?{" + memcacheMap + "}:{static:dsn}}")},
	{name: "the map in a condition that does not hold", main: "on =\n", master: withMap("${on?{" + memcacheMap + "}:{}}")},
	{name: "the map on lines with comments between them", main: mapParam + " =\n# a comment\n\n  " + memcacheMap + "\n", master: plainMail + "submission inet n - n - - smtpd\n# a comment\n\n  -o " + mapParam + "=\n"},
	{name: "the map twice, the last one empty", master: "smtp inet n - n - - smtpd MAP -o " + mapParam + "=\n" + usualLogin, advice: []string{"setting-replaced"}},
	{name: "two services on port 25, one without the map",
		master: "127.0.0.1:smtp inet n - n - - smtpd MAP\n192.0.2.25:smtp inet n - n - - smtpd\n" + usualLogin,
		mail:   []port{{addr: "127.0.0.1:25"}, {addr: "192.0.2.25:25"}}},
	{name: "port 25 on loopback alone without the map",
		master: "192.0.2.25:smtp inet n - n - - smtpd MAP\nlocalhost:smtp inet n - n - - smtpd\n" + usualLogin,
		mail:   []port{{addr: "192.0.2.25:25"}}},
	{name: "several services, each with its own options",
		master: "127.0.0.1:smtp inet n - n - - smtpd MAP\n192.0.2.25:smtp inet n - n - - smtpd MAP\n" + usualLogin,
		mail:   []port{{addr: "127.0.0.1:25"}, {addr: "192.0.2.25:25"}}},
	{name: "map by HELO name beside the map", helo: true, master: "smtp inet n - n - - smtpd MAP -o { smtpd_command_filter = pipemap:{regexp:$config_directory/ehlogate-helo.regexp,memcache:$config_directory/ehlogate-helo.cf} }\n" + usualLogin},
	{name: "map by HELO name, with an inline table", helo: true, master: "smtp inet n - n - - smtpd MAP -o { smtpd_command_filter = pipemap:{regexp:{ { /^EHLO +([^ ]+)$$/ $$1 } },memcache:$config_directory/ehlogate-helo.cf} }\n" + usualLogin},
	{name: "a relative configuration directory", relative: true},
	{name: "another instance in multi_instance_directories", main: "multi_instance_directories = /etc/postfix-out\n", advice: []string{"other-instances"}},
	{name: "an inherited socket beside those in [listen]", socket: "127.0.0.1:10049",
		table: "memcache = inet:127.0.0.1:10049\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
	{name: "a list that the user of ehlogate cannot read", private: true, advice: []string{"list-forbidden"}},
	{name: "a DNS list that offers, before the lists that suppress; DNS fails", public: true, first: dnsList, config: shortWait, advice: []string{"resolver-silent"}},
	{name: "a DNS list that offers, behind the lists that suppress; DNS fails", public: true, last: "\n" + dnsList, config: shortWait, advice: []string{"resolver-silent"}},
	{name: "map by HELO name alone", master: "smtp inet n - n - - smtpd -o { smtpd_command_filter = pipemap:{regexp:$config_directory/ehlogate-helo.regexp,memcache:$config_directory/ehlogate-helo.cf} }\n" + usualLogin},
	{name: "a chrooted smtpd", master: "smtp inet n - y - - smtpd MAP\n" + usualLogin},
	{name: "a chrooted smtpd, and a socket outside of its jail", master: "smtp inet n - y - - smtpd MAP\n" + usualLogin,
		table: "memcache = unix:QUEUE/ehlogate/memcache\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
	{name: "chroot is - and compatibility_level is 0", main: "compatibility_level = 0\n", master: "smtp inet n - - - - smtpd MAP\n" + usualLogin,
		table: "memcache = unix:QUEUE/ehlogate/memcache\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
	{name: "chroot is - and compatibility_level is 3.6", master: "smtp inet n - - - - smtpd MAP\n" + usualLogin,
		table: "memcache = unix:QUEUE/ehlogate/memcache\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
}

// tableRows differ in the kind of the map.
var tableRows = []postfixRow{
	{name: "socketmap", master: withMap("socketmap:inet:127.0.0.1:10041:starttls")},
	{name: "socketmap with a wrong name", master: withMap("socketmap:inet:127.0.0.1:10041:tls")},
	{name: "tcp table", master: withMap("tcp:127.0.0.1:10042")},
	{name: "unionmap", master: withMap("unionmap:{" + memcacheMap + ", cidr:{ { 127.0.0.98 dsn } }}")},
	{name: "pipemap with one table", master: withMap("pipemap:{" + memcacheMap + "}")},
	{name: "randmap beside the map", master: withMap(memcacheMap + ", randmap:{silent-discard}")},
	{name: "randmap that hides STARTTLS", master: withMap(memcacheMap + ", randmap:{starttls}")},
	{name: "static table that hides STARTTLS", master: withMap("static:starttls")},
	{name: "behind proxy:, in main.cf", main: mapParam + " = proxy:" + memcacheMap + "\n", master: plainMail + "submission inet n - n - - smtpd -o " + mapParam + "=\n", advice: []string{"proxy-waits"}},
	{name: "behind proxy:, in master.cf", master: withMap("proxy:" + memcacheMap), advice: []string{"proxy-waits"}},
	{name: "an own table before the map", master: withMap("cidr:{ { 127.0.0.64/28 silent-discard } }, " + memcacheMap)},
	{name: "an own table before the map, for other clients", master: withMap("cidr:{ { 127.0.0.128/25 silent-discard } }, " + memcacheMap)},
	{name: "an own table behind the map", master: withMap(memcacheMap + ", cidr:{ { 127.0.0.64/28 silent-discard } }")},
	{name: "inline table, no ehlogate", master: withMap("inline:{ { 127.0.0.66 = starttls } }")},
	{name: "inline cidr table, no ehlogate", master: withMap("cidr:{ { 127.0.0.66 starttls } }")},
	{name: "inline regexp table, no ehlogate", master: withMap("regexp:{ { /^127\\.0\\.0\\.66$$/ starttls } }")},
	{name: "inline tables beside the map", master: withMap(memcacheMap + ", inline:{ { 127.0.0.98 = dsn } }, cidr:{ { 127.0.0.98 dsn } }, regexp:{ { /^127\\.0\\.0\\.98$$/ dsn } }")},
	{name: "exported table, no query", master: withMap("cidr:$config_directory/ehlogate.cidr"), files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "a table that is not there", master: withMap(memcacheMap + ", cidr:$config_directory/missing")},
	{name: "a table of a type that is not installed", master: withMap(memcacheMap + ", lmdb:$config_directory/own")},
	{name: "an empty inline table", master: withMap(memcacheMap + ", inline:{}")},
	{name: "an empty inline cidr table", master: withMap(memcacheMap + ", cidr:{}")},
	{name: "a static table without a value", master: withMap(memcacheMap + ", static:")},
	{name: "an exported cidr table as texthash, no query", master: withMap("texthash:$config_directory/ehlogate.cidr"), files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "a table without a type", main: "default_database_type = texthash\n", master: withMap(memcacheMap + ", $config_directory/own"), files: map[string]string{"own": "127.0.0.98 dsn\n"}},
	{name: "a table without a type, which is not there", main: "default_database_type = hash\n", master: withMap(memcacheMap + ", $config_directory/own")},
	{name: "wrong key", table: "memcache = unix:ehlogate/memcache\nkey_format = %s\n" + oneSecond + emptyBackup},
	{name: "the file of the map is not there", master: withMap("memcache:$config_directory/missing.cf")},
	{name: "the file of the map is for root alone", table: memcacheFile(oneSecond + emptyBackup)},
	{name: "wrong port: another protocol of ehlogate", table: "memcache = inet:127.0.0.1:10043\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
	{name: "wrong port: nothing listens", table: "memcache = inet:127.0.0.1:11211\nkey_format = starttls:%s\n" + oneSecond + emptyBackup, advice: []string{"not-our-address"}},
	{name: "invalid address", table: "memcache = 127.0.0.1:10046\nkey_format = starttls:%s\n" + oneSecond + emptyBackup},
	{name: "localhost", table: "memcache = inet:localhost:10046\nkey_format = starttls:%s\n" + oneSecond + emptyBackup, advice: []string{"localhost"}},
}

// backupRows differ in what decides while ehlogate is down, and when.
var backupRows = []postfixRow{
	{name: "no backup", table: memcacheFile(oneSecond)},
	{name: "no max_try, no timeout", table: memcacheFile(emptyBackup)},
	{name: "max_try = 2, timeout = 1", table: memcacheFile("max_try = 2\ntimeout = 1\n" + emptyBackup)},
	{name: "max_try = 1, timeout = 6", table: memcacheFile("max_try = 1\ntimeout = 6\n" + emptyBackup)},
	{name: "timeout = 0", table: memcacheFile("max_try = 1\ntimeout = 0\n" + emptyBackup)},
	{name: "max_try = 1, no timeout", table: memcacheFile("max_try = 1\n" + emptyBackup)},
	{name: "timeout = 1, no max_try", table: memcacheFile("timeout = 1\n" + emptyBackup)},
	{name: "max_try = 0", table: memcacheFile("max_try = 0\ntimeout = 1\n" + emptyBackup)},
	{name: "timeout with a unit", table: memcacheFile("max_try = 1\ntimeout = 1s\n" + emptyBackup)},
	{name: "backup of a type that Postfix does not have", table: memcacheFile(oneSecond + "backup = nosuch:/dev/null\n")},
	{name: "backup that is not there", table: memcacheFile(oneSecond + "backup = cidr:CONFIG/missing\n")},
	{name: "backup that is not there, explicit_offer", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = cidr:CONFIG/missing\n")},
	{name: "backup of a type whose file is not there", table: memcacheFile(oneSecond + "backup = hash:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "backup is an exported cidr table as regexp", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = regexp:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "backup is an exported cidr table as texthash", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = texthash:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "backup of a type that is not installed", table: memcacheFile(oneSecond + "backup = lmdb:CONFIG/ehlogate\n")},
	{name: "backup without a type", table: memcacheFile(oneSecond + "backup = CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "EXPORT"}},
	{name: "backup is an empty inline table", table: memcacheFile(oneSecond + "backup = inline:{}\n")},
	{name: "backup is an inline cidr table", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = cidr:{{127.0.0.66 starttls}}\n")},
	{name: "backup is an inline table", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = inline:{127.0.0.66=starttls}\n")},
	{name: "backup is socketmap", table: memcacheFile(oneSecond + "backup = socketmap:inet:127.0.0.1:10041:starttls\n")},
	{name: "backup is an export", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = cidr:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "EXPORT"}, edited: true},
	{name: "backup is an export, without explicit_offer", table: memcacheFile(oneSecond + "backup = cidr:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "EXPORT"}, edited: true},
	{name: "backup is an export from before the allow list", config: "explicit_offer = true", table: memcacheFile(oneSecond + "backup = cidr:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "OLD EXPORT"}, edited: true},
	{name: "backup is an export from before the allow list, without explicit_offer", table: memcacheFile(oneSecond + "backup = cidr:CONFIG/ehlogate.cidr\n"), files: map[string]string{"ehlogate.cidr": "OLD EXPORT"}, edited: true},
	{name: "keywords hidden from all, and not by ehlogate", main: "smtpd_discard_ehlo_keywords = chunking, silent-discard\n"},
	{name: "keywords hidden from all, and by ehlogate", main: "smtpd_discard_ehlo_keywords = chunking\n", config: "always_hide = [\"chunking\"]"},
	{name: "keywords hidden by ehlogate alone", config: "always_hide = [\"chunking\"]"},
	{name: "STARTTLS hidden from all", main: "smtpd_discard_ehlo_keywords = starttls\n", master: usualMail + "submission inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=\n"},
}
