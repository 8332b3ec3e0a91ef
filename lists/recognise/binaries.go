package recognise

import (
	"bytes"

	"ehlogate/lists/lazyregexp"
)

// magic is a kind whose files have certain bytes at an offset.
type magic struct {
	offset int
	bytes  string
	Kind
}

func (m *magic) is(head []byte) bool {
	return len(head) >= m.offset && bytes.HasPrefix(head[m.offset:], []byte(m.bytes))
}

const makeUTF8 = "iconv -f UTF-16 -t UTF-8 FILE"

// binaries are kinds that are no UTF-8 text.
var binaries = []magic{
	{0, "\x1f\x8b", Kind{What: "compressed by gzip", Command: "gzip -dc < FILE"}},
	{0, "\xfd7zXZ\x00", Kind{What: "compressed by xz", Command: "xz -dc < FILE"}},
	{0, "BZh", Kind{What: "compressed by bzip2", Command: "bzip2 -dc < FILE"}},
	{0, "\x28\xb5\x2f\xfd", Kind{What: "compressed by zstd", Command: "zstd -dc < FILE"}},
	{0, "PK\x03\x04", Kind{What: "a zip archive, as spreadsheets are too", Command: "unzip -p FILE"}},
	{257, "ustar", Kind{What: "a tar archive", Command: "tar -xOf FILE"}},
	{0, "\xff\xfe", Kind{What: "text in UTF-16", Command: makeUTF8}},
	{0, "\xfe\xff", Kind{What: "text in UTF-16", Command: makeUTF8}},
	{0, "%PDF-", Kind{What: "a PDF document", Hint: "publishers of lists have them as text, too"}},
	{12, "\x61\x15\x06\x00", Kind{What: "a hash table of postmap (Berkeley DB)", Hint: "name the text file that it was made of, without .db"}},
	{12, "\x62\x31\x05\x00", Kind{What: "a btree table of postmap (Berkeley DB)", Hint: "name the text file that it was made of, without .db"}},
	{16, "\xde\xc0\xef\xbe", Kind{What: "an LMDB table of postmap", Hint: "name the text file that it was made of, without .lmdb"}},
}

// document is a kind of text that is no sequence of lines.
type document struct {
	beginning, part *lazyregexp.Regexp
	Kind
}

var (
	object   = lazyregexp.New(`^\s*[{[]`)
	tag      = lazyregexp.New(`(?i)^\s*<(?:!doctype|html|head|body|\?xml|!--|rss|svg|h1|p|script|div)\b`)
	anything = lazyregexp.New(``)
)

func key(names string) *lazyregexp.Regexp { return lazyregexp.New(`"(?:` + names + `)"\s*:`) }

// anyNetwork finds all addresses and networks in JSON.
const anyNetwork = `jq -r '.. | strings | select(test("^([0-9]+[.]){3}[0-9]+(/[0-9]+)?$|^[0-9a-fA-F:]+:[0-9a-fA-F:]*(/[0-9]+)?$"))' FILE`

var documents = []document{
	{tag, lazyregexp.New(`(?i)<\s*(?:!doctype\s+html|html|head|body|h1|p|script|div)\b`), Kind{What: "a web page", Hint: "fetch it again, and look at it in a browser: the server sent a page about an error, a login or a question"}},
	{tag, anything, Kind{What: "XML", Hint: "see whether the publisher has it as text, too"}},
	{object, lazyregexp.New(`(?i)"sblid"\s*:|^\s*\{"cidr":`), Kind{What: "Spamhaus DROP in JSON", Formats: []string{"drop"}}},
	{object, key("asn"), Kind{What: "JSON about autonomous systems", Hint: "fetch a list of networks: clients are looked up by address"}},
	{object, key("nftables"), Kind{What: "JSON of nft", Hint: "write it without -j: nft list set FAMILY TABLE NAME"}},
	{object, key("ip_prefix"), Kind{What: "JSON of Amazon (ip-ranges.json)", Command: "jq -r '.prefixes[].ip_prefix, .ipv6_prefixes[].ipv6_prefix' FILE"}},
	{object, key("ipv4Prefix|ipv6Prefix"), Kind{What: "JSON of Google", Command: "jq -r '.prefixes[] | .ipv4Prefix // .ipv6Prefix' FILE"}},
	{object, key("addressPrefixes"), Kind{What: "JSON of Azure (service tags)", Command: "jq -r '.values[].properties.addressPrefixes[]' FILE"}},
	{object, key("serviceArea"), Kind{What: "JSON of Microsoft 365 (endpoints)", Command: "jq -r '.[] | .ips // [] | .[]' FILE"}},
	{object, key("verifiable_password_authentication"), Kind{What: "JSON of GitHub (meta)", Command: "jq -r '.hooks[]' FILE"}},
	{object, key("ipv6_addresses"), Kind{What: "JSON of Fastly", Command: "jq -r '.addresses[], .ipv6_addresses[]' FILE"}},
	{object, key("ipv4_cidrs"), Kind{What: "JSON of Cloudflare", Command: "jq -r '.result | .ipv4_cidrs[], .ipv6_cidrs[]' FILE"}},
	{object, key("cidrs"), Kind{What: "JSON of Oracle", Command: "jq -r '.regions[].cidrs[].cidr' FILE"}},
	{lazyregexp.New(`^\s*(?:\{\s*"|\[\s*[{["])`), anything, Kind{What: "JSON", Command: anyNetwork}},
}
