package mtatest_test

import "strings"

const (
	addressesMap = "lmdb:$config_directory/addresses"
	networksMap  = "cidr:$config_directory/networks"
	makeLMDB     = "postmap -c CONFIG lmdb:CONFIG/addresses"
	// wideList has the suppressed client in a network that is no table of addresses.
	wideList = "[[list]]\nname = \"wide\"\naction = \"suppress\"\nfiles = [\"wide.list\"]\n"
)

// exportedPair are the two tables that make the policy together.
var exportedPair = map[string]string{
	"addresses": "EXPORT --format postfix-addresses --without-networks", "networks": "EXPORT --format postfix-networks",
}

// databaseRows have exported tables from which postmap makes a database, and what belongs to them; no map queries.
var databaseRows = []postfixRow{
	{name: "exported addresses as lmdb, and the networks behind them", master: withMap(addressesMap + ", " + networksMap),
		last: wideList, files: exportedPair, makes: makeLMDB},
	{name: "exported addresses as lmdb, and a table of networks in which is nothing", master: withMap(addressesMap), files: exportedPair, makes: makeLMDB},
	{name: "exported addresses as cdb, without the networks behind them", master: withMap("cdb:$config_directory/addresses"),
		last: wideList, files: exportedPair, makes: strings.Replace(makeLMDB, "lmdb", "cdb", 1)},
	{name: "exported networks, without the addresses before them", master: withMap(networksMap), last: wideList, files: exportedPair},
	{name: "exported networks before the addresses", master: withMap(networksMap + ", " + addressesMap), last: wideList, files: exportedPair, makes: makeLMDB},
	{name: "exported addresses and networks in a unionmap", master: withMap("unionmap:{" + addressesMap + ", " + networksMap + "}"),
		last: wideList, files: exportedPair, makes: makeLMDB},
	{name: "an old export of addresses as hash", master: withMap("hash:$config_directory/addresses"),
		files: map[string]string{"addresses": "OLD EXPORT --format postfix-addresses"}, makes: strings.Replace(makeLMDB, "lmdb", "hash", 1)},
	{name: "exported addresses as texthash", master: withMap("texthash:$config_directory/addresses"), files: map[string]string{"addresses": "EXPORT --format postfix-addresses"}},
	{name: "exported addresses as btree, with an older database", master: withMap("btree:$config_directory/addresses"),
		files: map[string]string{"addresses": "OLD EXPORT --format postfix-addresses", "now": "EXPORT --format postfix-addresses"},
		makes: "postmap -c CONFIG btree:CONFIG/addresses; touch -d '1 hour ago' CONFIG/addresses.db; cp CONFIG/now CONFIG/addresses"},
	{name: "exported addresses as lmdb, with a database of another text", master: withMap(addressesMap),
		files: map[string]string{"addresses": "OLD EXPORT --format postfix-addresses", "now": "EXPORT --format postfix-addresses"},
		makes: makeLMDB + "; cp CONFIG/now CONFIG/addresses; touch -d '1 hour ago' CONFIG/addresses"},
	{name: "an exported cidr table as lmdb", master: withMap(addressesMap), files: map[string]string{"addresses": "EXPORT"}, makes: makeLMDB},
	{name: "backup is an export of addresses, without the networks", config: "explicit_offer = true", last: wideList,
		table: memcacheFile(oneSecond + "backup = lmdb:CONFIG/ehlogate.addresses\n"),
		files: map[string]string{"ehlogate.addresses": exportedPair["addresses"]}, makes: "postmap -c CONFIG lmdb:CONFIG/ehlogate.addresses"},
}
