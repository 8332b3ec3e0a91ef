package mtatest_test

const (
	mapParam    = "smtpd_discard_ehlo_keyword_address_maps"
	memcacheMap = "memcache:$config_directory/ehlogate.cf"
)

func memcacheFile(lines string) string {
	return "memcache = unix:ehlogate/memcache\nkey_format = starttls:%s\n" + lines
}

// postfixRows returns the configurations of Postfix.
func postfixRows() []postfixRow {
	return []postfixRow{
		{name: "as in the examples"},
		{name: "map without a backup", table: memcacheFile("max_try = 1\ntimeout = 1\n")},
		{name: "socketmap", master: "smtp inet n - n - - smtpd -o " + mapParam + "=socketmap:inet:127.0.0.1:10041:starttls\n" + usualLogin},
		{name: "submission has the map", master: usualMail + "submission inet n - n - - smtpd MAP\n"},
		{name: "no map", master: "smtp inet n - n - - smtpd\n" + usualLogin},
	}
}
